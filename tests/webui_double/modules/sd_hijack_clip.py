import math
import re
import zlib

import torch
from modules import prompt_parser
from modules.shared import opts
from torch import nn

START, END, VOCABULARY, CHUNK = 1, 2, 1000, 75


class FrozenCLIPEmbedder(nn.Module):
    """ldm's class needs a tokenizer from the network; only its `transformer` is asked for."""

    def __init__(self, transformer):
        super().__init__()
        self.transformer = transformer


class FrozenCLIPEmbedderWithCustomWords(nn.Module):
    def __init__(self, wrapped):
        super().__init__()
        self.wrapped = wrapped

    def forward(self, texts):
        lines = [self.tokenize_line(text) for text in texts]
        count = max(math.ceil(max(len(line), 1) / CHUNK) for line in lines)
        padded = [line + [(END, 1.0)] * (count * CHUNK - len(line)) for line in lines]
        return torch.hstack([self.encode([line[CHUNK * n : CHUNK * (n + 1)] for line in padded]) for n in range(count)])

    def tokenize_line(self, text):
        pieces = prompt_parser.parse_prompt_attention(text) if opts.emphasis != "None" else [[text, 1.0]]
        words = [(word, weight) for piece, weight in pieces for word in re.findall(r"\w+|[^\w\s]", piece)]
        return [(3 + zlib.crc32(word.encode()) % (VOCABULARY - 3), weight) for word, weight in words]

    def encode(self, chunk):
        tokens = torch.tensor([[START, *(token for token, _ in line), END] for line in chunk])
        weights = torch.tensor([[1.0, *(weight for _, weight in line), 1.0] for line in chunk])
        outputs = self.wrapped.transformer(input_ids=tokens, output_hidden_states=True)
        last = outputs.hidden_states[-opts.CLIP_stop_at_last_layers]
        return self.wrapped.transformer.text_model.final_layer_norm(last) * weights[..., None]
