"""A file's tensor names → its layers: which algorithm each is of, its rank, and what family the file is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_lora.model import Family
from lib_lora.networks import keys
from lib_lora.networks.file import Entry

# algorithm → the sets of names of which one must be complete; in the order in which the WebUI tries them.
ALGORITHMS: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = (
    ("lora", (frozenset({"lora_up.weight", "lora_down.weight"}), frozenset({"lora_A.weight", "lora_B.weight"}))),
    ("loha", (frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),)),
    ("ia3", (frozenset({"weight", "on_input"}),)),
    (
        "lokr",
        tuple(frozenset(one + two) for one in (["lokr_w1"], ["lokr_w1_a", "lokr_w1_b"]) for two in (["lokr_w2"], ["lokr_w2_a", "lokr_w2_b"])),
    ),
    ("full", (frozenset({"diff"}),)),
    ("norm", (frozenset({"w_norm", "b_norm"}),)),
    ("glora", (frozenset({"a1.weight", "a2.weight", "b1.weight", "b2.weight", "alpha"}),)),
    ("oft", (frozenset({"oft_blocks"}), frozenset({"oft_diag"}))),
)
RANKED = ("lora_down.weight", "lora_A.weight", "hada_w1_b", "lokr_w2_b", "lokr_w1_b", "b1.weight")
CONTEXT_WIDTHS = {768: Family.SD1, 1024: Family.SD2, 2048: Family.SDXL}
EMBEDDING = "bundle_emb"


@dataclass(frozen=True)
class Held:
    """One layer of a file: its key and the entries of its tensors by what follows the key ("lora_up.weight")."""

    key: str
    entries: Mapping[str, Entry]

    @property
    def algorithm(self) -> str | None:
        """By the names of its tensors; None where no algorithm we know is complete."""
        for name, sets in ALGORITHMS:
            if any(needed <= self.entries.keys() for needed in sets):
                return "boft" if name == "oft" and len(self._shape("oft_blocks")) == 4 else name
        return None

    @property
    def rank(self) -> int | None:
        """Size of the low-rank factors, None for algorithms without."""
        return next((self.entries[name].shape[0] for name in RANKED if name in self.entries and self.entries[name].shape), None)

    @property
    def sound(self) -> bool:
        """Whether the factors of a plain LoRA fit each other; others are taken at their word."""
        down = self._shape("lora_down.weight") or self._shape("lora_A.weight")
        up = self._shape("lora_up.weight") or self._shape("lora_B.weight")
        if self.algorithm != "lora" or "lora_mid.weight" in self.entries:
            return True
        return len(down) in (2, 4) and len(up) in (2, 4) and down[0] == up[1]

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.entries[name].shape if name in self.entries else ()


def layers_of(entries: Mapping[str, Entry]) -> dict[str, Held]:
    """Layers by key, in the file's order."""
    grouped: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        key, _, rest = name.partition(".")
        if key != EMBEDDING:
            grouped.setdefault(key, {})[rest] = entry
    return {key: Held(key, held) for key, held in grouped.items()}


def embeddings_of(entries: Mapping[str, Entry]) -> list[str]:
    """Names of textual inversions that are bundled in the file."""
    return sorted({name.split(".")[1] for name in entries if name.startswith(f"{EMBEDDING}.")})


def said_family(metadata: Mapping[str, str]) -> Family | None:
    """The family a file's metadata names as the WebUI reads it, None where it says nothing at all."""
    if metadata.get("ss_base_model_version", "").startswith("sdxl_"):
        return Family.SDXL
    if metadata.get("ss_v2") == "True":
        return Family.SD2
    return Family.SD1 if metadata else None


def family_of(layers: Mapping[str, Held], metadata: Mapping[str, str]) -> Family | None:
    """The family a file is for: by the width of its text context, names only SDXL has, its metadata, or its style of names."""
    for held in layers.values():
        for name in ("lora_down.weight", "lora_A.weight"):
            if held.key.endswith(("attn2_to_k", "attn2_to_v")) and name in held.entries:
                found = CONTEXT_WIDTHS.get(held.entries[name].shape[1])
                if found is not None:
                    return found
    if any(keys.part_of(key) == "te2" or "transformer_blocks_2_" in key or "label_emb" in key or "add_embedding" in key for key in layers):
        return Family.SDXL
    if metadata.get("ss_base_model_version") or metadata.get("ss_v2"):
        return said_family(metadata)
    if any(key.startswith(("lora_unet_down_blocks", "lora_unet_mid_block", "lora_unet_up_blocks", "lora_te_")) for key in layers):
        return Family.SD1
    return Family.SDXL if any(keys.part_of(key) for key in layers) else None
