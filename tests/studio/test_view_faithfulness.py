"""Beside every map in a real browser: whether it can be believed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from view_page import Open, full, link_of, looked_for
from view_server import FEW, GLANDS, write_drawn
from web_server import WebServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser
expect = playwright.expect
FULL_SLIDE, SMALL_SLIDE = "P0001-00", "P0000-00"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[WebServer]:
    one = WebServer(["view", str(run)]).start()
    yield one
    one.stop()


def painted(page: Any) -> str:
    """Address of a tile of the map that is painted last."""
    full(page, "map")
    return str(page.locator(".map img").last.get_attribute("src"))


def grey(page: Any) -> None:
    """Wait until no map is seen but a grey one."""
    page.wait_for_function("() => [...document.querySelectorAll('.map img')].every(one => one.src.includes('weak'))")


def to(page: Any, slide: str) -> None:
    page.locator("#tree .leaf", has_text=slide).click()
    expect(page.locator("#caption")).to_contain_text(slide)


def test_a_map_is_there_at_once_and_its_faithfulness_follows(server: WebServer, opened: Open) -> None:
    page = opened(server)
    to(page, FULL_SLIDE)
    held: list[Any] = []
    page.route(re.compile("/faithfulness/"), lambda route: held.append(route))
    looked_for(page, GLANDS)  # waits for the map
    expect(page.locator("#faithfulness")).to_have_text("testing…")
    expect(page.locator("#legend")).to_contain_text("testing…")
    assert "colours=two-sided" in painted(page)
    held[0].continue_()
    expect(page.locator("#faithfulness")).to_have_text(re.compile(r"0\.\d\d( \[0\.\d\d, [01]\.\d\d\])?$"))
    expect(page.locator("#trust")).to_contain_text("0.5 is chance, 1 is best; random map 0.")
    expect(page.locator("#trust")).to_contain_text("random text 0.")
    expect(page.locator("#verdict")).to_contain_text("bove chance")
    expect(page.locator("#legend")).to_contain_text("0.5 is chance")
    expect(page.locator("#legend")).to_contain_text(GLANDS)
    page.keyboard.press("Escape")
    page.locator("#shown").uncheck()
    expect(page.locator("#legend")).to_be_hidden()


def test_on_drawn_tissue_the_true_map_is_offered(server: WebServer, opened: Open) -> None:
    page = opened(server)
    to(page, FULL_SLIDE)
    looked_for(page, GLANDS)
    expect(page.locator("#truth")).to_contain_text(re.compile(r"Against what was drawn: glands .*AUROC (0\.9|1\.0)"))
    page.locator("#drawn").select_option("drawn")
    page.wait_for_function("() => [...document.querySelectorAll('.map img')].some(one => one.src.includes('drawn'))")
    assert painted(page).endswith("&drawn")
    expect(page.locator("#legend")).to_contain_text("as it was drawn")
    assert link_of(page, "drawn")["drawn"] == "1"
    other = opened(server, page.url)
    expect(other.locator("#drawn")).to_have_value("drawn")
    looked_for(other, "melanin pigment")  # a sentence, which stands for nothing that was drawn
    expect(other.locator("#which")).to_be_hidden()


def test_of_few_tiles_nothing_is_said_and_the_map_is_grey(server: WebServer, opened: Open) -> None:
    page = opened(server)
    to(page, SMALL_SLIDE)
    looked_for(page, GLANDS)
    expect(page.locator("#verdict")).to_have_text(f"Not known: {FEW} tiles are too few (of 40)")
    grey(page)
    to(page, FULL_SLIDE)
    expect(page.locator("#faithfulness")).to_contain_text(re.compile(r"0\.\d\d"))


def test_a_run_without_labels_says_that_it_predicts_no_class(server: WebServer, opened: Open) -> None:
    page = opened(server)
    page.locator("#slide").click(position={"x": 300, "y": 200})
    expect(page.locator("#predicted")).to_have_text("None: no patch of this run's train side has a label.")
    expect(page.locator("#patch")).to_contain_text("Label none")


def test_a_map_that_is_not_above_chance_is_grey_and_says_so(run: Path, opened: Open) -> None:
    server = WebServer(["view", str(run), "--table", "start"]).start()
    try:
        page = opened(server)
        looked_for(page, GLANDS)
        for place in ("#verdict", "#legend"):
            expect(page.locator(place)).to_contain_text(re.compile("not above chance", re.IGNORECASE))
        page.wait_for_function(
            "() => [...document.querySelectorAll('.map img')].every(one => one.src.includes('weak'))"
        )
        full(page, "map")
        shades = page.locator("#bar .colours").evaluate("one => getComputedStyle(one).backgroundImage")
        assert all(len(set(one)) == 1 for one in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", shades))
        page.locator("#colours").select_option("magma")  # stays grey
        page.wait_for_timeout(300)
        assert "colours=weak" in painted(page)
    finally:
        server.stop()
