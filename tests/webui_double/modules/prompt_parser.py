import re


class SdConditioning(list):
    def __init__(self, texts, width=None, height=None):
        super().__init__(texts)
        self.width, self.height = width, height


def parse_prompt_attention(text):
    """Pieces with their weights: `(a)` up, `[a]` down, a backslash takes a bracket literally."""
    pieces, weight, current = [], 1.0, ""
    for token in re.findall(r"\\.|[()\[\]]|[^\\()\[\]]+", text):
        if token[0] == "\\":
            current += token[1:]
        elif token in "()[]":
            pieces, current = [*pieces, [current, weight]], ""
            weight *= 1.1 if token in "(]" else 1 / 1.1
        else:
            current += token
    return [piece for piece in [*pieces, [current, weight]] if piece[0]] or [["", 1.0]]
