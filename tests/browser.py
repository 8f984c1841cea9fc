"""Chromium for tests: the one of the system, headless, without a network; what a page complains about is collected."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# What gradio itself says on a page that works: fonts it cannot fetch, tabs it selects before they are there.
USUAL = (
    "fonts.g",
    "cdnjs.cloudflare",
    "ERR_FAILED",
    "ERR_NAME_NOT_RESOLVED",
    "ERR_ABORTED",
    "ERR_CONNECTION",
    "Unable to preload CSS",
    "Too many arguments provided",
    "Attempted to select a non-interactive or hidden tab",
    "Method not implemented",
    "manifest.json",
)
PATIENCE = 30_000  # ms: machines that test do other things as well


def chromium() -> str:
    """The path of a Chromium; without one, or without playwright, the test is skipped by name."""
    pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("the browser test needs Chromium (apt install chromium)")
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """A running Chromium."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def visit(
    running: Any, address: str, query: str = "", size: tuple[int, int] = (1280, 900), context: Any = None, refused: str = "no", ready: bool = True
) -> Iterator[Any]:
    """The page at `address`, ready to be used; fails at the end if it complained, but for answers of the status `refused`.

    `context` keeps what a browser remembers. Without `ready` the page is given before it has read its form.
    """
    own = context or running.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-US")
    own.route("**/*", lambda route: route.continue_() if route.request.url.startswith((address, "data:", "blob:")) else route.abort())
    page, complaints = own.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and not _usual(said.text) and complaints.append(said.text))
    try:
        page.goto(f"{address}{query}", wait_until="domcontentloaded")
        page.wait_for_selector("#lora_studio_panel[data-ready]", state="visible")
        if ready:
            settled(page)
        yield page
    finally:
        page.close()
        if context is None:
            own.close()
    left = [said for said in complaints if f"status of {refused}" not in said]
    assert not left, left


def _usual(text: str) -> bool:
    return any(known in text for known in USUAL)


def field(name: str) -> str:
    """The selector of a setting's input."""
    return f"#lora_studio_train_{name.replace('.', '_')} :is(input, textarea)"


def fill(page: Any, fold: str, name: str, value: str) -> None:
    """Type into a field of a fold, which is opened first, and leave the field."""
    if not page.is_visible(field(name)):
        page.click(f"#lora_studio_fold_{fold} > .label-wrap")
    page.fill(field(name), value)
    page.press(field(name), "Tab")


def holds(page: Any, name: str, value: str) -> None:
    """Wait until a field holds that value: what a browser kept comes back a moment after the page."""
    page.wait_for_function("([name, value]) => document.querySelector(name)?.value === value", arg=[field(name), value])


def settled(page: Any) -> None:
    """Wait until the page knows all that was entered into it, and has the server's answer to it."""
    page.wait_for_function("window.loraStudio?.settled() === true")


def phase(page: Any, *wanted: str) -> None:
    """Wait until the panel shows one of these phases."""
    page.wait_for_selector(", ".join(f'#lora_studio_panel[data-phase="{name}"]' for name in wanted))


def points(page: Any) -> int:
    """How many points the chart shows."""
    return int(page.evaluate("document.querySelector('#lora_studio_chart')?.dataset.points || 0"))


def more_points(page: Any, than: int) -> int:
    """Wait until the chart shows more points; returns how many."""
    page.wait_for_function("than => Number(document.querySelector('#lora_studio_chart')?.dataset.points || 0) > than", arg=than)
    return points(page)


def overflow(page: Any) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
