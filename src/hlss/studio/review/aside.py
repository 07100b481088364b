"""Beside a characteristic: what reviewers, the linter, other characteristics and images say of it."""

import base64
from collections.abc import Sequence
from functools import lru_cache

from nicegui import ui

from hlss.language.review.entries import Wording
from hlss.language.review.evidence import Evidence, Picture
from hlss.language.review.state import Item, State
from hlss.language.wording import content_words, overlap
from hlss.studio.review.parts import chip


def reviewers(state: State, item: Item) -> None:
    """Everyone's verdict and comment."""
    _heading("Reviewers")
    if not state.reviewers:
        ui.label("nobody yet").classes("quiet")
    for who in state.reviewers:
        with ui.element("div").classes("pair"):
            ui.label(who)
            chip(item.verdict(who) or "undecided")
        if item.comments.get(who):
            ui.label(item.comments[who]).classes("remark")


def findings(lines: Sequence[str]) -> None:
    """What the linter says of the text as it is now."""
    _heading("Linter")
    for line in lines:
        ui.label(line).classes("error" if line.startswith("error") else "warning")
    if not lines:
        ui.label("nothing found").classes("quiet")


def neighbours(state: State, item: Item) -> None:
    """The characteristics that share most words with this one."""
    _heading("Nearest in words")
    for share, name in _nearest(state, item):
        with ui.element("div").classes("pair"):
            ui.label(name)
            ui.label(f"{share:.0%}").classes("quiet figure")


def patches(found: Evidence | None) -> None:
    """Images that match the words best and worst; nothing where none were matched."""
    if found is None:
        return
    for title, pictures in (("Best matches", found.best), ("Worst matches", found.worst)):
        if pictures:
            _heading(title)
            with ui.element("div").classes("patches"):
                for picture in pictures:
                    _picture(picture)


def _picture(picture: Picture) -> None:
    with ui.element("figure"):
        source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
        ui.element("img").props.update({"src": source, "alt": picture.caption})
        ui.label(picture.caption).classes("quiet")


def _heading(text: str) -> None:
    ui.label(text).classes("heading").props('role="heading" aria-level=3')


def _nearest(state: State, item: Item, count: int = 4) -> list[tuple[float, str]]:
    """(content words shared, of all of both; level / name) of the most alike characteristics."""
    own = _words(item.wording)
    found = [
        (overlap(own, _words(other.wording)).jaccard, other.wording)
        for other in state.items.values()
        if other.key != item.key
    ]
    best = sorted(found, key=lambda pair: -pair[0])[:count]
    return [(share, f"{wording.level} / {wording.name}") for share, wording in best]


@lru_cache(4096)
def _words(wording: Wording) -> frozenset[str]:
    return content_words(" ".join(wording.descriptions))
