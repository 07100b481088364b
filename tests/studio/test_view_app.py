"""The viewer in a real browser, on slides of 20,000 × 20,000 px."""

from collections.abc import Iterator
from typing import Any

import pytest
from view_page import Open, full, link_of, looked_for
from view_server import HARD, NEEDLE, SENTENCE, TILE_PX, TILES, run_server, slides_server
from web_server import SCRIPT, WebServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser
expect = playwright.expect
NEEDLE_PLACE = f"{NEEDLE[1] % TILES * TILE_PX},{NEEDLE[1] // TILES * TILE_PX}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    one = run_server(tmp_path_factory.mktemp("viewed")).start()
    yield one
    one.stop()


def test_a_large_slide_is_seen_whole_and_zoomed_by_keys(server: WebServer, opened: Open) -> None:
    page = opened(server)
    expect(page.locator("#caption")).to_contain_text("P0000-00")
    expect(page.locator("#scale span")).to_have_text("2 mm")
    first = link_of(page, "slide", "z")
    page.keyboard.press("+")
    full(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    second = link_of(page, "z")
    assert float(second["z"]) == pytest.approx(float(first["z"]) + 1)
    assert int(second["x"]) > int(first["x"])
    page.keyboard.press("j")
    expect(page.locator("#caption")).to_contain_text("P0001-00")
    expect(page.locator("[aria-current=true] .name")).to_have_text("P0001-00")
    page.keyboard.press("k")
    expect(page.locator("#caption")).to_contain_text("P0000-00")


def test_a_patient_leads_to_slides_and_the_filter_to_some_of_them(server: WebServer, opened: Open) -> None:
    page = opened(server)
    expect(page.locator("#counts")).to_have_text("4 patients, 4 slides")
    patient = page.locator("#tree details", has_text="P0003")
    patient.locator("summary").click()  # closes it
    expect(patient.locator(".leaf")).to_be_hidden()
    patient.locator("summary").click()
    patient.locator(".leaf").click()
    expect(page.locator("#caption")).to_contain_text("P0003 · P0003-00")
    page.locator("#filter").fill("p0002")
    expect(page.locator("#tree .leaf:visible")).to_have_count(1)
    expect(page.locator("#tree details:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")  # steps through what the filter lets through
    expect(page.locator("#caption")).to_contain_text("P0002-00")


def test_a_copied_link_opens_the_view_also_behind_the_printed_address(
    server: WebServer, opened: Open, context: Any
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(server)
    looked_for(page, "clear cells")
    page.locator("#slide").click(position={"x": 300, "y": 380})
    expect(page.locator("path.mark")).to_have_count(1)
    page.keyboard.press("+")
    full(page)
    page.wait_for_timeout(400)
    page.locator("#share").click()
    expect(page.locator("#notice")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert server.token not in copied
    other = opened(server, f"{server.url}#{copied.partition('#')[2]}")
    expect(other.locator("#text")).to_have_text("clear cells")
    expect(other.locator("path.mark")).to_have_count(1)
    assert link_of(other, "map", "patch") == link_of(page, "map", "patch")
    assert server.token not in other.url


def test_a_sentence_leads_to_where_it_matches(server: WebServer, opened: Open) -> None:
    page = opened(server)
    looked_for(page, SENTENCE)
    matches = page.locator("#matches .picture")
    expect(matches).to_have_count(8)  # two of each of four slides
    expect(matches.first).to_contain_text("P0002-00")
    matches.first.click()
    expect(page.locator("#caption")).to_contain_text("P0002-00")
    assert link_of(page, "patch")["patch"] == NEEDLE_PLACE
    beside = page.locator("#neighbours .picture").first
    expect(beside).to_contain_text("P0002-00")
    beside.click()
    page.wait_for_function("was => !location.hash.includes(was)", arg=NEEDLE_PLACE.replace(",", "%2C"))
    x, y = map(int, NEEDLE_PLACE.split(","))
    assert link_of(page, "patch")["patch"] == f"{x + TILE_PX},{y}"


def test_a_click_tells_what_a_tile_is_like(server: WebServer, opened: Open) -> None:
    page = opened(server)
    page.locator("#slide").click(position={"x": 300, "y": 380})
    expect(page.locator("#votes .vote").first).to_contain_text("100 %")  # classes lie apart
    label = page.locator("#caption").inner_text().split(" · ")[2]
    expect(page.locator("#votes .vote.true").first).to_contain_text(label)
    expect(page.locator("#predicted")).to_have_text(f"{label} 100 %, as its label says")
    expect(page.locator("#neighbours .picture")).to_have_count(8)
    expect(page.locator("path.mark")).to_have_count(1)
    for level in ("patch", "slide", "patient"):
        expect(page.get_by_role("heading", name=f"Best descriptions, {level}")).to_be_visible()
    page.locator(".best .row", has_text="slide 0").click()
    expect(page.locator("#text")).to_have_text("slide 0")
    full(page, "map")


def test_an_overlay_is_set_and_its_link_opens_the_same_view(server: WebServer, opened: Open) -> None:
    page = opened(server)
    looked_for(page, "clear cells")
    page.locator("#threshold").fill("1.2")
    page.locator("#opacity").fill("0.35")
    page.locator("#colours").select_option("magma")
    page.locator("#slide").click(position={"x": 300, "y": 380})
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    full(page, "map")
    page.wait_for_timeout(400)
    said = link_of(page, "map", "patch")
    assert {name: said[name] for name in ("map", "threshold", "opacity", "colours")} == {
        "map": "patch-0",
        "threshold": "1.2",
        "opacity": "0.35",
        "colours": "magma",
    }
    other = opened(server, page.url)
    expect(other.locator("#text")).to_have_text("clear cells")
    expect(other.locator("path.mark")).to_have_count(1)
    full(other, "map")
    assert link_of(other, "map", "patch") == said
    assert other.locator(".map").evaluate("one => one.style.opacity") == "0.35"
    other.keyboard.press("o")
    expect(other.locator(".map")).to_have_count(0)
    assert link_of(other, "hidden")["hidden"] == "1"
    other.keyboard.press("o")
    full(other, "map")


def test_words_that_would_be_scripts_are_text(server: WebServer, opened: Open) -> None:
    page = opened(server)
    looked_for(page, SCRIPT)
    page.keyboard.press("/")
    page.locator("#search").fill("hard")
    page.get_by_role("option", name=HARD).click()
    expect(page.locator("#text")).to_have_text(HARD)
    expect(page.locator("#said")).to_contain_text(SCRIPT)
    page.goto(f"{page.url.partition('#')[0]}#slide={SCRIPT}&text={SCRIPT}")
    expect(page.locator("#notice")).to_contain_text("a slide that this cohort does not have")


def test_slides_without_a_run(tmp_path_factory: pytest.TempPathFactory, opened: Open) -> None:
    server = slides_server(tmp_path_factory.mktemp("slides")).start()
    try:
        page = opened(server)
        expect(page.locator("#search")).to_be_hidden()
        expect(page.locator("#tree")).to_contain_text(SCRIPT)
        page.locator("#filter").fill("hard")
        expect(page.locator("#tree .leaf:visible")).to_have_count(1)
        page.locator("#tree .leaf:visible").click()
        expect(page.locator("#caption")).to_contain_text(HARD)
        full(page)
        sides = page.locator(".tissue img").evaluate_all("all => all.map(one => [one.offsetWidth, one.naturalWidth])")
        assert all(0 <= shown - stored <= 1 for shown, stored in sides)  # those at the edges are not stretched
        assert any(stored < 256 for _, stored in sides)
    finally:
        server.stop()
