"""What is known of the loaded checkpoint: from the model itself, and from the names of the tensors in its file."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import Overrides
from lib_lora.model import Family, ModelFacts, Prediction

LONGEST_HEADER = 100 * 2**20  # what the safetensors format allows
V_TENSOR, ZERO_TERMINAL_TENSOR = "v_pred", "ztsnr"


def loaded() -> Any | None:
    """The WebUI's model, or None. `shared.sd_model` is not asked: it would load one."""
    from modules import sd_models

    return sd_models.model_data.sd_model


def family(sd: Any) -> Family | None:
    """The family of a loaded model, None for one we do not know."""
    if getattr(sd, "is_sd3", False):
        return None
    if getattr(sd, "is_sdxl", False):
        return Family.SDXL
    if getattr(sd, "is_sd2", False):
        return Family.SD2
    return Family.SD1 if getattr(sd, "is_sd1", False) else None


def tensor_names(path: Path) -> frozenset[str]:
    """The names in a safetensors file's header; empty for other files. Read once for each state of the file."""
    try:
        state = path.stat()
    except OSError:
        return frozenset()
    return _tensor_names(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _tensor_names(path: Path, _mtime: int, _size: int) -> frozenset[str]:
    if path.suffix.lower() != ".safetensors":
        return frozenset()
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            return frozenset(json.loads(file.read(min(length, LONGEST_HEADER))))
    except (OSError, ValueError, struct.error):
        return frozenset()


def read(sd: Any, overrides: Overrides) -> ModelFacts:
    """All facts of a loaded model of a known family; what the user says wins over file and host."""
    from modules import shared

    kind = family(sd)
    info = getattr(sd, "sd_checkpoint_info", None)
    file = Path(info.filename) if info is not None else None
    names = tensor_names(file) if file is not None else frozenset()
    host_v = getattr(sd, "parameterization", "eps") == "v"
    file_v, file_zero = V_TENSOR in names, ZERO_TERMINAL_TENSOR in names
    prediction = overrides.prediction or (Prediction.V if host_v or file_v else Prediction.EPSILON)
    zero_terminal = file_zero if overrides.zero_terminal is None else overrides.zero_terminal
    weight = next(sd.model.diffusion_model.parameters())
    notes = [*_contradictions(file, host_v, prediction), *_schedule(zero_terminal), *_unused_skip(sd, kind, overrides)]
    return ModelFacts(
        name=info.name_for_extra if info is not None else type(sd).__name__,
        family=kind,
        prediction=prediction,
        zero_terminal=zero_terminal,
        clip_skip=clip_skip(sd, kind, overrides, shared.opts),
        device=str(shared.device),
        dtype=str(weight.dtype).removeprefix("torch."),
        file=file,
        sha256=getattr(info, "sha256", None),
        old_hash=getattr(info, "hash", None),
        notes=tuple(notes),
    )


def clip_skip(sd: Any, kind: Family | None, overrides: Overrides, opts: Any) -> int:
    """The text encoder layer that is read, counted from the last (1). OpenCLIP's is fixed by the model's config."""
    if skip_counts(kind, opts):
        return overrides.clip_skip or int(opts.CLIP_stop_at_last_layers)
    if kind is Family.SDXL:
        return 2  # hidden layer 11 of 12, on both of its encoders
    return 1 + int(getattr(getattr(sd.cond_stage_model, "wrapped", None), "layer_idx", 0))


def skip_counts(kind: Family | None, opts: Any) -> bool:
    """Whether the WebUI's clip skip changes what this family's text encoders give."""
    return kind is Family.SD1 or (kind is Family.SDXL and getattr(opts, "sdxl_clip_l_skip", False) is True)


def _contradictions(file: Path | None, host_v: bool, prediction: Prediction) -> list[Message]:
    if file is None or host_v == (prediction is Prediction.V):
        return []
    names = {"name": file.name, "config": file.with_suffix(".yaml").name}
    if prediction is Prediction.V:
        return [
            say(
                "{name} predicts v and is trained so. The WebUI does not know that and samples this file wrongly: "
                "put a v-prediction config named {config} beside it and load it again.",
                **names,
            )
        ]
    return [
        say(
            "The WebUI samples {name} as a v-prediction model, but it is trained as an epsilon model, as you chose. Look at {config} if that is not meant.",
            **names,
        )
    ]


def _schedule(zero_terminal: bool) -> list[Message]:
    from modules import shared

    if zero_terminal and getattr(shared.opts, "sd_noise_schedule", "") != "Zero Terminal SNR":
        return [
            say(
                "This model ends in pure noise (zero terminal SNR). For pictures as in training, "
                "set Settings > Sampler parameters > Noise schedule for sampling to Zero Terminal SNR."
            )
        ]
    return []


def _unused_skip(sd: Any, kind: Family | None, overrides: Overrides) -> list[Message]:
    from modules import shared

    if not overrides.clip_skip or skip_counts(kind, shared.opts):
        return []
    layer = clip_skip(sd, kind, overrides, shared.opts)
    return [say("Clip skip has no effect here: on models of this kind the WebUI always reads layer {layer} from the end, and so does training.", layer=layer)]
