"""What the README promises is there."""

from __future__ import annotations

import re
from pathlib import Path

from lib_lora.cli.arguments import parse
from lib_lora.cli.markdown import settings_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_the_generated_one() -> None:
    begin, end = "<!-- settings: made by `python -m lib_lora schema --markdown` -->\n", "<!-- end of settings -->"
    assert README.split(begin)[1].split(end)[0].strip() == settings_table().strip()


def test_every_command_it_names_is_one() -> None:
    named = set(re.findall(r"^\| `([a-z]+)[ `]", README.split("## Command line")[1].split("## API")[0], re.MULTILINE))
    assert named >= {"train", "plan", "page", "demo", "buckets", "inspect", "check", "bench", "schema"}
    samples = {"train": ["x.toml"], "plan": ["x.toml"], "buckets": ["1,1"], "inspect": ["x"], "check": ["x"]}
    for command in named:
        parse([command, *samples.get(command, [])])


def test_its_job_file_is_one(tmp_path: Path) -> None:
    from lib_lora.cli.jobfile import read_job

    job = tmp_path / "job.toml"
    job.write_text(README.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert read_job(job).network.options.rank == 32


def test_its_routes_are_there() -> None:
    from lib_lora.api.routes import Answers

    there = {(route.method, route.path.split("/")[0]) for route in Answers(None, None).routes()}  # type: ignore[arg-type]
    named = set(re.findall(r"`(GET|POST) ([a-z]+)", README.split("## API")[1].split("## Reliability")[0]))
    assert named <= there
    assert len(named) == 7


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
