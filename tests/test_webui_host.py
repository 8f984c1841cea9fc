"""Parts of the WebUI host by themselves: registration, logins, folders, headers, the queue, checkpointed blocks."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lib_lora.core.errors import BusyError, HostError
from lib_lora.hosts.blocks import blocks_of, checkpointed
from lib_lora.hosts.schedule import training_schedule
from lib_lora.hosts.webui import facts, frozen, queue
from lib_lora.training.noise import rescale_zero_terminal

ROOT = Path(__file__).resolve().parents[1]


def test_nothing_of_the_webui_is_imported_by_importing_the_host() -> None:
    code = (
        "import sys, lib_lora.hosts.webui, lib_lora.hosts.webui.lease; print([m for m in sys.modules if m.split('.')[0] in ('modules', 'networks', 'gradio')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestRegistration:
    """Needs the double's `modules`, and with it the real ldm."""

    @pytest.fixture
    def webui(self, tmp_path: Path) -> Iterator[Path]:
        pytest.importorskip("ldm.modules.diffusionmodules.openaimodel", reason="stable-diffusion-sdkit (the real ldm) is not installed")
        import webui_double

        with webui_double.running(tmp_path):
            yield tmp_path

    def test_a_tab_routes_and_an_end_are_registered_at_each_call(self, webui: Path) -> None:
        from modules import script_callbacks

        from lib_lora.hosts.webui import mount

        seen: list[object] = []
        for _ in range(2):  # Reload UI forgets what was registered and runs the scripts again
            script_callbacks.registered.clear()
            mount(lambda: "tab", seen.append, lambda: seen.append("unloaded"))
            found = dict(script_callbacks.registered)
            assert found["ui_tabs"]() == [("tab", "LoRA Studio", "lora_studio")]
            found["app_started"](None, "app")
            found["script_unloaded"]()
        assert seen == ["app", "unloaded"] * 2

    def test_the_header_is_read_when_a_checkpoint_is_loaded(self, webui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from modules import script_callbacks

        from lib_lora.hosts.webui import mount

        script_callbacks.registered.clear()
        mount(lambda: "tab", lambda app: None, lambda: None)
        sd = facts.loaded()
        dict(script_callbacks.registered)["model_loaded"](sd)
        monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("the checkpoint was opened again"))
        assert "model.diffusion_model.out.2.bias" in facts.tensor_names(Path(sd.sd_checkpoint_info.filename))

    @pytest.mark.parametrize(
        ("flag", "value"), [("listen", True), ("share", True), ("ngrok", "token"), ("server_name", "0.0.0.0"), ("hide_ui_dir_config", True)]
    )
    def test_paths_are_confined_for_those_who_come_from_elsewhere(self, webui: Path, flag: str, value: object) -> None:
        from modules import shared

        from lib_lora.hosts.webui import WebUIHost

        host = WebUIHost()
        assert host.paths().roots is None
        shared.cmd_opts.gradio_allowed_path = ["/pictures"]
        setattr(shared.cmd_opts, flag, value)
        paths = host.paths()
        assert paths.roots == (webui, paths.loras, Path("/pictures"))
        assert paths.loras == webui / "models" / "Lora"
        assert webui in paths.state.parents

    @pytest.mark.parametrize(("flag", "pairs"), [(None, ()), ("ann:one", (("ann", "one"),)), ("ann:one,bob:t:wo", (("ann", "one"), ("bob", "t:wo")))])
    def test_logins_of_the_api_are_ours_too(self, webui: Path, flag: str | None, pairs: tuple[tuple[str, str], ...]) -> None:
        from modules import shared

        from lib_lora.hosts.webui import WebUIHost

        shared.cmd_opts.api_auth = flag
        assert WebUIHost().access().basic == pairs

    def test_a_host_without_a_model_has_no_facts_and_says_what_to_do(self, webui: Path) -> None:
        from modules import sd_models

        from lib_lora.hosts.base import Lease
        from lib_lora.hosts.webui import WebUIHost

        sd_models.model_data.sd_model = None
        host = WebUIHost()
        assert host.facts() is None
        assert "Choose one at the top" in str(host.refusals(Lease())[0])

    def test_idle_parts_leave_the_card_only_where_the_user_wants_it_and_are_back_for_a_preview(self, webui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from modules import processing, shared

        from lib_lora.hosts.base import Lease, PictureRequest
        from lib_lora.hosts.webui import WebUIHost

        host, moves = WebUIHost(), []
        home = torch.device("cpu")
        sd = facts.loaded()
        for name in ("first_stage_model", "cond_stage_model"):
            monkeypatch.setattr(getattr(sd, name), "to", lambda place, name=name: moves.append((name, place)))
        with host.borrow(Lease(), lambda: True) as model:
            model.place("unet", "te")
            assert moves == [("cond_stage_model", home)], "nothing is sent away unasked"
            shared.opts.data["unload_models_when_training"] = True
            moves.clear()
            model.place("unet")
            assert moves == [("first_stage_model", "cpu"), ("cond_stage_model", "cpu")]
            monkeypatch.setattr(processing, "process_images", lambda job: moves.append("sampling") or SimpleNamespace(images=["picture"]))
            moves.clear()
            assert host.picture(model, PictureRequest("x")) == "picture"
            back, away = ([("first_stage_model", place), ("cond_stage_model", place)] for place in (home, "cpu"))
            assert moves == [*back, "sampling", *away]
            moves.clear()
        assert moves == back

    def test_without_the_builtin_lora_nothing_is_trained(self, webui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from lib_lora.hosts.base import Lease
        from lib_lora.hosts.webui import WebUIHost

        monkeypatch.delitem(sys.modules, "networks")
        assert "Extensions" in str(WebUIHost().refusals(Lease())[0])
        WebUIHost().forget([webui / "x.safetensors"])


def write_header(path: Path, names: list[str]) -> Path:
    header = json.dumps({name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in names}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def test_names_are_read_anew_when_a_file_changes(tmp_path: Path) -> None:
    path = write_header(tmp_path / "model.safetensors", ["a"])
    assert facts.tensor_names(path) == {"a"}
    write_header(path, ["v_pred", "ztsnr"])
    assert facts.tensor_names(path) == {"v_pred", "ztsnr"}


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 5) + b"[[[[["])
def test_a_file_that_is_no_checkpoint_has_no_names(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    assert facts.tensor_names(path) == frozenset()
    assert facts.tensor_names(tmp_path / "missing.safetensors") == frozenset()
    assert facts.tensor_names(write_header(tmp_path / "model.ckpt", ["v_pred"])) == frozenset()


def becomes_free(lock: threading.Lock) -> bool:
    """Within seconds: a place that was given up may still have its turn for a moment."""
    deadline = time.monotonic() + 5
    while lock.locked() and time.monotonic() < deadline:
        time.sleep(0.005)
    return not lock.locked()


class TestQueue:
    def test_a_place_is_held_until_it_is_left(self) -> None:
        lock = threading.Lock()
        ticket = queue.Ticket(lock)
        assert ticket.wait(5)
        assert lock.locked()
        ticket.leave()
        ticket.leave()
        assert not lock.locked()

    def test_a_place_given_up_while_waiting_does_not_keep_the_lock(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        ticket = queue.Ticket(lock)
        assert not ticket.wait(0.01)
        ticket.leave()
        lock.release()
        assert becomes_free(lock)

    @pytest.mark.parametrize("reason", [KeyError("in patience"), None])
    def test_whatever_ends_the_wait_frees_the_place(self, monkeypatch: pytest.MonkeyPatch, reason: Exception | None) -> None:
        lock = threading.Lock()
        lock.acquire()
        monkeypatch.setitem(sys.modules, "modules", SimpleNamespace())
        monkeypatch.setitem(sys.modules, "modules.call_queue", SimpleNamespace(queue_lock=lock))

        def patience() -> bool:
            if reason is not None:
                raise reason
            return False

        with pytest.raises(type(reason) if reason else BusyError), queue.turn(patience):
            pytest.fail("not our turn")
        lock.release()
        with queue.turn(lambda: True):
            assert queue.taken()
        assert becomes_free(lock)


def test_zero_terminal_schedule_is_the_one_that_training_knows() -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = (1 - betas).cumprod(0).float()
    ours = training_schedule(alphas.half(), zero_terminal=False)
    assert ours.dtype is torch.float32
    assert torch.allclose(training_schedule(alphas, zero_terminal=True), rescale_zero_terminal(alphas), atol=1e-6)
    assert training_schedule(alphas, zero_terminal=False).data_ptr() != alphas.data_ptr()


class ResBlock(nn.Module):
    """Named as ldm's, so that it is taken for one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.tanh(self.layer(x))


def test_blocks_are_computed_again_only_where_gradients_are_asked() -> None:
    unet = nn.Sequential(ResBlock(), nn.Linear(4, 4), ResBlock()).requires_grad_(False)
    weight = torch.ones(4, requires_grad=True)
    own = unet[2].forward
    unet[2].forward = lambda x: own(x * weight)  # as a network is attached, and without a gradient in what comes in
    hooked = vars(unet[2])["forward"]
    assert blocks_of(unet) == [unet[0], unet[2]]
    with checkpointed(unet):
        with torch.no_grad():
            unet(torch.ones(1, 4))
        assert [block.calls for block in blocks_of(unet)] == [1, 1]
        unet(torch.ones(1, 4)).sum().backward()
        assert unet[2].calls == 3
    assert weight.grad is not None
    assert vars(unet[2])["forward"] is hooked
    assert "forward" not in vars(unet[0])


def test_a_write_to_the_model_is_found_by_samples_and_by_all_bytes() -> None:
    model = nn.Linear(64, 64)
    for look, index in ((frozen.probe, 0), (frozen.full_digest, 77)):
        with pytest.raises(HostError, match="weight"), frozen.unchanged(model, look), torch.no_grad():
            model.weight.view(-1)[index] += 1
    with frozen.unchanged(model, frozen.full_digest):
        pass
    with pytest.raises(KeyError), frozen.unchanged(model):
        raise KeyError("goes first")


def test_a_checkpoint_with_nan_in_it_counts_as_unchanged() -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[0, 0] = float("nan")
    with frozen.unchanged(model), frozen.unchanged(model, frozen.full_digest):
        pass


def test_flags_and_modes_come_back_one_by_one() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    model[0].weight.requires_grad_(False)
    model[1].eval()
    model[0].bias.grad = torch.ones(2)
    model.train = lambda mode=True: model  # ldm's encoders have such a one
    with frozen.frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not any(module.training for module in model.modules())
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, True]
    assert [module.training for module in model.modules()] == [True, True, False]
    assert model[0].bias.grad is None
