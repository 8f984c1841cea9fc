"""File keys against the lists that sd-scripts' own classes give (tests/data/make_network_goldens.py says how)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_lora.model import Family
from lib_lora.networks import keys

DATA = Path(__file__).resolve().parent / "data"
FAMILIES = list(Family)


def golden(family: Family, conv: bool = False) -> list[str]:
    lines = (DATA / f"networks_{family.value}{'_conv' if conv else ''}.txt").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("family", "unet", "texts"), [(Family.SD1, 192, (72,)), (Family.SD2, 192, (138,)), (Family.SDXL, 722, (72, 192))])
def test_all_names_are_those_of_sd_scripts(family: Family, unet: int, texts: tuple[int, ...]) -> None:
    expected = golden(family)
    found = [*keys.text_keys(family), *keys.attention_keys(family)]
    assert len(expected) == unet + sum(texts)
    assert sorted(found) == sorted(expected)
    for (prefix, _), count in zip(keys.TEXTS[family], texts, strict=True):
        assert sum(key.startswith(f"{prefix}_") for key in found) == count


@pytest.mark.parametrize("family", FAMILIES)
def test_convolution_names_are_those_of_sd_scripts(family: Family) -> None:
    assert sorted(keys.resnet_keys(family)) == sorted(golden(family, conv=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_both_spellings_of_a_path_give_one_key(family: Family) -> None:
    """Each golden key is reached from LDM's path and from diffusers' path of the same module."""
    paths = [*keys.OUTSIDE.values()]
    for path, depth in keys._transformers(family):
        paths += [f"{path}.{leaf}" for leaf in ("norm", "proj_in", "proj_out")]
        paths += [f"{path}.transformer_blocks.{n}.attn2.to_out.0" for n in range(depth)]
    for path, _ in keys._resnets(family):
        paths += [f"{path}.{leaf}" for leaf in keys.RESNET.values()]
    levels = len(keys.TOPOLOGY[family][0])
    paths += [f"down_blocks.{n}.downsamplers.0.conv" for n in range(levels - 1)] + [f"up_blocks.{n}.upsamplers.0.conv" for n in range(levels - 1)]
    seen = set()
    for path in paths:
        ldm = keys.ldm_path(path, family)
        assert ldm != path
        assert keys.diffusers_path(ldm) == path
        assert keys.unet_key(ldm, family) == keys.unet_key(path, family)
        seen.add(ldm)
    assert len(seen) == len(paths)


def test_examples_from_real_files() -> None:
    assert (
        keys.unet_key("input_blocks.4.1.transformer_blocks.0.attn1.to_q", Family.SD1) == "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    )
    assert keys.unet_key("input_blocks.4.1.transformer_blocks.0.attn1.to_q", Family.SDXL) == "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    assert keys.unet_key("up_blocks.0.upsamplers.0.conv", Family.SDXL) == "lora_unet_output_blocks_2_2_conv"
    assert keys.unet_key("output_blocks.2.1.conv", Family.SD1) == "lora_unet_up_blocks_0_upsamplers_0_conv"
    assert keys.clip_key("text_model.encoder.layers.11.mlp.fc2", "lora_te") == "lora_te_text_model_encoder_layers_11_mlp_fc2"
    assert keys.clip_key("text_model.embeddings.token_embedding", "lora_te") is None
    assert keys.openclip_keys("model.transformer.resblocks.7.mlp.c_proj", "lora_te2") == ("lora_te2_text_model_encoder_layers_7_mlp_fc2",)
    assert keys.openclip_keys("transformer.resblocks.0.attn", "lora_te")[0] == "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    assert keys.openclip_keys("transformer.resblocks.0.ln_1", "lora_te") == ()


@pytest.mark.parametrize(
    ("path", "site"),
    [
        ("input_blocks.1.1.proj_in", "attention"),
        ("mid_block.attentions.0.transformer_blocks.0.ff.net.2", "attention"),
        ("input_blocks.1.0.emb_layers.1", "resnet"),
        ("input_blocks.3.0.op", "resnet"),
        ("output_blocks.2.1.conv", "resnet"),
        ("input_blocks.0.0", None),
        ("conv_out", None),
        ("time_embed.2", None),
    ],
)
def test_site_of_a_path(path: str, site: str | None) -> None:
    assert keys.site_of(path) == site


def test_kernels_are_stored_where_sd_scripts_stores_them() -> None:
    """SD2's proj_in and proj_out are linear in the model and 1×1 convolutions in the file."""
    for family in FAMILIES:
        for line in (DATA / f"networks_{family.value}.txt").read_text(encoding="utf-8").splitlines()[1:]:
            key, down, _ = line.split()
            assert keys.stored_as_convolution(key) == (down.count(",") == 3), key
