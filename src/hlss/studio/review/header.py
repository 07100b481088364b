"""Above the card: whose review it is, how far, at which level, how far others agree, and what is listed."""

from collections.abc import Callable

from nicegui import ui

from hlss.language.review.agreement import agreement
from hlss.language.review.entries import ALL_LEVELS
from hlss.language.review.state import State
from hlss.studio.review.parts import hint
from hlss.studio.review.view import SHOWS, Show, View
from hlss.types import Level


def progress(state: State, who: str, title: str) -> None:
    """The bank, and how far this reviewer is with it."""
    done, every = state.done(who)
    with ui.element("div").classes("head"):
        ui.label(title).classes("bank").props('role="heading" aria-level=1')
        with ui.element("div").classes("far"):
            ui.label(f"{who}: {done} of {every} decided")
            for other in state.reviewers:
                if other != who:
                    ui.label(_agree(state, who, other)).classes("quiet")
    if done == every:
        ui.label("All is decided. “hlss bank freeze” writes the next version.").classes("note")


def levels(state: State, who: str, view: View, go: Callable[[Level | None], object]) -> None:
    """A tab for each level, with a bar of how far it is."""
    with ui.element("div").classes("levels"):
        for number, level in enumerate(state.levels, 1):
            here, every = state.done(who, level)
            button = ui.button(on_click=lambda level=level: go(level), color=None).props("flat no-caps")
            button.classes("level here" if level == view.level else "level").props["aria-pressed"] = level == view.level
            with button:
                hint(level or ALL_LEVELS, str(number))
                ui.label(f"{here} of {every}").classes("quiet figure")
                with ui.element("div").classes("bar"):
                    ui.element("div").style(f"width: {100 * here / max(1, every):.1f}%")


def shows(view: View, choose: Callable[[Show], object]) -> None:
    """Which characteristics are listed."""
    with ui.element("div").classes("shows").props('role="group" aria-label="Show"'):
        for show in SHOWS:
            button = ui.button(show, on_click=lambda show=show: choose(show), color=None).props("flat no-caps dense")
            button.classes("show here" if show == view.show else "show").props["aria-pressed"] = show == view.show


def _agree(state: State, who: str, other: str) -> str:
    found = agreement(state, who, other)
    if not found.both:
        return f"{other}: nothing judged by both yet"
    kappa = "κ undefined" if found.kappa is None else f"κ {found.kappa:.2f}"
    return f"{kappa} with {other}, {found.both} judged by both"
