"""A headless Chromium for the tests of web apps, started once and ended with them: it keeps an event loop running."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_PATIENCE_MS = 60_000  # a machine that does other things may starve a browser
CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--in-process-gpu", "--renderer-process-limit=1"),
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("nicegui", reason="the extra `studio` is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    playwright.expect.set_options(timeout=_PATIENCE_MS)
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield one
        one.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser's user: cookies and storage of their own."""
    one = browser.new_context(viewport={"width": 1200, "height": 800})
    one.set_default_timeout(_PATIENCE_MS)
    yield one
    one.close()
