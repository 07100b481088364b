"""A headless Chromium for the tests of web apps, started once and ended with them."""

from collections.abc import Iterator
from typing import Any

import chromium
import pytest


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Skips where there is none."""
    pytest.importorskip("nicegui", reason="the extra `studio` is not installed")
    yield from chromium.started()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser's user: cookies and storage of their own."""
    one = browser.new_context(viewport={"width": 1200, "height": 800})
    one.set_default_timeout(chromium.PATIENCE_MS)
    yield one
    one.close()
