"""Pictures of a report for the guide: `python docs/render_report.py DEMO/report.html` writes docs/pictures/report*.png.

Needs the extra `browser`, and Chromium.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1240, 800
COLOURS = 200  # of a picture, so that it stays small
MAPS = "h3:text-is('Maps of characteristics') ~ figure >> nth=0"  # the first of them
SHOWN = {
    "report": (None, "light"),
    "report_map": ("#embedding", "dark"),
    "report_words": (MAPS, "light"),
    "report_errors": ("#errors", "light"),
}


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    address = parser.parse_args().report.resolve().as_uri()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"))
        for name, (place, scheme) in SHOWN.items():
            _picture(browser, address, place, scheme, PICTURES / f"{name}.png")
        browser.close()


def _picture(browser: Browser, address: str, place: str | None, scheme: str, path: Path) -> None:
    """What a window of this scheme shows at a section, or at the top."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce")
    page.goto(address)
    if place is not None:
        page.locator(place).evaluate("section => section.scrollIntoView()")
        page.wait_for_timeout(200)
    page.screenshot(path=path)
    page.close()
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
