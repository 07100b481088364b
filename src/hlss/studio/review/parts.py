"""Small parts that the page is made of. Texts of banks and logs are shown by `ui.label` only, so never as HTML."""

from collections.abc import Callable

from nicegui import ui

from hlss.errors import UserError

HELP = (
    ("a", "approve, and go on"),
    ("r", "reject, and go on"),
    ("e", "edit; Ctrl Enter saves"),
    ("c", "comment"),
    ("m", "move to another level"),
    ("u", "undo your last decision, and go back to it"),
    ("j →", "next"),
    ("k ←", "previous"),
    ("n", "next that you have not decided, at any level"),
    ("1 2 3", "patch, slide, patient"),
    ("/", "filter by name; Enter goes back to the keys"),
    ("?", "these keys"),
    ("Esc", "close; what you typed is kept"),
)


def hint(text: str, key: str) -> None:
    """A word and the key that does the same."""
    ui.label(text)
    ui.label(key).classes("kbd").props("aria-hidden=true")


def chip(text: str) -> ui.label:
    """A verdict or standing, in its colour."""
    return ui.label(text).classes(f"chip {text}")


def warn(text: str) -> None:
    """Something that the reviewer should know, for ten seconds."""
    ui.notify(text, type="warning", multi_line=True, timeout=10000)


def attempt(act: Callable[[], object]) -> bool:
    """Whether it could be done; why not is shown."""
    try:
        act()
    except UserError as error:
        warn(str(error))
        return False
    return True
