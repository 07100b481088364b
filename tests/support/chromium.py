"""A headless Chromium for tests, started once: it keeps an event loop running until it is closed."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

PATIENCE_MS = 60_000  # a machine that does other things may starve a browser
CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--in-process-gpu", "--renderer-process-limit=1"),
]


def started() -> Iterator[Any]:
    """The browser, closed in the end. Skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as running:
        one = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield one
        one.close()
