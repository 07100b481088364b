"""A headless Chromium for the tests of web apps, started once and ended with them."""

from collections.abc import Iterator
from typing import Any

import chromium
import pytest
from view_page import Open, full
from web_server import WebServer


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


@pytest.fixture
def opened(context: Any) -> Iterator[Open]:
    """Opens a page, and sees to it that nothing foreign was asked for, nothing failed and no script of a name ran."""
    pages: list[tuple[Any, WebServer]] = []
    asked: list[str] = []
    failed: list[str] = []

    def open_(server: WebServer, link: str = "") -> Any:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on("response", lambda got: failed.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        page.goto(link or server.url)
        full(page)
        pages.append((page, server))
        return page

    yield open_
    for page, server in pages:
        assert page.evaluate("window.harmed") is None
        assert all(url.startswith((f"http://127.0.0.1:{server.port}/", "data:")) for url in asked)
    assert failed == []
