"""Pictures of the viewer for the guide: `python docs/render_view.py RUN` writes docs/pictures/view*.png.

RUN: a run on the phantom with embeddings of large slides. From one that `hlss demo` left: set `cohort.side: 20`,
`cohort.patients: 8`, `cohort.slides: 2` in a copy of its config.yaml, then `hlss embed RUN`. Needs the extras `studio`
and `browser`, and Chromium.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT, PATIENCE_MS = 1280, 800, 120_000
SLIDE, CHARACTERISTIC, SENTENCE = "P0005-00", "crowded nuclei", "many small dark lymphocytes between the cells"
UNFAITHFUL = "pushing margin"
MOST_BYTES = 350_000
PLACE = {"x": 520, "y": 420}  # that is clicked, px of the window's middle part


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    with served(parser.parse_args().run) as url, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"))
        overlay(browser, url, "light", CHARACTERISTIC, "view")
        overlay(browser, url, "dark", CHARACTERISTIC, "view_dark")
        overlay(browser, url, "light", UNFAITHFUL, "view_weak")
        sentence(browser, url)
        patch(browser, url)
        browser.close()


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of the viewer, as long as it is needed."""
    command = [sys.executable, "-c", "from hlss.cli import main; main()", "view", str(run), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def overlay(browser: Browser, url: str, scheme: str, characteristic: str, name: str) -> None:
    """A characteristic over a slide."""
    page = opened(browser, url, scheme)
    look_for(page, characteristic)
    picture(page, name)


def sentence(browser: Browser, url: str) -> None:
    """A sentence, what matches it above 1 σ, the place of the first match."""
    page = opened(browser, url, "light")
    look_for(page, SENTENCE)
    page.locator("#threshold").fill("1")
    page.locator("#colours").select_option("viridis")
    page.locator("#opacity").fill("0.5")
    picture(page, "view_sentence")


def patch(browser: Browser, url: str) -> None:
    """A tile that was clicked, seen from near."""
    page = opened(browser, url, "light")
    page.locator("#slide").click(position=PLACE)
    page.locator("#neighbours .picture").first.wait_for()
    page.locator("#neighbours .picture").first.click()
    page.wait_for_timeout(1500)
    picture(page, "view_patch")


def opened(browser: Browser, url: str, scheme: str) -> Page:
    page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.locator("#tree .leaf", has_text=SLIDE).click()
    page.locator("#caption", has_text=SLIDE).wait_for()
    return page


def look_for(page: Page, text: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.locator("#text", has_text=text).wait_for()
    page.locator("#verdict").wait_for()


def picture(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(4000)  # until nothing moves any more
    page.evaluate("document.activeElement.blur()")
    shot, path = (
        Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB"),
        PICTURES / f"{name}.png",
    )
    for colours in (256, 192, 128, 96, 64):
        few = shot.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.FLOYDSTEINBERG)
        few.save(path, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            return
    raise SystemExit(f"{path} has {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
