"""The review in a real browser."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from review_server import SCRIPT, ReviewServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser
expect = playwright.expect
Open = Callable[..., Any]
BOB = f"Bob {SCRIPT}"
WITH_IMAGES = f"""
import io, sys
from pathlib import Path
from PIL import Image
from hlss.language.bank import read_bank
from hlss.language.review.beside import Beside
from hlss.language.review.evidence import Evidence, Picture
from hlss.language.review.neighbours import Neighbours
from hlss.language.review.review import Review
from hlss.studio.review.server import serve

def picture(colour, caption):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return Picture(file.getvalue(), caption)

def evidence(wording):
    best = (picture("red", {SCRIPT!r}), picture("blue", "0.31 of slide B"))
    return Evidence(best, (picture("white", "-0.20 of slide C"),)) if wording.level == "patch" else None

_, _, _, bank, _, who, _, out, _, port = sys.argv
review = Review(read_bank(bank), Path(out) / "decisions.jsonl", who)
serve(review, int(port), lambda line: print(line, flush=True), Beside(Neighbours(), evidence, ("not aligned",)))
"""
HARD_NAME = f"patch 2 {SCRIPT}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    one = ReviewServer(tmp_path_factory.mktemp("review")).start()
    yield one
    one.stop()


@pytest.fixture
def server(running: ReviewServer) -> ReviewServer:
    """With nothing decided: it reads its log anew for everything that it shows."""
    running.log.unlink(missing_ok=True)
    return running


@pytest.fixture(scope="module")
def bob(running: ReviewServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    """Another reviewer's, on the same log, who is shown images of the patches."""
    one = ReviewServer(tmp_path_factory.mktemp("bob"), BOB, running.out, WITH_IMAGES).start()
    yield one
    one.stop()


@pytest.fixture
def opened(context: Any) -> Open:
    """opened(server, at): a tab that shows the characteristic `at`."""

    def open_at(server: ReviewServer, at: str = "patch 0") -> Any:
        page = context.new_page()
        page.goto(server.url, wait_until="domcontentloaded")
        shows(page, at)
        return page

    return open_at


def shows(page: Any, name: str) -> None:
    expect(page.get_by_role("heading", level=2, name=name, exact=True)).to_be_visible()


def says(page: Any, text: str) -> None:
    expect(page.get_by_text(text, exact=True).first).to_be_visible()


def verdict(page: Any, text: str) -> None:
    expect(page.get_by_role("status").first).to_have_text(text)


def decide(page: Any, key: str) -> None:
    """Once the text was there for long enough to have been read."""
    page.wait_for_timeout(350)
    page.keyboard.press(key)


def first_field(page: Any) -> Any:
    return page.get_by_label("Description 1")


def actions(server: ReviewServer) -> list[str]:
    """What the log holds."""
    return [json.loads(line)["action"] for line in server.log.read_text().splitlines()] if server.log.exists() else []


def test_approve_and_reject_go_on_and_undo_goes_back(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    decide(page, "a")
    shows(page, "patch 1")
    says(page, "Ann: 1 of 9 decided")
    decide(page, "r")
    shows(page, HARD_NAME)
    page.keyboard.press("u")
    shows(page, "patch 1")
    verdict(page, "undecided")
    page.keyboard.press("k")
    shows(page, "patch 0")
    verdict(page, "approved")
    assert actions(server) == ["approve", "reject", "undo"]


def test_a_key_pressed_twice_decides_once(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.wait_for_timeout(350)
    page.evaluate("""() => [1, 2].forEach(
        () => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "a", bubbles: true })))""")
    says(page, "Not taken: another text has just come up here.")
    shows(page, "patch 1")
    assert actions(server) == ["approve"]


def test_buttons_do_what_keys_do_and_leave_the_keys_alive(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.wait_for_timeout(350)
    page.get_by_role("button", name="Approve").click()
    shows(page, "patch 1")
    decide(page, "r")
    shows(page, HARD_NAME)
    page.get_by_role("button", name="slide").click()
    shows(page, "slide 0")
    page.keyboard.press("3")
    shows(page, "patient 0")
    page.keyboard.press("n")
    shows(page, "patient 1")


def test_an_edit_is_saved_by_keys_and_typing_is_not_taken_for_them(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.keyboard.press("e")
    first_field(page).press_sequentially("aruj3 ")
    first_field(page).fill("seen otherwise,\nwithout a mark")
    page.keyboard.press("Control+Enter")
    says(page, "seen otherwise, without a mark")
    expect(page.get_by_role("dialog")).to_have_count(0)
    verdict(page, "edited")
    expect(page.get_by_text("error, negation, description 1")).to_be_visible()
    assert actions(server) == ["edit"]


def test_what_an_edit_may_not_be_is_said_and_cancel_leaves_everything(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.keyboard.press("e")
    first_field(page).fill("patch 1 seen a")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").filter(has_text="patch / patch 1")).to_be_visible()
    first_field(page).fill(" ")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").filter(has_text="No field may be empty.")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("e")
    expect(first_field(page)).to_have_value("patch 0 seen a")
    expect(page.get_by_role("note")).to_have_count(0)
    assert actions(server) == []


def test_comment_and_move(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.keyboard.press("c")
    page.get_by_label("Your comment").fill(f"see the atlas {SCRIPT}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("c")
    expect(page.get_by_label("Your comment")).to_have_value(f"see the atlas {SCRIPT}")
    page.keyboard.press("Control+Enter")
    says(page, f"see the atlas {SCRIPT}")
    page.keyboard.press("m")
    expect(page.get_by_role("dialog").get_by_role("button", name="patch")).to_be_disabled()
    page.keyboard.press("2")
    shows(page, "patch 1")
    page.keyboard.press("2")
    shows(page, "slide 0")
    says(page, "0 of 4")
    assert actions(server) == ["comment", "move"]
    assert page.evaluate("window.harmed") is None


def test_filters_by_name_and_by_standing(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    decide(page, "r")
    shows(page, "patch 1")
    page.get_by_role("button", name="rejected").click()
    shows(page, "patch 0")
    says(page, "patch 1 of 1")
    page.get_by_role("button", name="undecided", exact=True).click()
    says(page, "patch 1 of 2")
    decide(page, "a")  # leaves the list, and the next takes its place
    shows(page, HARD_NAME)
    says(page, "patch 1 of 1")
    page.get_by_role("button", name="with findings").click()
    expect(page.get_by_text("error, characters, description 1")).to_be_visible()
    page.get_by_role("button", name="all", exact=True).click()
    page.keyboard.press("/")
    page.keyboard.type("Patch 1")
    shows(page, "patch 1")
    page.keyboard.press("Enter")
    page.keyboard.press("u")
    verdict(page, "undecided")
    page.get_by_role("button", name="disputed").click()
    says(page, "Nothing is listed here.")
    page.keyboard.press("n")
    shows(page, "patch 1")
    assert actions(server) == ["reject", "approve", "undo"]


def test_help_opens_and_escape_closes_it(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_text("undo your last decision")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("j")
    shows(page, "patch 1")
    assert actions(server) == []


def test_texts_are_text(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    expect(page).to_have_title(f"Review: small {SCRIPT}")
    says(page, f"small {SCRIPT}")
    page.keyboard.press("j")
    page.keyboard.press("j")
    shows(page, HARD_NAME)
    says(page, SCRIPT)
    page.keyboard.press("e")
    expect(first_field(page)).to_have_value(SCRIPT)
    page.get_by_label("Name", exact=True).fill(SCRIPT)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("e")
    expect(page.get_by_label("Name", exact=True)).to_have_value(SCRIPT)
    page.keyboard.press("Control+Enter")
    shows(page, SCRIPT)
    page.wait_for_timeout(350)
    page.keyboard.press("u")
    says(page, f"Taken back: {HARD_NAME}")
    assert page.evaluate("window.harmed") is None


def test_two_tabs_see_each_other_and_hold_back_an_edit_of_what_changed(server: ReviewServer, opened: Open) -> None:
    page, other = opened(server), opened(server)
    other.keyboard.press("e")
    page.keyboard.press("e")
    first_field(page).fill("of this tab")
    page.keyboard.press("Control+Enter")
    says(page, "of this tab")
    says(other, "Ann: 1 of 9 decided")
    first_field(other).fill("of the other tab")
    other.keyboard.press("Control+Enter")
    expect(other.get_by_role("alert").filter(has_text="of this tab")).to_be_visible()
    expect(first_field(other)).to_have_value("of the other tab")
    other.keyboard.press("Control+Enter")
    says(page, "of the other tab")


def test_typing_outlives_a_reload_a_closed_tab_and_a_change_of_the_text(server: ReviewServer, opened: Open) -> None:
    page = opened(server)
    page.keyboard.press("j")
    shows(page, "patch 1")
    page.keyboard.press("e")
    first_field(page).fill("half a sent")
    page.reload(wait_until="domcontentloaded")
    shows(page, "patch 1")
    expect(page.get_by_text("press “e” to go on with it")).to_be_visible()
    page.keyboard.press("e")
    expect(page.get_by_role("note")).to_contain_text("is restored; Cancel discards it.")
    expect(first_field(page)).to_have_value("half a sent")
    first_field(page).fill("half a sentence")
    page.close()
    page = opened(server, "patch 1")
    page.keyboard.press("e")
    expect(first_field(page)).to_have_value("half a sentence")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    other = opened(server, "patch 1")
    other.keyboard.press("e")
    first_field(other).fill("another sentence")
    other.keyboard.press("Control+Enter")
    says(page, "another sentence")
    assert actions(server) == ["edit"]


def test_two_reviewers_on_one_log(server: ReviewServer, opened: Open, browser: Any, bob: ReviewServer) -> None:
    page = opened(server)
    page.keyboard.press("e")
    first_field(page).fill("typed before")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    his = browser.new_context().new_page()
    his.goto(bob.url, wait_until="domcontentloaded")
    shows(his, "patch 0")
    decide(his, "r")
    shows(his, "patch 1")
    his.keyboard.press("e")
    first_field(his).fill("of Bob")
    his.keyboard.press("Control+Enter")
    says(page, f"{BOB}: nothing judged by both yet")
    decide(page, "a")
    shows(page, "patch 1")
    says(page, "of Bob")
    says(page, f"κ 0.00 with {BOB}, 1 judged by both")
    expect(page.locator("aside .chip")).to_have_text(["undecided", "edited"])  # Ann, Bob
    page.keyboard.press("k")
    expect(page.locator("aside .chip")).to_have_text(["approved", "rejected"])
    says(page, "disputed")
    page.get_by_role("button", name="disputed").click()
    says(page, "patch 1 of 1")
    assert page.evaluate("window.harmed") is None
    his.keyboard.press("k")
    his.keyboard.press("e")
    first_field(his).fill("meanwhile")
    his.keyboard.press("Control+Enter")
    says(his, "meanwhile")
    page.reload(wait_until="domcontentloaded")
    shows(page, "patch 0")
    says(page, "meanwhile")
    page.keyboard.press("e")
    expect(page.get_by_role("alert").filter(has_text="is now: patch 0: meanwhile")).to_be_visible()
    expect(first_field(page)).to_have_value("typed before")
    his.context.close()


def test_images_are_shown_where_some_were_matched(server: ReviewServer, opened: Open, bob: ReviewServer) -> None:
    page = opened(bob)
    for heading, widths in (("Best matches", [8, 8]), ("Worst matches", [8])):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        images = page.locator(f"div:text-is('{heading}') + .patches img")
        expect(images).to_have_count(len(widths))
        assert images.evaluate_all("all => all.map(one => one.naturalWidth)") == widths
    says(page, SCRIPT)
    says(page, "not aligned")
    assert page.get_by_alt_text("0.31 of slide B").count() == 1
    assert page.evaluate("window.harmed") is None
    page.keyboard.press("2")
    shows(page, "slide 0")
    expect(page.get_by_role("heading", name="Best matches")).to_have_count(0)


def test_one_list_for_all_levels_is_shown_once_and_moves_nothing(tmp_path: Path, opened: Open) -> None:
    server = ReviewServer(tmp_path, generic=True).start()
    try:
        page = opened(server)
        says(page, "all levels 1 of 3")
        says(page, "Ann: 0 of 3 decided")
        expect(page.get_by_role("button", name="Move")).to_have_count(0)
        page.keyboard.press("m")
        expect(page.get_by_text("nothing can be moved")).to_be_visible()
        page.keyboard.press("e")
        first_field(page).fill("typed, not saved")
        page.keyboard.press("Escape")
        page.reload(wait_until="domcontentloaded")
        shows(page, "patch 0")
        page.keyboard.press("e")
        expect(first_field(page)).to_have_value("typed, not saved")
        page.keyboard.press("Control+Enter")
        says(page, "Ann: 1 of 3 decided")
        assert actions(server) == ["edit"]
    finally:
        server.stop()


def test_a_kill_loses_no_decision_and_no_typing(server: ReviewServer, opened: Open) -> None:
    page, other = opened(server), opened(server)
    decide(page, "a")
    shows(page, "patch 1")
    page.keyboard.press("e")
    first_field(page).fill("typed before it")
    server.stop()
    first_field(page).fill("typed before it and after it")
    expect(page.get_by_text("start it again and open the address that it prints")).to_be_visible()
    server.start()
    other.reload(wait_until="domcontentloaded")
    expect(other.get_by_role("heading", name="Open the address that hlss printed")).to_be_visible()
    new = opened(server, "patch 1")
    says(new, "Ann: 1 of 9 decided")
    new.keyboard.press("e")
    expect(first_field(new)).to_have_value("typed before it and after it")
    shows(page, "patch 1")  # the old tab has the new cookie, and loads itself again
    expect(page.get_by_role("dialog")).to_have_count(0)
    new.keyboard.press("Control+Enter")
    says(page, "typed before it and after it")
    assert actions(server) == ["approve", "edit"]
