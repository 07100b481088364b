"""The characteristic that is looked at: name, descriptions, what its reviewer decided, and what can be done."""

from collections.abc import Callable

from nicegui import ui

from hlss.language.review.state import Item
from hlss.studio.review.parts import chip, hint

_ACTIONS = (("a", "Approve"), ("r", "Reject"), ("e", "Edit"), ("c", "Comment"), ("m", "Move"), ("u", "Undo"))


def card(item: Item, who: str, where: str, mark: str, moves: bool, act: Callable[[str], object]) -> None:
    """who: the reviewer; where: its place in the list; mark: names the text, for keys pressed on it; moves: whether
    there are levels to move it to; act: is given the key of the button that was pressed.
    """
    with ui.element("article").classes("card") as shown:
        shown.props["data-shown"] = mark
        with ui.element("div").classes("pair"):
            ui.label(where).classes("quiet")
            with ui.element("div").classes("chips"):
                chip(item.verdict(who) or "undecided").props('role="status"')
                if item.standing == "disputed":
                    chip("disputed")
        ui.label(item.wording.name).classes("name").props('role="heading" aria-level=2')
        with ui.element("div").classes("texts"):
            for number, text in enumerate(item.wording.descriptions, 1):
                ui.label(str(number)).classes("number")
                ui.label(text).classes("text")
        with ui.element("div").classes("acts"):
            for key, name in _ACTIONS:
                if key == "m" and not moves:
                    continue
                button = ui.button(on_click=lambda key=key: act(key), color=None).props("flat no-caps")
                with button.classes(f"act {name.lower()}"):
                    hint(name, key)
