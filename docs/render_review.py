"""Pictures of the review app for the guide: `python docs/render_review.py` writes docs/pictures/review*.png.

Two invented reviewers at work on a shipped bank; needs the extras `studio` and `browser`, and Chromium.
"""

import multiprocessing
import shutil
import socket
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from hlss.jobs.bank_beside import beside
from hlss.language.bank import read_bank
from hlss.language.review.entries import Entry
from hlss.language.review.log import ReviewLog
from hlss.language.review.review import Review
from hlss.language.review.state import fold

PICTURES = Path(__file__).parent / "pictures"
BANK, SHOWN = "general_he", "adipose tissue invasion"
ANN, BOB = "A. Smith", "B. Jones"
WIDTH, HEIGHT = 1200, 720


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "decisions.jsonl"
        for entry in _decisions():
            ReviewLog(log, entry.bank).append(lambda _, entry=entry: entry)
        ends, told = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(log, told))
        process.start()
        try:
            _pictures(ends.recv())
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


def _serve(log: Path, told: Any) -> None:
    from hlss.studio.review.server import serve

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    serve(Review(read_bank(BANK), log, ANN), port, told.send, beside(None, None))


def _pictures(url: str) -> None:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"))
        for scheme, name in (("light", "review"), ("dark", "review_dark")):
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            page = context.new_page()
            page.goto(url)
            page.get_by_role("heading", level=2).wait_for()
            while not page.get_by_role("heading", name=SHOWN).count():
                page.keyboard.press("j")
                page.wait_for_timeout(100)
            _picture(page, name)
            if scheme == "light":
                page.keyboard.press("e")
                page.get_by_label("Description 4").focus()
                _picture(page, "review_edit")
        browser.close()


def _picture(page: Page, name: str) -> None:
    page.wait_for_timeout(1000)  # until nothing moves any more
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
