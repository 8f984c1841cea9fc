"""The command line as a program: what is on stdout, what on stderr, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, get_args

import pytest
from standin import pictures

from lib_lora.cli import main
from lib_lora.cli.console import Console, lines_of
from lib_lora.cli.jobfile import read_job
from lib_lora.cli.progress import line_of
from lib_lora.core.errors import ConfigError
from lib_lora.core.settings import describe, dump
from lib_lora.jobs import Status
from lib_lora.training.config import TrainConfig
from lib_lora.training.events import Phase

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str, cwd: Path | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """`python -m lib_lora` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "lib_lora", *arguments]
    return subprocess.run(command, cwd=cwd or ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False, **more)


def document(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    """The one JSON document that stdout is."""
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    pictures(tmp_path / "set")
    path = tmp_path / "job.toml"
    path.write_text(f"[data]\nfolder = {json.dumps(str(tmp_path / 'set'))}\n[network]\nkind = 'lora'\nrank = 4\n[learning]\nepochs = 2\n", encoding="utf-8")
    return path


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'PIL', 'fastapi', 'gradio'}"
    code = f"import sys; from lib_lora.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    for command in ("train", "plan", "buckets", "inspect", "check", "bench", "demo", "page", "schema"):
        assert command in done.stdout


def test_plan_echoes_the_whole_job(job: Path) -> None:
    found = document(run("plan", str(job), "--json", "--set", "learning.batch_size=2", "--set", "caption.trigger=sks"))
    assert (found["images"], found["samples"], found["problems"], found["seconds"]) == (3, 30, [], None)
    assert found["steps"] == found["steps_per_epoch"] * 2
    echoed = found["job"]
    assert (echoed["network"]["rank"], echoed["learning"]["batch_size"], echoed["caption"]["trigger"]) == (4, 2, "sks")
    assert list(echoed) == [field.name for field in dataclasses.fields(TrainConfig)]
    again = job.with_suffix(".json")
    again.write_text(json.dumps(echoed), encoding="utf-8")
    assert document(run("plan", str(again), "--json"))["job"] == echoed, "what is echoed is a job file"


def test_plan_needs_no_torch(job: Path) -> None:
    code = f"import sys; from lib_lora.cli import main; code = main(['plan', {str(job)!r}, '--json']); sys.exit(code or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_findings_of_a_plan_are_in_the_document(tmp_path: Path, job: Path) -> None:
    (tmp_path / "set" / "0.png").write_bytes(b"no picture")
    found = document(run("plan", str(job), "--json"))
    assert any("0.png" in problem for problem in found["problems"])
    lines = run("plan", str(job))
    assert lines.returncode == 0 and "✗" in lines.stdout and "0.png" in lines.stdout


def test_plan_speaks_both_languages(job: Path) -> None:
    english, chinese = (document(run("plan", str(job), "--json", "--lang", language)) for language in ("en", "zh_CN"))
    assert english["steps"] == chinese["steps"]
    assert "3 pictures" in english["sentences"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "COMMAND"),
        (("paint",), 2, "paint"),
        (("plan",), 2, "JOB"),
        (("plan", "nothere.toml"), 2, "nothere.toml"),
        (("plan", "JOB", "--set", "learning.epochs"), 2, "name=value"),
        (("plan", "JOB", "--set", "learning.epochs=0"), 2, "Epochs (learning.epochs): 0 is outside"),
        (("plan", "JOB", "--set", "lerning.epochs=1"), 2, "lerning"),
        (("plan", "JOB", "--set", "network=3"), 2, "network"),
        (("plan", "JOB", "--checkpoint", "nothere.safetensors"), 2, "nothere.safetensors"),
        (("train", "JOB", "--checkpoint", "nothere.safetensors"), 2, "nothere.safetensors"),
        (("inspect", "nothere.safetensors"), 2, "nothere.safetensors"),
        (("check", "nothere.safetensors"), 2, "nothere.safetensors"),
        (("buckets", "--resolution", "512,512"), 2, "W,H"),
        (("buckets", "wide"), 2, "wide"),
        (("buckets", "0,5"), 2, "0,5"),
        (("buckets", "--step", "7", "512,512"), 2, "(bucket.step): 7"),
        (("buckets", "--no-upscale", "10,600"), 3, "10"),
    ],
)
def test_errors_are_one_document_with_their_exit_code(tmp_path: Path, job: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    arguments = tuple(str(job) if word == "JOB" else word for word in arguments)
    found = document(run(*arguments, "--json", cwd=tmp_path), code)
    assert list(found) == ["error"] and words in found["error"]
    plain = run(*arguments, cwd=tmp_path)
    assert plain.returncode == code and plain.stdout == "" and words in plain.stderr and "Traceback" not in plain.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.toml", b"[data\n", "x.toml"),
        ("x.json", b"{", "x.json"),
        ("x.json", b"[]", "object of settings"),
        ("x.toml", b"[netwrk]\nrank = 3\n", "netwrk"),
        ("x.toml", "[save]\nname = 'ä'".encode("latin-1"), "UTF-8"),
    ],
)
def test_a_wrong_job_file_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_job(tmp_path / name)


def test_job_files_and_changes(tmp_path: Path, job: Path) -> None:
    assert read_job(job).network.options.rank == 4
    bom = tmp_path / "bom.toml"
    bom.write_bytes(b"\xef\xbb\xbf" + job.read_bytes())
    assert read_job(bom) == read_job(job), "editors of Windows write a mark first"
    changed = read_job(job, ["save.name=007", "caption.trigger=true", "data.resolution=768,512", "learning.unet_lr=2e-4", "network.kind=lora"])
    assert (changed.save.name, changed.caption.trigger, changed.data.resolution, changed.learning.unet_lr) == ("007", "true", (768, 512), 2e-4)
    assert changed.network.options.rank == 4, "the same kind named again keeps its options"
    dotted = tmp_path / "dotted.json"
    dotted.write_text(json.dumps({"network.rank": 8, "data.folder": "x"}), encoding="utf-8")
    assert (read_job(dotted).network.options.rank, read_job(dotted).data.folder) == (8, "x")


def test_toml_on_an_old_python_without_tomli_says_what_to_do(tmp_path: Path, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    assert main(["plan", str(job), "--json"]) == 4


def test_buckets_print_what_the_training_uses() -> None:
    """The sizes and buckets are sd-scripts' for 512,512 with 256…1024 in steps of 64."""
    arguments = ("buckets", "--resolution", "512,512", "--min", "256", "--max", "1024", "--step", "64")
    found = document(run(*arguments, "--json", "1000,600", "600,1000", "512,512"))
    assert [list(row) for row in found] == [["image", "bucket", "resized"]] * 3
    assert [row["image"] for row in found] == [[1000, 600], [600, 1000], [512, 512]]
    assert found[0]["bucket"] == found[1]["bucket"][::-1] and found[2] == {"image": [512, 512], "bucket": [512, 512], "resized": [512, 512]}
    assert all(resized >= side for row in found for resized, side in zip(row["resized"], row["bucket"], strict=True))
    small = document(run(*arguments, "--no-upscale", "--json", "200,300"))[0]
    assert small["bucket"] == [192, 256] and small["resized"] == [200, 300]
    lines = run(*arguments, "1000,600").stdout
    assert lines == "1000×600 → {}×{} (as {}×{})\n".format(*found[0]["bucket"], *found[0]["resized"])
    chinese = run(*arguments, "--lang", "zh_CN", "1000,600").stdout
    assert "as" not in chinese and "1000×600 → {}×{}".format(*found[0]["bucket"]) in chinese


def test_a_pipe_of_another_code_page_is_written_in_utf_8(tmp_path: Path) -> None:
    """Pipes of Windows have a code page that lacks our arrows, every Chinese letter, and letters of file names."""
    for arguments, words in ((("buckets", "800,600"), "800×600 →"), (("plan", "没有.toml", "--lang", "zh_CN"), "没有.toml"), (("inspect", "\udc80"), "?")):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252"}
        done = subprocess.run([sys.executable, "-m", "lib_lora", *arguments], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
        told = (done.stdout + done.stderr).decode("utf-8")
        assert words in told and "UnicodeEncodeError" not in told, told


def test_schema_lists_every_setting() -> None:
    names = [setting.name for setting in describe(TrainConfig)]
    assert [one["name"] for one in document(run("schema", "--json"))["settings"]] == names
    table = run("schema", "--markdown").stdout
    for name in names:
        assert f"| `{name}`" in table
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == len(names) and all(row.replace("\\|", "").count("|") == 5 for row in rows)


# --- a training, seen from outside: a stand-in of the host in a program of its own ---

PROGRAM = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from standin import StandInHost
from lib_lora.cli import main, training
from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.jobs import Jobs
from lib_lora.training.events import Ended, Planned, Saved, Stepped, Warned

def run(config, host, control):
    yield Planned({steps}, 2, {steps} // 2)
    print("a library prints")
    yield Warned(say("careful"))
    for step in range(1, {steps} + 1):
        if control.request:
            yield Ended("stopped" if control.request == "stop" else "cancelled", step - 1)
            return
        time.sleep({pause})
        yield Stepped(step, (step + 1) // 2, 0.1, 1e-4, 0.01)
        if step == 3 and {fails}:
            raise HostError(say("The model was unloaded."))
    file = host.paths().loras / "sks.safetensors"
    yield Saved(file, 1, True, 0.0)
    yield Ended("done", {steps})

training._host = lambda checkpoint, output: StandInHost(Path(output))
training.Jobs = lambda host: Jobs(host, run)
sys.exit(main(sys.argv[1:]))
"""


def program(tmp_path: Path, steps: int = 6, pause: float = 0.0, fails: bool = False) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(root=str(ROOT), tests=str(ROOT / "tests"), steps=steps, pause=pause, fails=fails), encoding="utf-8")
    return [sys.executable, str(path), "train", str(tmp_path / "job.toml"), "--checkpoint", "x.safetensors", "--output", str(tmp_path / "out")]


def test_a_training_is_one_document(tmp_path: Path, job: Path) -> None:
    done = subprocess.run([*program(tmp_path), "--json"], capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    found = document(done)
    assert (found["phase"], found["step"], found["steps"], found["error"], found["warnings"]) == ("done", 6, 6, None, ["careful"])
    assert [Path(file).name for file in found["files"]] == ["sks.safetensors"]
    assert "a library prints" in done.stderr
    plain = subprocess.run(program(tmp_path), capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert plain.returncode == 0 and plain.stdout.splitlines()[-1].endswith("sks.safetensors")
    assert "! careful" in plain.stdout and "\nDone" in plain.stdout


def test_how_far_it_is_comes_in_the_language_that_is_asked_for() -> None:
    console = Console.of(["--lang", "zh_CN"])
    for phase in get_args(Phase):
        for files in ((), (Path("sks.safetensors"),)):
            told = line_of(Status(phase=phase, files=files), console)
            assert any("\u4e00" <= letter <= "\u9fff" for letter in told) and not any(letter.isascii() and letter.isalpha() for letter in told), told
    told = line_of(Status(phase="training", step=3, steps=9, epoch=1, epochs=3, loss=0.5, speed=2.0, eta_s=3.0), console)
    assert told.startswith("训练中") and "3/9" in told


def test_stopped_without_a_file_is_not_said_to_be_saved() -> None:
    console = Console.of([])
    assert [line_of(Status(phase="stopped", files=files), console) for files in ((), (Path("x"),))] == ["Stopped", "Stopped and saved"]


def test_a_failed_training_is_one_document_with_its_exit_code(tmp_path: Path, job: Path) -> None:
    done = subprocess.run([*program(tmp_path, fails=True), "--json"], capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    found = document(done, 4)
    assert (found["phase"], found["step"], found["error"]) == ("failed", 3, "The model was unloaded.")
    plain = subprocess.run(program(tmp_path, fails=True), capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert plain.returncode == 4 and "✗ The model was unloaded." in plain.stderr


def test_data_that_cannot_be_used_ends_with_three(tmp_path: Path, job: Path) -> None:
    for file in (tmp_path / "set").glob("*.png"):
        file.unlink()
    done = subprocess.run([*program(tmp_path), "--json"], capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert list(document(done, 3)) == ["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to another program's console")
@pytest.mark.parametrize(("presses", "phase"), [(1, "stopped"), (2, "cancelled")])
def test_ctrl_c_stops_and_twice_cancels(tmp_path: Path, job: Path, presses: int, phase: str) -> None:
    slow = 0.0 if presses == 1 else 1.0
    process = subprocess.Popen(
        [*program(tmp_path, steps=100_000, pause=slow or 0.01), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Training"):
            break
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "Stopping" in line:
            break
    if presses == 2:
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out)["phase"] == phase


def test_an_unexpected_error_is_still_one_document(job: Path) -> None:
    code = textwrap.dedent(f"""
        import sys
        from lib_lora.cli import main, commands
        import lib_lora.plan
        def broken(*_, **__): raise ZeroDivisionError("oh")
        lib_lora.plan.make = broken
        sys.exit(main(["plan", {str(job)!r}, "--json"]))
    """)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ZeroDivisionError: oh" in document(done, 4)["error"]
    assert "Traceback" in done.stderr


def test_the_default_job_is_a_valid_job(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps(dump(TrainConfig())), encoding="utf-8")
    assert read_job(path) == TrainConfig()


def test_documents_read_well_as_lines() -> None:
    found = {"file": "x", "loads": True, "gone": None, "empty": [], "sizes": [1, 2], "hosts": {"a": {"ok": False}}, "rows": [{"n": 1}, {"n": 2}]}
    assert lines_of(found) == ("file: x", "loads: yes", "sizes: 1, 2", "hosts:", "  a:", "    ok: no", "rows:", "  -", "    n: 1", "  -", "    n: 2")


def test_a_page_is_ended_by_ctrl_c_and_leaves_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from standin import StandInHost

    from lib_lora import app
    from lib_lora.cli import training

    served: list[Any] = []

    def standalone(host: Any, port: int, open_browser: bool, jobs: Any) -> None:
        served.append((port, open_browser))
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "standalone", standalone)
    monkeypatch.setattr(training, "_host", lambda checkpoint, output: StandInHost(output))
    assert main(["page", "--checkpoint", "x", "--port", "1234", "--no-browser", "--output", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr()
    assert served == [(1234, False)] and json.loads(told.out)["phase"] == "idle" and "127.0.0.1:1234" in told.err
