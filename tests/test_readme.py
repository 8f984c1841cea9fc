"""What the README promises is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lib_lora.cli.arguments import parse
from lib_lora.cli.markdown import settings_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_the_generated_one() -> None:
    begin, end = "<!-- settings: made by `python -m lib_lora schema --markdown` -->\n", "<!-- end of settings -->"
    assert README.split(begin)[1].split(end)[0].strip() == settings_table().strip()


def test_every_command_it_names_is_one() -> None:
    named = set(re.findall(r"^\| `([a-z]+)[ `]", README.split("## Command line")[1].split("## API")[0], re.MULTILINE))
    assert named >= {"train", "plan", "page", "demo", "buckets", "inspect", "check", "bench", "schema", "doctor", "repeats", "tag"}
    samples = {
        "train": ["x.toml"],
        "plan": ["x.toml"],
        "buckets": ["1,1"],
        "inspect": ["x"],
        "check": ["x"],
        "doctor": ["x"],
        "repeats": ["--main", "1"],
        "tag": ["x"],
    }
    for command in named:
        parse([command, *samples.get(command, [])])


def test_its_job_file_is_one(tmp_path: Path) -> None:
    from lib_lora.cli.jobfile import read_job

    job = tmp_path / "job.toml"
    job.write_text(README.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert read_job(job).network.options.rank == 32


def test_every_option_of_a_command_is_one() -> None:
    """The options in the table are parsed, each with some value."""
    values = {"W,H": "8,8", "N": "1", "P": "0.5", "T": "x", "FOLDER": "x", "NAME": "x", "DIR": "x", "A,B": "2,4", "NAME=N": "full=1", "NAME,…": "main"}
    rows = re.findall(r"^\| `((?:doctor|repeats|tag) [^`]+)`", README.split("## Command line")[1].split("## API")[0], re.MULTILINE)
    assert len(rows) == 3
    for row in rows:
        argv: list[str] = []
        for word in row.replace("[", "").replace("]", "").split():
            argv.append("skip" if argv and argv[-1] == "--policy" else values.get(word, word))
        parse(argv)


def test_its_repeats_are_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from lib_lora.cli import main

    asked, given = re.findall(r"`(repeats --main [^`\[]+)` gives ([\d, and]+)\.", README)[0]
    assert main([*asked.split(), "--json"]) == 0
    repeats = json.loads(capsys.readouterr().out)["repeats"]
    assert [repeats[name] for name in ("main", "face", "full")] == [int(n) for n in re.findall(r"\d+", given)]


def test_its_routes_are_there(tmp_path: Path) -> None:
    from standin import StandInHost

    from lib_lora.api import bench, checks, editing, older, pictures, preparing, repeats, tagging
    from lib_lora.api.routes import Answers
    from lib_lora.workbench import Workbench

    workbench = Workbench(StandInHost(tmp_path))
    rooms = [route for room in (bench, pictures, editing, tagging, older, preparing, repeats, checks) for route in room.routes(workbench)]
    there = {(route.method, route.path.split("/{")[0]) for route in [*Answers(None, None).routes(), *rooms]}  # type: ignore[arg-type]
    named = set(re.findall(r"`(GET|POST) ([a-z0-9/-]+)", README.split("## API")[1].split("## Reliability")[0]))
    assert named <= there, named - there
    assert len(named) > 30


def test_the_steps_of_the_dataset_page_are_those_of_its_scripts() -> None:
    section = README.split("### The Dataset page")[1].split("###")[0]
    steps = re.findall(r"^\d\. \*\*(\w+)\*\*", section, re.MULTILINE)
    panels: dict[str, int] = {}
    for path in (ROOT / "javascript").glob("lora_studio_dataset_*.js"):
        for text in re.findall(r"api\.panel\(\{.*", path.read_text(encoding="utf-8")):
            panels[re.findall(r'title: \(\) => t\("(\w+)"\)', text)[0]] = int(re.findall(r"order: (\d+)", text)[0])
    assert steps == sorted(panels, key=lambda name: panels[name])
    from lib_lora.tagging.registry import DEFAULT

    assert re.findall(r"`(wd-[\w-]+)`", section) == [DEFAULT]


def test_its_example_card_works() -> None:
    from lib_lora.core.registry import Registry
    from lib_lora.training import schedulers

    source = README.split("## Add a card")[1].split("```python\n")[1].split("```")[0]
    original = schedulers.schedulers
    schedulers.schedulers = Registry("scheduler", "lib_lora.training.scheduler_kinds")
    try:
        space: dict[str, object] = {}
        exec(compile(source, "sqrt.py", "exec"), space)
        entry = schedulers.schedulers._entries["sqrt"]
        assert entry.build(entry.options())(25, 100) == 0.5
    finally:
        schedulers.schedulers = original


def test_pictures_and_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_it_speaks_of_itself_alone() -> None:
    assert not re.search(r"/work/|\bissue\b|\bsession\b", README)
