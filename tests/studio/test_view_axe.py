"""The viewer's page by axe-core."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe import axe_findings, needs_axe
from view_page import full, looked_for
from view_server import GLANDS, write_drawn
from web_server import WebServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.browser, needs_axe]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    one = WebServer(["view", str(write_drawn(tmp_path_factory.mktemp("drawn")))]).start()
    yield one
    one.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found(server: WebServer, context: Any, scheme: str) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(server.url)
    full(page)
    assert axe_findings(page, least="serious") == []
    looked_for(page, GLANDS)
    page.locator("#verdict").wait_for()
    page.locator("#slide").click(position={"x": 300, "y": 380})
    page.locator("#predicted").wait_for()
    assert axe_findings(page, least="serious") == []
    page.keyboard.press("/")
    page.keyboard.type("nuc")
    page.locator("#choices .choice").first.wait_for()
    assert axe_findings(page, least="serious") == []
