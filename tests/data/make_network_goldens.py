"""Makes networks_*.txt and networks_hashes.json by executing sd-scripts' own classes.

Usage: python tests/data/make_network_goldens.py PATH/TO/sd-scripts   (at the commit named in COMMIT; needs torch,
diffusers, transformers and einops, no weights: everything is built on the meta device).
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

COMMIT = "48d368fa557731ad0488c07304dfeba8c07910eb"
HERE = Path(__file__).resolve().parent


def lines(network) -> list[str]:
    """`key down-shape up-shape` of every module, in sd-scripts' order."""
    return [
        f"{lora.lora_name} {list(lora.lora_down.weight.shape)} {list(lora.lora_up.weight.shape)}".replace(", ", ",")
        for lora in network.text_encoder_loras + network.unet_loras
    ]


def models():
    """(family, text encoders, UNet) as sd-scripts builds them, without weights."""
    from library import model_util, sdxl_model_util
    from library.original_unet import UNet2DConditionModel
    from library.sdxl_original_unet import SdxlUNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    clip = {"vocab_size": 49408, "max_position_embeddings": 77}
    small = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768, **clip)
    # model_util.load_models_from_stable_diffusion_checkpoint gives SD2 23 of the 24 layers.
    middle = CLIPTextConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu", projection_dim=512, **clip
    )
    big = CLIPTextConfig(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu", projection_dim=1280, **clip)
    assert sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0
    yield "sd1", CLIPTextModel(small), UNet2DConditionModel(**model_util.create_unet_diffusers_config(False))
    yield "sd2", CLIPTextModel(middle), UNet2DConditionModel(**model_util.create_unet_diffusers_config(True))
    yield "sdxl", [CLIPTextModel(small), CLIPTextModel(big)], SdxlUNet2DConditionModel()


def hashes() -> dict:
    """What train_util.precalculate_safetensors_hashes says of a stored set of tensors (more than 1 MiB of it)."""
    import torch
    from library import train_util

    tensors = {
        "lora_unet_a.lora_down.weight": torch.arange(16 * 20000, dtype=torch.float32).reshape(16, 20000).remainder(97).div(97).half(),
        "lora_unet_a.lora_up.weight": torch.arange(20000 * 16, dtype=torch.float32).reshape(20000, 16).remainder(89).div(-89).half(),
        "lora_unet_a.alpha": torch.tensor(8.0).half(),
    }
    # One ss_ entry: the header's order of several is the serialiser's own, and the legacy hash looks past 1 MiB.
    metadata = {"ss_network_dim": "16", "modelspec.title": "not part of the hash"}
    model, legacy = train_util.precalculate_safetensors_hashes(tensors, metadata)
    return {"commit": COMMIT, "function": "library.train_util.precalculate_safetensors_hashes", "metadata": metadata, "model": model, "legacy": legacy}


def metadata(root: Path) -> dict:
    """The names train_network.py writes, and what sai_model_spec.build_metadata says of each family."""
    from library import model_util, sai_model_spec, sdxl_model_util, train_util

    tree = ast.parse((root / "train_network.py").read_text(encoding="utf-8"))
    names = {key.value for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys if isinstance(key, ast.Constant)}
    names = sorted(name for name in names if str(name).startswith("ss_"))
    specs = {}
    for family, v2, v, sdxl in (("sd1", 0, 0, 0), ("sd2", 1, 0, 0), ("sd2", 1, 1, 0), ("sdxl", 0, 0, 1), ("sdxl", 0, 1, 1)):
        texts = {"title": "a title", "author": "an author", "description": "what", "license": "CC0", "tags": "x, y"}
        skip = {} if sdxl else {"clip_skip": 2}
        spec = sai_model_spec.build_metadata(None, bool(v2), bool(v), bool(sdxl), True, False, 1700000000.5, reso=(512, 768), **texts, **skip)
        del spec["modelspec.implementation_version"]  # the commit of the checkout
        version = sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0 if sdxl else model_util.get_model_version_str_for_sd1_sd2(bool(v2), bool(v))
        specs[f"{family}{' v' if v else ''}"] = {"ss_base_model_version": version, **spec}
    return {"commit": COMMIT, "minimum": train_util.SS_METADATA_MINIMUM_KEYS, "ss": names, "modelspec": specs}


def stand_in(*names: str) -> None:
    """sd-scripts imports much at its top that these functions never use."""
    import diffusers  # these two ask what is installed: before the stand-ins are
    import transformers

    assert diffusers.AutoencoderKL and transformers.CLIPTextModel
    for name in [name for name in names if importlib.util.find_spec(name.split(".")[0]) is None]:
        sys.modules[name] = MagicMock(__spec__=None, __path__=[])


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    stand_in("torchvision", "torchvision.transforms", "cv2", "imagesize", "toml", "voluptuous")
    import torch
    from networks.lora import LoRANetwork

    with torch.device("meta"):
        built = list(models())
        for conv in (None, 2):  # with a convolution rank last: sd-scripts changes its own class list for good
            for family, text, unet in built:
                network = LoRANetwork(text, unet, lora_dim=4, alpha=1, conv_lora_dim=conv, conv_alpha=conv and 1, is_sdxl=family == "sdxl")
                head = f"# sd-scripts {COMMIT}: LoRANetwork(lora_dim=4, conv_lora_dim={conv}): key, lora_down shape, lora_up shape"
                found = lines(network)
                if conv:
                    plain = (HERE / f"networks_{family}.txt").read_text().splitlines()
                    found = [line for line in found if line not in plain]
                    head += "; those that networks_" + family + ".txt does not have"
                (HERE / f"networks_{family}{'_conv' if conv else ''}.txt").write_text("\n".join([head, *found, ""]))
    (HERE / "networks_metadata.json").write_text(json.dumps(metadata(Path(sys.argv[1])), indent=1) + "\n")
    (HERE / "networks_hashes.json").write_text(json.dumps(hashes(), indent=1) + "\n")


if __name__ == "__main__":
    main()
