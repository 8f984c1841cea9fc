"""Network files: safetensors written whole, with the hashes that other programs look them up by."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lib_lora.core.errors import DataError, HostError
from lib_lora.core.files import write_atomic
from lib_lora.core.messages import say
from lib_lora.model import Precision

if TYPE_CHECKING:
    from torch import Tensor

HEADER_LIMIT = 100_000_000  # safetensors' own
LEGACY_OFFSET, LEGACY_BYTES = 0x100000, 0x10000


@dataclass(frozen=True)
class NetworkFile:
    """A file that was read: its tensors in its own precision, on the CPU."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Entry:
    """One tensor of a header: dtype as safetensors names it ("F16"), its shape, and its bytes' place in the file."""

    dtype: str
    shape: tuple[int, ...]
    place: tuple[int, int]


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], precision: Precision) -> None:
    """Write the tensors in that precision, with `metadata` and the two sshs_ hashes. `path` is whole at every moment.

    Raises HostError when a value is no number, or too large for the precision.
    """
    from safetensors.torch import save

    kept = {name: value for name, value in metadata.items() if value is not None}
    # The hashes are sd-scripts': of the file as it would be with the ss_ entries alone, which nobody edits later.
    content = save(_converted(tensors, precision), {name: value for name, value in kept.items() if name.startswith("ss_")})
    model, legacy = hashes(content)
    header, data = _split(content)
    header["__metadata__"] = {**kept, "sshs_model_hash": model, "sshs_legacy_hash": legacy}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)

    def fill(file: BinaryIO) -> None:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        file.write(data)

    write_atomic(path, fill)


def read(path: Path) -> NetworkFile:
    """All of a file. Raises DataError for what is no safetensors file."""
    from safetensors.torch import load_file

    metadata, _ = header(path)
    return NetworkFile(path, load_file(str(path)), metadata)


def header(path: Path) -> tuple[dict[str, str], dict[str, Entry]]:
    """(metadata, {tensor name: its dtype and shape}) without reading a tensor. Raises DataError as `read` does."""
    try:
        with path.open("rb") as file:
            return _header(file, path.stat().st_size)
    except FileNotFoundError as error:
        raise DataError(say("{path} does not exist", path=str(path))) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise DataError(say("{path} is no whole safetensors file", path=str(path))) from error


def hashes(content: bytes) -> tuple[str, str]:
    """(sshs_model_hash, sshs_legacy_hash): of everything after the header, and of 64 KiB from 1 MiB on."""
    (length,) = struct.unpack_from("<Q", content)
    model = hashlib.sha256(memoryview(content)[8 + length :]).hexdigest()
    legacy = hashlib.sha256(memoryview(content)[LEGACY_OFFSET : LEGACY_OFFSET + LEGACY_BYTES]).hexdigest()[:8]
    return model, legacy


def old_checkpoint_hash(path: Path) -> str:
    """`ss_sd_model_hash`: eight digits of 64 KiB from 1 MiB on, as the WebUI once named checkpoints."""
    with path.open("rb") as file:
        file.seek(LEGACY_OFFSET)
        return hashlib.sha256(file.read(LEGACY_BYTES)).hexdigest()[:8]


def _header(file: BinaryIO, size: int) -> tuple[dict[str, str], dict[str, Entry]]:
    (length,) = struct.unpack("<Q", file.read(8))
    if not 2 <= length <= min(HEADER_LIMIT, size - 8):
        raise ValueError(length)
    found = json.loads(file.read(length))
    metadata = {str(name): str(value) for name, value in found.pop("__metadata__", {}).items()}
    entries: dict[str, Entry] = {}
    for name, entry in found.items():
        start, end = (8 + length + int(offset) for offset in entry["data_offsets"])
        if not 8 + length <= start <= end <= size:
            raise ValueError(name)
        entries[name] = Entry(str(entry["dtype"]), tuple(int(side) for side in entry["shape"]), (start, end))
    return metadata, entries


def _split(content: bytes) -> tuple[dict[str, Any], memoryview]:
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]


def _converted(tensors: Mapping[str, Tensor], precision: Precision) -> dict[str, Tensor]:
    from lib_lora.networks.precision import DTYPES

    held = {name: tensor.detach().cpu().to(DTYPES[precision]).contiguous() for name, tensor in tensors.items()}
    broken = [name for name, tensor in held.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise HostError(
            say(
                "{count} tensors hold values that are no {precision} numbers ({first}): learn slower, or save as fp32",
                count=len(broken),
                precision=precision,
                first=broken[0],
            )
        )
    return held
