"""Checkpoint file → what it is: family, prediction and shapes, read from its header and the yaml beside it, no weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say
from lib_lora.model import Family, Prediction

UNET = "model.diffusion_model."
VAE = "first_stage_model."
SCALE = {Family.SD1: 0.18215, Family.SD2: 0.18215, Family.SDXL: 0.13025}
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint we can load. `prediction` is None where neither file nor yaml tells (SD2 without a yaml)."""

    path: Path
    family: Family
    shapes: Shapes
    prediction: Prediction | None
    zero_terminal: bool
    yaml: Mapping[str, Any]
    notes: tuple[Message, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def params(self) -> Mapping[str, Any]:
        """The yaml's model.params; empty without a yaml."""
        return _dig(self.yaml, "model", "params")

    @property
    def scale_factor(self) -> float:
        """What latents are multiplied with on their way to the UNet."""
        return float(self.params.get("scale_factor", SCALE[self.family]))

    @property
    def betas(self) -> tuple[float, float]:
        """First and last beta of the schedule."""
        return float(self.params.get("linear_start", 0.00085)), float(self.params.get("linear_end", 0.012))

    @property
    def heads(self) -> tuple[int | None, int]:
        """Attention heads of every UNet level, or None and the channels of one head, as the yaml or the family says."""
        unet = _dig(self.params, "unet_config", "params") or _dig(self.params, "network_config", "params")
        # ldm writes -1 for the one of the two that does not count.
        if (heads := int(unet.get("num_heads", -1))) > 0:
            return heads, 0
        if (channels := int(unet.get("num_head_channels", -1))) > 0:
            return None, channels
        return (8, 0) if self.family is Family.SD1 else (None, 64)

    @property
    def clip_version(self) -> str | None:
        """Where the yaml says the CLIP text encoder comes from: a folder, or a name on a hub."""
        if self.family is Family.SDXL:
            embedders = _dig(self.params, "conditioner_config", "params").get("emb_models") or [{}]
            return _dig(embedders[0], "params").get("version")
        return _dig(self.params, "cond_stage_config", "params").get("version")


def inspect(path: Path) -> Checkpoint:
    """Read what a checkpoint is; HostError for what cannot be loaded or trained, with what to do instead."""
    _check_name(path)
    shapes = _shapes(path)
    config = _yaml(path.with_suffix(".yaml"))
    family = _family(path, shapes)
    _check_unet(path, shapes, family)
    prediction, notes = _prediction(family, shapes, _dig(config, "model", "params"))
    return Checkpoint(path, family, shapes, prediction, "ztsnr" in shapes, config, notes)


def listing(folder: Path) -> tuple[Path, ...]:
    """The checkpoint files of a folder, by name."""
    return tuple(sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))) if folder.is_dir() else ()


def _check_name(path: Path) -> None:
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
        raise HostError(say("{file}: files of this kind can run code when they are opened, so they are not. Convert it to .safetensors first.", file=path.name))
    if path.suffix.lower() != ".safetensors":
        raise HostError(say("{file}: a checkpoint is a .safetensors file", file=path.name))
    if not path.is_file():
        raise HostError(say("{file}: there is no such checkpoint", file=str(path)))


def _shapes(path: Path) -> Shapes:
    try:
        return {key: tuple(entry["shape"]) for key, entry in _header(path).items() if key != "__metadata__"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostError(say("{file}: this is no whole safetensors file; get it again", file=path.name)) from error


def _header(path: Path) -> Any:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            raise ValueError(length)
        return json.loads(file.read(length))


def _yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HostError(say("{file}: this yaml cannot be read: {error}", file=path.name, error=str(error))) from error
    return config if isinstance(config, Mapping) else {}


def _family(path: Path, shapes: Shapes) -> Family:
    if _any(shapes, "model.diffusion_model.joint_blocks."):
        raise HostError(say("{file}: SD3 is not supported; choose an SD1, SD2 or SDXL checkpoint", file=path.name))
    if not _any(shapes, UNET):
        raise HostError(say("{file}: this is no checkpoint in the WebUI's layout (it has no {prefix}…)", file=path.name, prefix=UNET))
    if not _any(shapes, VAE):
        raise HostError(say("{file}: there is no VAE in this checkpoint; choose one that has it baked in", file=path.name))
    if _any(shapes, "conditioner.embedders.1.model."):
        return Family.SDXL
    if _any(shapes, "conditioner.embedders.0.model."):
        raise HostError(say("{file}: this is SDXL's refiner; choose the base checkpoint", file=path.name))
    if _any(shapes, "cond_stage_model.model."):
        return Family.SD2
    if _any(shapes, "cond_stage_model.transformer."):
        return Family.SD1
    raise HostError(say("{file}: there is no text encoder in this checkpoint that we know", file=path.name))


def _check_unet(path: Path, shapes: Shapes, family: Family) -> None:
    channels = shapes.get(f"{UNET}input_blocks.0.0.weight", (0, 0))[1]
    if channels != 4:
        raise HostError(
            say("{file}: inpainting, depth and pix2pix checkpoints are not trained ({n} input channels); choose the base one", file=path.name, n=channels)
        )
    if family is not Family.SDXL and f"{UNET}label_emb.0.0.weight" in shapes:
        raise HostError(say("{file}: unCLIP checkpoints are not trained; choose the base one", file=path.name))


def _prediction(family: Family, shapes: Shapes, params: Mapping[str, Any]) -> tuple[Prediction | None, tuple[Message, ...]]:
    said: Prediction | None = None
    if "parameterization" in params:
        said = Prediction.V if params["parameterization"] == "v" else Prediction.EPSILON
    elif scaling := _dig(params, "denoiser_config", "params", "scaling_config").get("target"):
        said = Prediction.V if str(scaling).endswith(".VScaling") else Prediction.EPSILON
    elif params and family is not Family.SDXL:
        said = Prediction.EPSILON  # ldm's own default where the yaml is silent
    if "v_pred" in shapes:
        contradicts = said is not Prediction.V and family is Family.SDXL
        note = say("The checkpoint says v-prediction in its header. The WebUI does not read that: it needs a yaml beside the file, or it samples wrongly.")
        return Prediction.V, (note,) if contradicts else ()
    if said is None and family is not Family.SD2:
        said = Prediction.EPSILON
    return said, ()


def _any(shapes: Iterable[str], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shapes)


def _dig(config: Any, *names: str) -> Mapping[str, Any]:
    """The mapping at a path of keys; empty where the path breaks off."""
    for name in names:
        config = config.get(name) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) else {}
