from types import SimpleNamespace

import torch
from ldm.modules.diffusionmodules.model import Decoder, Encoder
from ldm.modules.diffusionmodules.openaimodel import UNetModel
from ldm.modules.distributions.distributions import DiagonalGaussianDistribution
from modules import sd_hijack, sd_hijack_clip, shared
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

WIDTH, TEXT_WIDTH = 32, 32
model_data = SimpleNamespace(sd_model=None)


class AutoencoderKL(nn.Module):
    """ldm's own needs pytorch_lightning; these are its parts."""

    def __init__(self):
        super().__init__()
        shape = {
            "ch": 32,
            "out_ch": 3,
            "ch_mult": (1, 1, 1, 1),
            "num_res_blocks": 1,
            "attn_resolutions": [],
            "in_channels": 3,
            "resolution": 64,
            "z_channels": 4,
        }
        self.encoder, self.decoder = Encoder(double_z=True, **shape), Decoder(**shape)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(8, 8, 1), nn.Conv2d(4, 4, 1)

    def encode(self, pixels):
        return DiagonalGaussianDistribution(self.quant_conv(self.encoder(pixels)))

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))


class LatentDiffusion(nn.Module):
    scale_factor = 0.18215

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.diffusion_model = UNetModel(
            image_size=8, in_channels=4, out_channels=4, model_channels=WIDTH, attention_resolutions=[4, 2, 1], num_res_blocks=2, channel_mult=[1, 2, 2, 2],
            num_heads=4, use_spatial_transformer=True, transformer_depth=1, context_dim=TEXT_WIDTH, use_checkpoint=False, legacy=False,
        )  # fmt: skip
        self.first_stage_model = AutoencoderKL()
        config = CLIPTextConfig(
            vocab_size=1000, hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=77
        )
        self.cond_stage_model = sd_hijack_clip.FrozenCLIPEmbedderWithCustomWords(sd_hijack_clip.FrozenCLIPEmbedder(CLIPTextModel(config)))
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        self.register_buffer("alphas_cumprod", (1 - betas).cumprod(0).float())
        self.alphas_cumprod_original = self.alphas_cumprod
        self.is_sd1, self.is_sd2, self.is_sdxl, self.is_sd3, self.lowvram, self.cond_stage_key = True, False, False, False, False, "txt"

    def get_learned_conditioning(self, texts):
        return self.cond_stage_model(list(texts))

    def apply_model(self, noisy, timesteps, cond):
        return self.model.diffusion_model(noisy, timesteps, context=cond)

    def encode_first_stage(self, pixels):
        return self.first_stage_model.encode(pixels)

    def get_first_stage_encoding(self, posterior):
        return posterior.sample() * self.scale_factor


def load(folder, parameterization, tensors):
    torch.manual_seed(1)
    sd = LatentDiffusion().eval()
    with torch.no_grad():
        for parameter in sd.parameters():
            if parameter.ndim > 1 and parameter.abs().max() == 0:  # layers that start as zero would let no signal through
                parameter.normal_(0, 0.7 / parameter[0].numel() ** 0.5)
    sd.first_stage_model.requires_grad_(False)
    sd.cond_stage_model.requires_grad_(False)
    sd.parameterization = parameterization
    file = folder / "models" / "Stable-diffusion" / "double.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(1) for name in ("model.diffusion_model.out.2.bias", *tensors)}, str(file))
    sd.sd_checkpoint_info = SimpleNamespace(filename=str(file), title="double.safetensors [0123456789]", name_for_extra="double", sha256=None)
    sd_hijack.model_hijack.layers = list(sd.modules())
    shared.opts.data["sd_model_checkpoint"] = sd.sd_checkpoint_info.title
    model_data.sd_model = sd
    import networks

    networks.assign(sd)


def apply_token_merging(sd, ratio):
    sd.applied_token_merged_ratio = ratio
