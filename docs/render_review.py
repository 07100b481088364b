"""Pictures of the review app for the guide: `python docs/render_review.py` writes docs/pictures/review*.png.

Two invented reviewers at work on a shipped bank; with `--run RUN`, a run on the phantom as `hlss demo` leaves it, one
of them beside patches of its cohort. Needs the extras `studio` and `browser`, and Chromium.
"""

import argparse
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from hlss.jobs.bank_beside import beside
from hlss.language.bank import read_bank
from hlss.language.review.entries import Entry
from hlss.language.review.log import ReviewLog
from hlss.language.review.review import Review
from hlss.language.review.state import fold

PICTURES = Path(__file__).parent / "pictures"
BANK, SHOWN = "general_he", "adipose tissue invasion"
SHOWN_BESIDE = "crowded nuclei"
ANN, BOB = "A. Smith", "B. Jones"
WIDTH, HEIGHT = 1200, 720


def main() -> None:
    """Write all pictures, or the one that needs a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run on the phantom: makes review_patches.png")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "decisions.jsonl"
        if run is None:
            for entry in _decisions():
                ReviewLog(log, entry.bank).append(lambda _, entry=entry: entry)
        ends, told = multiprocessing.Pipe(duplex=False)
        bank = BANK if run is None else "phantom"
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(bank, log, run, told))
        process.start()
        try:
            with sync_playwright() as started:
                browser = started.chromium.launch(executable_path=shutil.which("chromium"))
                (_pictures if run is None else _beside_patches)(browser, ends.recv())
                browser.close()
        finally:
            process.terminate()
            process.join()


def _decisions() -> Iterator[Entry]:
    """Both go through the patches and on: most are approved, some rejected, a few in dispute."""
    bank = read_bank(BANK)
    for who, count in ((BOB, 76), (ANN, 75)):
        for number, item in enumerate(list(fold(bank, []).items.values())[:count]):
            common = {
                "id": f"{who}-{number}",
                "when": datetime(2026, 1, 12, 9, tzinfo=UTC) + timedelta(minutes=number),
                "session": "drawn",
                "who": who,
                "bank": bank.fingerprint,
                "level": item.key[0],
                "name": item.key[1],
                "before": item.wording,
            }
            rejected = number % 11 == 3 or item.key[1] == SHOWN or (who == BOB and number % 13 == 5)
            yield Entry.model_validate({**common, "action": "reject" if rejected else "approve"})
            if item.key[1] == SHOWN:
                said = "The fourth names a diagnosis. Say what the glands look like."
                yield Entry.model_validate({**common, "id": "said", "action": "comment", "comment": said})


def _serve(bank: str, log: Path, run: Path | None, told: Any) -> None:
    from hlss.studio.review.server import serve

    serve(Review(read_bank(bank), log, ANN), 0, told.send, beside(None, run))  # any port that is free


def _pictures(browser: Browser, url: str) -> None:
    for scheme, name in (("light", "review"), ("dark", "review_dark")):
        page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme).new_page()
        page.goto(url)
        _step_to(page, SHOWN)
        _picture(page, name)
        if scheme == "light":
            page.keyboard.press("e")
            page.get_by_label("Description 4").focus()
            _picture(page, "review_edit")


def _beside_patches(browser: Browser, url: str) -> None:
    page = browser.new_context(viewport={"width": WIDTH, "height": 1140}, color_scheme="light").new_page()
    page.goto(url)
    _step_to(page, SHOWN_BESIDE)
    page.get_by_role("heading", name="Worst matches").wait_for()
    _picture(page, "review_patches")


def _step_to(page: Page, name: str) -> None:
    page.get_by_role("heading", level=2).wait_for()
    while not page.get_by_role("heading", name=name, exact=True).count():
        page.keyboard.press("j")
        page.wait_for_timeout(100)


def _picture(page: Page, name: str) -> None:
    page.wait_for_timeout(1000)  # until nothing moves any more
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
