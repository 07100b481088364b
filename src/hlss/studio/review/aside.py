"""Beside a characteristic: what reviewers, the linter, other characteristics and images say of it."""

import base64
from collections.abc import Callable, Sequence
from typing import TypeVar

from nicegui import run, ui

from hlss.errors import UserError
from hlss.language.review.beside import Beside
from hlss.language.review.evidence import Evidence, Picture
from hlss.language.review.neighbours import Neighbour, Neighbours
from hlss.language.review.state import Item, State
from hlss.studio.review.parts import chip

Found = TypeVar("Found")


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


def neighbours(near: Neighbours, state: State, item: Item) -> None:
    """The characteristics that are most like this one."""
    _heading(f"Nearest, by {near.measure}")
    _later(lambda: near.nearest(state, item.key), _near)


def images(beside: Beside, item: Item) -> None:
    """Those that match the words best and worst; nothing where there is no cohort."""
    evidence = beside.evidence
    if evidence is None:
        return
    for notice in beside.notices:
        ui.label(notice).classes("quiet")
    _later(lambda: evidence(item.wording), _patches)


def _near(found: list[Neighbour]) -> None:
    for one in found:
        with ui.element("div").classes("pair"):
            ui.label(one.wording.place)
            ui.label(f"{one.score:.2f}").classes("quiet figure")


def _patches(found: Evidence | None) -> None:
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


def _later(find: Callable[[], Found], show: Callable[[Found], None]) -> None:
    """Show what takes its time to find, in the place where this is called; or why it cannot be found."""
    place = ui.element("div").classes("later")

    async def fill() -> None:
        try:
            found = await run.io_bound(find)
        except UserError as error:
            found, reason = None, str(error)
        else:
            reason = ""
        if place.is_deleted:  # the reviewer has gone on
            return
        with place:
            if reason:
                ui.label(reason).classes("warning")
            elif found is not None:
                show(found)

    with place:
        ui.timer(0, fill, once=True)
