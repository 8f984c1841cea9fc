"""Would each host load this file? Answered key by key from its header, by the rules of the hosts' own loaders.

The rules are those of AUTOMATIC1111 1.10.1 (built-in Lora), Forge, reForge and diffusers 0.31. A key is "ok", or the sentence
says what that host does with it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_lora.core.messages import ENGLISH, Message, say
from lib_lora.model import Family
from lib_lora.networks import contents, keys
from lib_lora.networks.card import SD_VERSION
from lib_lora.networks.contents import Held
from lib_lora.networks.file import header

OK = "ok"
FORGE_STRAYS = 12  # Forge drops a file with more unmatched tensors than that
FUSED = ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "self_attn_out_proj")
FORGE_KINDS = frozenset({"lora", "loha", "lokr", "glora", "full", "norm"})
FORGE_ARCHITECTURES = {"stable-diffusion-v1": "SD1", "stable-diffusion-xl-v1-base": "SDXL"}


@dataclass(frozen=True)
class File:
    """What the rules look at."""

    metadata: Mapping[str, str]
    layers: Mapping[str, Held]
    embeddings: list[str]
    family: Family


@dataclass
class Answer:
    """A host's word on a file: per key what is wrong with it (None: nothing), for the whole file why it is refused."""

    keys: dict[str, Message | None]
    card: str
    refused: list[Message] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)


def check(path: Path, words: Mapping[str, str] = ENGLISH) -> dict[str, Any]:
    """Per host: does it load the file, on which card, which keys does it not take, in one language. Raises DataError for other files."""
    metadata, entries = header(path)
    layers = contents.layers_of(entries)
    family = contents.family_of(layers, metadata)
    document: dict[str, Any] = {"file": path.name, "family": family.value if family else None, "layers": len(layers), "hosts": {}, "keys": {}}
    if family is None:
        document["hosts"] = {name: _refused(say("This holds no layers of a Stable Diffusion network."), words) for name in HOSTS}
        return document
    file = File(metadata, layers, contents.embeddings_of(entries), family)
    answers = {name: ask(file) for name, ask in HOSTS.items()}
    document["hosts"] = {name: _summary(answer, file, words) for name, answer in answers.items()}
    document["keys"] = {key: {name: _word(answer, key, words) for name, answer in answers.items()} for key in layers}
    return document


def _summary(answer: Answer, file: File, words: Mapping[str, str]) -> dict[str, Any]:
    taken = sum(wrong is None for wrong in answer.keys.values())
    notes = list(answer.notes)
    if answer.card not in ("Unknown", SD_VERSION[file.family]):
        notes.append(
            say("Its metadata says {said}: the host hides the card while a {family} model is loaded.", said=answer.card, family=SD_VERSION[file.family])
        )
    elif answer.card == "Unknown":
        notes.append(say("Its metadata names no family: the card is shown with every model."))
    return {
        "loads": not answer.refused and taken > 0,
        "complete": not answer.refused and taken == len(file.layers),
        "taken": 0 if answer.refused else taken,
        "dropped": len(file.layers) - (0 if answer.refused else taken),
        "card": answer.card,
        "refused": [reason.text(words) for reason in answer.refused],
        "notes": [note.text(words) for note in notes],
    }


def _refused(reason: Message, words: Mapping[str, str]) -> dict[str, Any]:
    return {"loads": False, "complete": False, "taken": 0, "dropped": 0, "card": "Unknown", "refused": [reason.text(words)], "notes": []}


def _word(answer: Answer, key: str, words: Mapping[str, str]) -> str:
    if answer.refused:
        return answer.refused[0].text(words)
    wrong = answer.keys[key]
    return OK if wrong is None else wrong.text(words)


def _a1111(file: File) -> Answer:
    known = _a1111_names(file.family)
    answer = Answer({}, _said(file.metadata))
    for key, held in file.layers.items():
        answer.keys[key] = _unknown_name(key, known) or _unsound(held) or _a1111_kind(held)
        if key in known and held.algorithm is None:
            answer.refused.append(_unknown_kind(held))
    for key, missing in _unfused(file).items():
        answer.keys[key] = answer.keys[key] or say(
            "It lacks {missing}: the host changes this attention only when q, k, v and out are all there.", missing=missing
        )
    return answer


def _a1111_kind(held: Held) -> Message | None:
    names = held.entries
    if held.algorithm == "glora":
        rank = names["a1.weight"].shape[0]
        if (names["b1.weight"].shape[0], names["a2.weight"].shape[-1], names["b2.weight"].shape[-1]) != (rank, rank, rank):
            return say("A GLoRA of the newer layout: the host reads it wrongly.")
    if held.algorithm == "boft":
        return say("BOFT is read at full strength only: another weight in the prompt gives another result than it was trained for.")
    return _dora(held, say("Its DoRA scale is per output: the host reads it as per input and computes something else."))


def _reforge(file: File) -> Answer:
    answer = Answer(_patched(file, FORGE_KINDS | {"oft", "boft"}), _said(file.metadata))
    answer.notes += _no_embeddings(file)
    return answer


def _forge(file: File) -> Answer:
    answer = Answer(_patched(file, FORGE_KINDS), _said_to_forge(file.metadata))
    known, strays = _patched_names(file.family), len(file.embeddings)
    strays += sum(len(held.entries) for key, held in file.layers.items() if key not in known or held.algorithm not in FORGE_KINDS)
    if strays > FORGE_STRAYS:
        answer.refused.append(
            say("{count} tensors are of no use to the host; with more than {limit} it drops the whole file.", count=strays, limit=FORGE_STRAYS)
        )
    answer.notes += _no_embeddings(file)
    return answer


def _patched(file: File, kinds: frozenset[str]) -> dict[str, Message | None]:
    """The rules that Forge and reForge share."""
    known = _patched_names(file.family)
    per_output = say("Its DoRA scale is per output: the host divides by another norm than training does.")
    return {
        key: _unknown_name(key, known) or _unsound(held) or (None if held.algorithm in kinds else _unknown_kind(held)) or _dora(held, per_output)
        for key, held in file.layers.items()
    }


def _diffusers(file: File) -> Answer:
    answer = Answer({}, SD_VERSION[file.family])
    known = {keys.unet_key(path, file.family) for path in (*keys.attention_paths(file.family), *keys.resnet_paths(file.family))}
    known |= _text_names(file.family, ("lora_te1",) if file.family is Family.SDXL else ("lora_te", "lora_te1"))
    for key, held in file.layers.items():
        dora = say("Its DoRA scale is left out: the result is another one.") if "dora_scale" in held.entries else None
        answer.keys[key] = _unknown_name(key, known) or _unsound(held) or dora
        extra = set(held.entries) - {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"}
        if extra or "lora_down.weight" not in held.entries:
            answer.refused.append(say("{key}: only plain LoRA in kohya's form is read; this is {kind}.", key=key, kind=held.algorithm or "unknown"))
        elif file.family is Family.SD2 and keys.stored_as_convolution(key) and len(held.entries["lora_down.weight"].shape) == 4:
            answer.refused.append(
                say("{key}: the layer is linear in SD2 and stored with 1×1 kernels, as sd-scripts does; diffusers takes only flat ones.", key=key)
            )
    if file.embeddings:
        answer.refused.append(say("The file holds embeddings beside the network, which the host does not expect."))
    return answer


HOSTS: Mapping[str, Callable[[File], Answer]] = {"a1111": _a1111, "forge": _forge, "reforge": _reforge, "diffusers": _diffusers}


def _unknown_name(key: str, known: set[str]) -> Message | None:
    return None if key in known else say("The host has no layer of that name and leaves it out.")


def _unknown_kind(held: Held) -> Message:
    if held.algorithm:
        return say("The host does not know {kind} and leaves it out.", kind=held.algorithm)
    return say("The host knows no algorithm with {names}.", names=sorted(held.entries)[:4])


def _unsound(held: Held) -> Message | None:
    return None if held.sound else say("Its two factors do not fit each other.")


def _dora(held: Held, per_output: Message) -> Message | None:
    """DoRA means the same everywhere only with a scale per input, shape (1, in, …)."""
    scale = held.entries.get("dora_scale")
    return per_output if scale is not None and len(scale.shape) >= 2 and scale.shape[1] == 1 and scale.shape[0] != 1 else None


def _unfused(file: File) -> dict[str, str]:
    """Keys of OpenCLIP attentions of which q, k, v or out is missing → what is missing."""
    prefix = {Family.SD2: "lora_te", Family.SDXL: "lora_te2"}.get(file.family)
    found: dict[str, str] = {}
    for key in file.layers:
        front, _, leaf = key.partition("_self_attn_")
        if prefix is None or not key.startswith(f"{prefix}_text_model_") or f"self_attn_{leaf}" not in FUSED:
            continue
        missing = [name for name in FUSED if f"{front}_{name}" not in file.layers]
        if missing:
            found[key] = ", ".join(missing)
    return found


def _no_embeddings(file: File) -> list[Message]:
    return [say("The embeddings in the file are left out.")] if file.embeddings else []


def _said(metadata: Mapping[str, str]) -> str:
    family = contents.said_family(metadata)
    return SD_VERSION[family] if family else "Unknown"


def _said_to_forge(metadata: Mapping[str, str]) -> str:
    architecture = metadata.get("modelspec.architecture", "").partition("/")[0]
    if architecture in FORGE_ARCHITECTURES:
        return FORGE_ARCHITECTURES[architecture]
    family = contents.said_family(metadata)
    # Without ModelSpec it tells SDXL and SD2 by the ss_ entries, and takes what is left for unknown.
    return SD_VERSION[family] if family in (Family.SDXL, Family.SD2) else "Unknown"


def _paths(family: Family) -> list[str]:
    return [*keys.attention_paths(family), *keys.resnet_paths(family), *keys.other_paths(family)]


def _both_styles(family: Family) -> set[str]:
    return {f"{keys.UNET}_{name.replace('.', '_')}" for path in _paths(family) for name in (path, keys.ldm_path(path, family))}


def _text_names(family: Family, first: tuple[str, ...]) -> set[str]:
    """Keys of text encoders, those of the first one under each of these prefixes; SD2's unused last layer included."""
    named: set[str] = set()
    for key in keys.text_keys(family, extra_layers=family is Family.SD2):
        prefix, _, rest = key.partition("_text_model_")
        named |= {key} if prefix == "lora_te2" else {f"{one}_text_model_{rest}" for one in first}
    return named


def _a1111_names(family: Family) -> set[str]:
    # Its arithmetic takes diffusers' names for SDXL too, but for the first upsampler, and knows no other spelling of the rest.
    unknown = {f"{keys.UNET}_{path.replace('.', '_')}" for path in keys.OUTSIDE.values() if path.startswith(("add_embedding", "conv_norm_out"))}
    if family is Family.SDXL:
        unknown.add(f"{keys.UNET}_up_blocks_0_upsamplers_0_conv")
    first = {Family.SD1: ("lora_te", "lora_te1"), Family.SD2: ("lora_te",), Family.SDXL: ("lora_te1",)}[family]
    return (_both_styles(family) - unknown) | _text_names(family, first)


def _patched_names(family: Family) -> set[str]:
    return _both_styles(family) | _text_names(family, ("lora_te", "lora_te1"))
