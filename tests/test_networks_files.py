"""Network files: bytes and hashes, metadata, cards and what is replaced, and the look back through a host's loader."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib_lora.core.errors import DataError, HostError
from lib_lora.model import Family, ModelFacts, Prediction
from lib_lora.networks import card, file, metadata, verify
from lib_lora.networks.layers import ModuleLayer
from lib_lora.networks.lora import Lora, make
from lib_lora.networks.precision import DTYPES, tolerance

DATA = Path(__file__).resolve().parent / "data"


def stored() -> dict[str, Tensor]:
    """The tensors of tests/data/make_network_goldens.py: more than 1 MiB, so that the legacy hash sees some."""
    return {
        "lora_unet_a.lora_down.weight": torch.arange(16 * 20000, dtype=torch.float32).reshape(16, 20000).remainder(97).div(97),
        "lora_unet_a.lora_up.weight": torch.arange(20000 * 16, dtype=torch.float32).reshape(20000, 16).remainder(89).div(-89),
        "lora_unet_a.alpha": torch.tensor(8.0),
    }


def test_hashes_are_those_of_sd_scripts(tmp_path: Path) -> None:
    golden = json.loads((DATA / "networks_hashes.json").read_text(encoding="utf-8"))
    path = tmp_path / "a.safetensors"
    file.write(path, stored(), golden["metadata"], "fp16")
    with safe_open(str(path), "pt") as opened:
        held = opened.metadata()
    assert held == {**golden["metadata"], "sshs_model_hash": golden["model"], "sshs_legacy_hash": golden["legacy"]}


def test_the_model_hash_is_that_of_the_final_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    file.write(path, stored(), {"modelspec.description": "long " * 999, "ss_v2": "False", "ü": "画"}, "fp32")
    assert file.read(path).metadata["sshs_model_hash"] == file.hashes(path.read_bytes())[0]
    assert file.read(path).metadata["ü"] == "画"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_what_is_written_is_read(tmp_path: Path, precision) -> None:
    path = tmp_path / "folder" / "a.safetensors"
    file.write(path, stored(), {"ss_v2": "False"}, precision)
    found, reference = file.read(path), load_file(str(path))
    for name, tensor in stored().items():
        assert found.tensors[name].dtype == DTYPES[precision]
        assert torch.equal(found.tensors[name], tensor.to(DTYPES[precision]))
        assert torch.equal(found.tensors[name], reference[name])
    assert [entry.name for entry in path.parent.iterdir()] == ["a.safetensors"]
    text, entries = file.header(path)
    assert text == found.metadata
    assert {name: entry.shape for name, entry in entries.items()} == {name: tuple(tensor.shape) for name, tensor in stored().items()}
    assert {entry.dtype for entry in entries.values()} == {{"fp32": "F32", "fp16": "F16", "bf16": "BF16"}[precision]}


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_what_is_no_number_in_the_file_is_not_written(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(HostError, match=r"a\.alpha"):
        file.write(path, {"a.alpha": torch.tensor(value)}, {}, "fp16")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"\x08", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b'\x10\0\0\0\0\0\0\0{"a": "nothing"}', b"PK\x03\x04" * 9])
def test_other_files_are_named_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for look in (file.header, file.read):
        with pytest.raises(DataError, match="no whole safetensors"):
            look(path)


def test_a_truncated_file_and_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(stored(), str(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="no whole safetensors"):
        file.header(path)
    with pytest.raises(DataError, match="does not exist"):
        file.header(tmp_path / "b.safetensors")


def facts(family: Family = Family.SD1, prediction: Prediction = Prediction.EPSILON) -> metadata.RunFacts:
    model = ModelFacts("model", family, prediction, False, 2, "cpu", "float32", Path("/models/model.safetensors"), "ab" * 32)
    return metadata.RunFacts(
        output_name="a title",
        network={"ss_network_module": "networks.lora", "ss_network_dim": "16", "ss_network_alpha": "8.0"},
        model=model,
        session_id=7,
        started_at=1699999000.25,
        images=40,
        batches_per_epoch=20,
        epochs=3,
        max_steps=60,
        unet_lr=1e-4,
        text_encoder_lr=0.0,
        scheduler="cosine",
        optimizer="torch.optim.adamw.AdamW(weight_decay=0.01)",
        resolution=(512, 768),
        seed=42,
        dataset_dirs={"10_cat": {"n_repeats": 10, "img_count": 4}},
        tag_frequency={"10_cat": {"cat": 4}},
        bucket_info={"buckets": {"0": {"resolution": [512, 768], "count": 40}}, "mean_img_ar_error": 0.0},
        author="an author",
        license="CC0",
        description="what",
        tags="x, y",
    )


@pytest.mark.parametrize("case", ["sd1", "sd2", "sd2 v", "sdxl", "sdxl v"])
def test_version_and_modelspec_are_those_of_sd_scripts(case: str) -> None:
    expected = json.loads((DATA / "networks_metadata.json").read_text(encoding="utf-8"))["modelspec"][case]
    run = facts(Family(case.split()[0]), Prediction.V if case.endswith("v") else Prediction.EPSILON)
    found = metadata.build(run, 1, 20, 1700000000.5)
    expected["modelspec.date"] = datetime.fromtimestamp(1700000000).isoformat()  # local, as theirs
    assert {name: found.get(name) for name in expected} == expected
    assert found["ss_v2"] == str(case.startswith("sd2"))


def test_every_name_of_sd_scripts_is_there_as_text() -> None:
    golden = json.loads((DATA / "networks_metadata.json").read_text(encoding="utf-8"))
    found = metadata.build(facts(), 2, 40, 1700000000.5)
    # Their commit, which ours is not. ss_network_args is written with a convolution rank only, as theirs.
    assert set(golden["ss"]) <= set(found)
    assert all(isinstance(value, str) for value in found.values())
    assert (found["ss_steps"], found["ss_epoch"], found["ss_num_epochs"]) == ("40", "2", "3")
    assert (found["ss_noise_offset"], found["ss_network_dropout"], found["ss_gradient_checkpointing"]) == ("None", "None", "False")
    assert found["ss_resolution"] == "(512, 768)"
    assert found["ss_sd_model_name"] == "model.safetensors"
    assert json.loads(found["ss_tag_frequency"]) == {"10_cat": {"cat": 4}}
    assert json.loads(found["ss_bucket_info"])["buckets"]["0"]["count"] == 40
    assert "modelspec.trigger_phrase" not in found
    assert metadata.build(replace(facts(), trigger="ohwx"), 2, 40, 0.0)["modelspec.trigger_phrase"] == "ohwx"


def test_an_old_checkpoint_hash_is_of_its_second_mebibyte(tmp_path: Path) -> None:
    """As sd-scripts' model_hash: 8 digits of the sha256 of 64 KiB from 1 MiB on (of zeros: de2f256064a0af79…)."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"\1" * 0x100000 + bytes(0x10000) + b"\2" * 9)
    assert file.old_checkpoint_hash(path) == "de2f2560"


CARD = card.Card("ohwx", Family.SD1, "notes of the run", 0.8)


def test_a_card_holds_what_the_webui_reads(tmp_path: Path) -> None:
    path = card.write(tmp_path / "a.safetensors", CARD)
    assert path == tmp_path / "a.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "description": "",
        "sd version": "SD1",
        "activation text": "ohwx",
        "preferred weight": 0.8,
        "notes": "notes of the run",
    }


def test_what_a_user_wrote_on_a_card_stays(tmp_path: Path) -> None:
    mine = {
        "description": "mine",
        "sd version": "SDXL",
        "activation text": "my words",
        "preferred weight": 0,
        "notes": "",
        "negative text": "bad",
        "other": [1],
    }
    (tmp_path / "a.json").write_text(json.dumps(mine), encoding="utf-8")
    card.write(tmp_path / "a.safetensors", CARD)
    merged = {**mine, "sd version": "SD1", "preferred weight": 0.8, "notes": "notes of the run"}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == merged


def test_words_of_the_replaced_network_do_not_stay(tmp_path: Path) -> None:
    card.write(tmp_path / "a.safetensors", card.Card("old trigger", Family.SD1, "old notes"))
    card.write(tmp_path / "a.safetensors", CARD, {"modelspec.trigger_phrase": "old trigger", "modelspec.description": "old notes"})
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (found["activation text"], found["notes"], found["preferred weight"]) == ("ohwx", "notes of the run", 1.0)


@pytest.mark.parametrize("content", [b"{broken", b"\xff\xfe", b"[]"])
def test_a_card_that_cannot_be_read_is_not_lost(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    card.write(tmp_path / "a.safetensors", CARD)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["activation text"] == "ohwx"
    assert (tmp_path / "a.json.broken").read_bytes() == content


def test_what_is_replaced_lies_in_the_trash(tmp_path: Path) -> None:
    path, trash, now = tmp_path / "loras" / "a.safetensors", tmp_path / "trash", datetime(2026, 1, 2, 3, 4, 5)
    path.parent.mkdir()
    assert card.set_aside(path, trash, now) is None
    others = {"a.json": b"{}", "a.preview.png": b"p", "a.jpg": b"j"}
    folders = []
    for content in (b"first", b"second"):
        path.write_bytes(content)
        for name, other in {**others, "ab.png": b"another's"}.items():
            (path.parent / name).write_bytes(other)
        folders.append(card.set_aside(path, trash, now))
        assert path.read_bytes() == content  # the name is never empty
        file.write(path, {"a.alpha": torch.tensor(1.0)}, {}, "fp16")
        assert sorted(entry.name for entry in path.parent.iterdir()) == ["a.json", "a.safetensors", "ab.png"]
    assert len(set(folders)) == 2
    for folder, content in zip(folders, (b"first", b"second"), strict=True):
        assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == {"a.safetensors": content, **others}


def network(rank: int = 4, size: float = 0.01) -> Lora:
    layers = [ModuleLayer(f"layer{n}", "unet", "attention", 24, 16, None, nn.Linear(24, 16)) for n in range(3)]
    made = make(layers, rank, 3.0, 0, 1.0, torch.device("cpu"), torch.Generator().manual_seed(0))
    for number, weight in enumerate(made.parameters("unet")[1::2]):
        weight.data = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) * size
    return made


def loaded(path: Path, dtype: torch.dtype = torch.float32):
    """What a host reads: up @ down · alpha/rank of the file's own tensors, computed in `dtype`."""
    tensors = load_file(str(path))
    for key in sorted({name.split(".")[0] for name in tensors}):
        down, up = tensors[f"{key}.lora_down.weight"].to(dtype), tensors[f"{key}.lora_up.weight"].to(dtype)
        product = (up.float() @ down.float()).to(dtype)
        yield key, (product * (tensors[f"{key}.alpha"].float().item() / down.shape[0])).float()


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("host", ["fp32", "fp16"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_good_file_passes_at_every_size(tmp_path: Path, precision, host, size: float) -> None:
    """Also one that has hardly learnt, whose factors are subnormal numbers in half precision."""
    path, made = tmp_path / "a.safetensors", network(size=size)
    file.write(path, made.tensors(), {}, precision)
    verdict = verify.compare(made, loaded(path, DTYPES[host]), precision, host)
    assert verdict.ok, verdict
    assert verdict.message is None
    assert verdict.error <= verdict.tolerance
    assert verdict.worst in made.keys()  # noqa: SIM118


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_wrong_file_does_not_pass(precision) -> None:
    made = network()
    right = [(key, made.delta(key, precision)) for key in made.keys()]  # noqa: SIM118
    assert verify.compare(made, right, precision).error == 0
    scaled = verify.compare(made, [right[0], right[1], (right[2][0], right[2][1] * 1.1)], precision)
    assert (scaled.ok, scaled.worst, round(scaled.error, 3)) == (False, "layer2", 0.1)
    assert "layer2" in str(scaled.message)
    dropped = verify.compare(made, right[1:], precision)
    assert (dropped.ok, dropped.missing) == (False, ("layer0",))
    assert "layer0" in str(dropped.message)
    strange = verify.compare(made, [*right, ("layer9", right[0][1])], precision)
    assert (strange.ok, strange.unknown) == (False, ("layer9",))
    for change in (torch.full((16, 24), math.nan), torch.zeros(3, 3), right[0][1].T):
        assert not verify.compare(made, [(right[0][0], change), *right[1:]], precision).ok
    assert not verify.compare(made, [], precision).ok


def test_the_host_may_give_kernels_flat_and_a_new_network_is_zero() -> None:
    made = network(size=0.0)
    verdict = verify.compare(made, [(key, torch.zeros(16, 24, 1, 1)) for key in made.keys()], "fp16")  # noqa: SIM118
    assert (verdict.ok, verdict.error) == (True, 0.0)
    moved = verify.compare(made, [(key, torch.full((16, 24), 1e-3)) for key in made.keys()], "fp16")  # noqa: SIM118
    assert not moved.ok


def test_tolerance_is_small_against_what_a_mistake_does() -> None:
    assert tolerance(["fp32"], 1.0, 10**6) < 1e-5
    assert tolerance(["fp32", "fp16"], 1.0, 10**6) < 1e-2
    assert tolerance(["bf16", "fp16"], 1.0, 10**6) < 0.05
