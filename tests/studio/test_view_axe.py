"""The viewer's page by axe-core, whose script HLSS_AXE names, or that lies in `.venv/axe` (npm install axe-core)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from view_page import full, looked_for
from view_server import GLANDS, write_drawn
from web_server import WebServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser
AXE = Path(os.environ.get("HLSS_AXE", ".venv/axe/node_modules/axe-core/axe.min.js"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    if not AXE.is_file():
        pytest.skip("no axe-core: set HLSS_AXE to its axe.min.js")
    one = WebServer(["view", str(write_drawn(tmp_path_factory.mktemp("drawn")))]).start()
    yield one
    one.stop()


def findings(page: Any) -> list[str]:
    """What is serious or worse, with where it is."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found(server: WebServer, context: Any, scheme: str) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(server.url)
    full(page)
    assert findings(page) == []
    looked_for(page, GLANDS)
    page.locator("#verdict").wait_for()
    page.locator("#slide").click(position={"x": 300, "y": 380})
    page.locator("#predicted").wait_for()
    assert findings(page) == []
    page.keyboard.press("/")
    page.keyboard.type("nuc")
    page.locator("#choices .choice").first.wait_for()
    assert findings(page) == []
