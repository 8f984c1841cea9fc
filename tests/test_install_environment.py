"""install.py in environments made for it: it adds, proves, takes back, and never moves a version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pip", reason="this environment has no pip to lend to the throwaway ones")

from fake_index import BITSANDBYTES, BROKEN, CPU, GPU, Place, Wheel, make, onnx, torch

TOML = () if sys.version_info >= (3, 11) else (Wheel("tomli", "2.0.1", ""),)
WEBUI = (
    Wheel("torch", "2.1.2+cu121", torch("2.1.2+cu121", "12.1")),
    Wheel("torchvision", "0.16.2+cu121", "import torch\n"),
    Wheel("transformers", "4.30.2"),
    Wheel("numpy", "1.26.2", "def array(value, kind):\n    return value\n"),
)
REST = (
    Wheel("safetensors", "0.4.2", "", module="safetensors/torch"),
    Wheel("accelerate", "0.21.0"),
    Wheel("peft", "0.13.2"),
    Wheel("lycoris-lora", "3.4.0", module="lycoris"),
    Wheel("onnxruntime", "1.20.0", onnx(CPU)),
    Wheel("bitsandbytes", "0.45.5", BITSANDBYTES),
    *TOML,
)
NEWER_TORCH = Wheel("torch", "2.14.1", torch("2.14.1", "13.0"))


def rest_without(*names: str) -> list[Wheel]:
    return [wheel for wheel in REST if wheel.name not in names]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make(tmp_path)


def test_the_webuis_environment_differs_only_by_additions(place: Place) -> None:
    place.have(*WEBUI, Wheel("accelerate", "0.21.0"), Wheel("safetensors", "0.4.2", "", module="safetensors/torch"))
    place.offer(
        NEWER_TORCH,
        *(Wheel("accelerate", "1.15.0"), Wheel("safetensors", "0.9.0", "", module="safetensors/torch"), Wheel("transformers", "5.0.0")),
        *(Wheel("peft", "0.13.2", requires=("torch>=1.13", "transformers", "accelerate>=0.21", "psutil")), Wheel("psutil", "7.0.0")),
        *(Wheel("peft", "0.21.2", requires=("transformers>=4.50",)), Wheel("einops", "0.8.0")),
        *(Wheel("lycoris-lora", version, requires=(f"torch{least}", "einops"), module="lycoris") for version, least in (("4.1.3", ">=2.4"), ("3.4.0", ""))),
        *(Wheel("onnxruntime", "1.23.2", onnx(CPU)), Wheel("onnxruntime-gpu", "1.23.2", onnx(CPU, GPU), module="onnxruntime"), Wheel("tomli", "2.0.1", "")),
        Wheel("bitsandbytes", "0.45.5", BITSANDBYTES),
    )
    before = place.versions()
    ended = place.start()
    after = place.versions()
    added = {"peft": "0.13.2", "psutil": "7.0.0", "lycoris-lora": "3.4.0", "einops": "0.8.0", "onnxruntime": "1.23.2", **({"tomli": "2.0.1"} if TOML else {})}
    assert ended.code == 0, ended
    assert {name: after[name] for name in before} == before
    assert {name: version for name, version in after.items() if name not in before} == added, ended.out
    assert "8-bit optimizers not available (bitsandbytes): it needs an NVIDIA card" in ended.out  # built with CUDA, but no card answers


def test_torch_stays_though_the_newest_asks_for_another(place: Place) -> None:
    place.have(*WEBUI, *rest_without("accelerate"))
    place.offer(NEWER_TORCH, Wheel("accelerate", "1.15.0", requires=("torch>=2.4",)), Wheel("accelerate", "0.34.2", requires=("torch>=1.10",)))
    ended = place.start()
    assert (place.versions()["torch"], place.versions()["accelerate"]) == ("2.1.2+cu121", "0.34.2"), ended.out


def test_what_does_not_import_gives_way_to_the_next(place: Place) -> None:
    new = [Wheel("transformers", "4.48.0") if wheel.name == "transformers" else wheel for wheel in WEBUI]
    place.have(*new, Wheel("accelerate", "1.2.0"), *rest_without("peft", "accelerate"))
    place.offer(Wheel("peft", "0.17.1", BROKEN, ("oddity",)), Wheel("oddity", "1.0"), Wheel("peft", "0.13.2", requires=("helpful",)), Wheel("helpful", "2.0"))
    before = place.versions()
    ended = place.start()
    assert place.versions() == {**before, "peft": "0.13.2", "helpful": "2.0"}, ended.out
    assert "not available (peft)" not in ended.out


def test_what_cannot_be_had_is_one_line_and_not_tried_again_until_something_changes(place: Place) -> None:
    place.have(*WEBUI, *rest_without("peft"))
    place.offer(Wheel("peft", "0.13.2", BROKEN, ("oddity",)), Wheel("oddity", "1.0"))
    before = place.versions()
    ended = place.start()
    lines = [line for line in ended.out.splitlines() if "not available (peft)" in line]
    assert (ended.code, len(lines), place.versions()) == (0, 1, before), ended.out
    assert "PEFT network kinds" in lines[0]
    assert "/home/somebody" not in ended.out
    told = place.pip_that_writes_down()
    assert lines[0] in place.start().out
    assert not told.exists()
    (place.site / "transformers-4.30.2.dist-info").rename(place.site / "transformers-4.31.0.dist-info")
    place.start()
    assert told.exists()


def test_with_nothing_to_do_no_process_starts_and_nothing_heavy_is_imported(place: Place) -> None:
    place.have(*WEBUI, *REST)
    assert place.start().code == 0
    told = place.pip_that_writes_down()
    quick = place.start("-X", "importtime")
    imported = {line.rsplit("|", 1)[1].strip() for line in quick.err.splitlines() if line.startswith("import time:")}
    assert (quick.code, quick.out) == (0, "")
    assert "pathlib" in imported
    assert not imported & {"torch", "subprocess", "importlib.metadata", "argparse", "email", "zipfile"}
    assert not told.exists()


def test_without_a_network_the_start_goes_on_and_the_next_tries_again(place: Place) -> None:
    place.have(*WEBUI, *rest_without("peft", "onnxruntime"))
    before = place.versions()
    nowhere = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    ended = place.start(**nowhere)
    assert (ended.code, place.versions()) == (0, before)
    assert ended.out.count("no package index answers") == 1
    assert ended.out.count("LoRA Studio: adding") == 1  # the first call shows it: no second package is asked for
    assert "peft (PEFT network kinds), onnxruntime (tagging pictures)" in ended.out
    assert not {"peft", "onnxruntime"} & set(place.remembered())
    assert place.start(**nowhere).out == ended.out
    place.offer(Wheel("peft", "0.13.2"), Wheel("onnxruntime", "1.23.2", onnx(CPU)))
    assert "no package index" not in place.start().out
    assert {"peft", "onnxruntime"} <= set(place.versions())


@pytest.mark.parametrize(
    ("reachable", "gpu_providers", "installed", "left_behind", "said"),
    [
        (True, (CPU, GPU), "", "onnxruntime-gpu", ""),
        (True, (CPU,), "", "onnxruntime", "pictures are tagged on the CPU: onnxruntime-gpu 1.23.2: it opens no session on CUDAExecutionProvider"),
        (False, (CPU, GPU), "", "onnxruntime", ""),
        (True, (CPU, GPU), "onnxruntime", "onnxruntime", ""),
        (True, (CPU, GPU), "onnxruntime-directml", "onnxruntime-directml", ""),
        (True, (CPU,), "onnxruntime-gpu", "onnxruntime-gpu", "is left as it is"),
    ],
)
def test_one_onnxruntime_and_the_one_that_works(
    place: Place, reachable: bool, gpu_providers: tuple[str, ...], installed: str, left_behind: str, said: str
) -> None:
    place.have(Wheel("torch", "2.4.1+cu124", torch("2.4.1+cu124", "12.4", reachable)), *WEBUI[1:], *rest_without("onnxruntime"))
    place.offer(Wheel("onnxruntime", "1.23.2", onnx(CPU)), Wheel("onnxruntime-gpu", "1.23.2", onnx(*gpu_providers), module="onnxruntime"))
    if installed:
        place.have(Wheel(installed, "1.20.0", onnx(*gpu_providers), module="onnxruntime"))
    ended = place.start()
    assert [name for name in place.versions() if name.startswith("onnxruntime")] == [left_behind], ended.out
    assert said in ended.out
    assert bool(said) == ("onnxruntime" in "".join(line for line in ended.out.splitlines() if "adding" not in line and "added" not in line))


@pytest.mark.parametrize("works", [True, False])
def test_the_8_bit_step_is_done_on_the_card_before_it_is_promised(place: Place, works: bool) -> None:
    place.have(Wheel("torch", "2.1.2+cu121", torch("2.1.2+cu121", "12.1", reachable=True)), *WEBUI[1:], *rest_without("bitsandbytes"))
    place.offer(Wheel("bitsandbytes", "0.45.5", BITSANDBYTES if works else BITSANDBYTES.replace("0.9", "1.0")))
    ended = place.start()
    assert ("bitsandbytes" in place.versions()) is works
    assert ("its 8-bit step changes nothing" in ended.out) is not works


def test_an_addition_that_breaks_the_host_is_taken_out(place: Place) -> None:
    fragile = "import importlib.util\nif importlib.util.find_spec('peft'):\n    raise ImportError('too new a peft')\n"
    place.have(*(Wheel("transformers", "4.30.2", fragile) if wheel.name == "transformers" else wheel for wheel in WEBUI), *rest_without("peft"))
    place.offer(Wheel("peft", "0.13.2"))
    before = place.versions()
    ended = place.start()
    assert (ended.code, place.versions()) == (0, before)
    assert "with it, transformers no longer imports, so it was taken out again" in ended.out


@pytest.mark.parametrize("source", [None, "raise OSError('libcudart.so.12: cannot open shared object file')\n"])
def test_without_a_working_torch_nothing_is_added(place: Place, source: str | None) -> None:
    if source:
        place.have(Wheel("torch", "2.1.2", source))
    place.offer(*REST, NEWER_TORCH)
    told = place.pip_that_writes_down()
    ended = place.start()
    assert (ended.code, told.exists()) == (0, False)
    assert "nothing is added, because PyTorch does not work in this Python" in ended.out


def test_a_torn_memory_is_no_memory(place: Place) -> None:
    place.have(*WEBUI, *REST)
    place.start()
    whole = place.remembered()
    (place.folder / "venv" / "lora-studio-install.json").write_text('{"for": ', encoding="utf-8")
    assert place.start().code == 0
    assert place.remembered() == whole
    assert str(place.folder) not in str(whole)


def test_where_everything_is_there_and_works_nothing_is_said(place: Place) -> None:
    place.have(*WEBUI, *REST)
    assert (place.start().out, {key for key, line in place.remembered().items() if line}) == ("", set())
