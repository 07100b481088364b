"""The viewer's page in a browser: opened, waited for, asked."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

Open = Callable[..., Any]  # (server, link="") → the page


def full(page: Any, kind: str = "tissue") -> None:
    """Wait until every tile of the view is there."""
    page.wait_for_function(
        """kind => { const all = [...document.querySelectorAll(`.${kind} img`)];
        return all.length > 0 && all.every(one => one.classList.contains("leaflet-tile-loaded")); }""",
        arg=kind,
    )


def link_of(page: Any, *names: str) -> dict[str, str]:
    """What the address says, once it says all of these."""
    for name in names:
        page.wait_for_url(re.compile(f"[#&]{name}="))
    page.wait_for_timeout(200)  # the address follows what is seen
    return {name: values[0] for name, values in parse_qs(page.url.partition("#")[2]).items()}


def looked_for(page: Any, text: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.locator("#text", has_text=text).wait_for()
    full(page, "map")
