"""What opens over the page: edit, comment, move, help. Nothing is lost but by Cancel."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from hlss.errors import UserError
from hlss.language.review.entries import Wording
from hlss.language.review.review import Outdated, Review
from hlss.language.review.state import Item
from hlss.studio.review.drafts import Draft, Drafts, Kind
from hlss.studio.review.parts import HELP, attempt, hint, warn
from hlss.types import LEVELS, Level

Save = Callable[[], bool]
_STAYS = "no-backdrop-dismiss"


class Dialogs:
    """Of one tab, one at a time. done: called when one has closed."""

    def __init__(self, review: Review, done: Callable[[], object]) -> None:
        self._review, self._done = review, done
        self.drafts, self.busy = Drafts(review), False
        self._stage = ui.element("div")  # outside of what is drawn anew when another reviewer decides

    async def edit(self, item: Item) -> None:
        """Other words. A text that was changed meanwhile is shown, and replaced by a second save only."""
        base = [item.wording]
        texts = [item.wording.name, *item.wording.descriptions]
        labels = ["Name", *(f"Description {n}" for n in range(1, len(texts)))]
        draft = await self._draft("edit", item, len(texts))
        with self._opened(f"Edit “{item.wording.name}”", _STAYS) as dialog:
            fields = _fields(labels, draft.fields if draft else texts)
            alert = ui.label().props('role="alert"').classes("alert")

            def save() -> bool:
                try:
                    self._review.edit(item.key, base[0], _wording(base[0].level, [field.value for field in fields]))
                except Outdated as error:  # what was typed stays; a second save is made knowing the newer text
                    base[0] = error.newer
                    alert.set_text(f"{error} Save again to put yours in its place.")
                    return False
                except (UserError, ValueError) as error:
                    alert.set_text(str(error) if isinstance(error, UserError) else "No field may be empty.")
                    return False
                return True

            if draft and draft.about != item.wording.mark:
                now = " | ".join(item.wording.descriptions)
                alert.set_text(f"The text was changed since you typed this, and is now: {item.wording.name}: {now}")
            self._finish(dialog, "edit", item, save, draft)

    async def comment(self, item: Item) -> None:
        """A remark in the reviewer's own name, in the place of an earlier one."""
        draft = await self._draft("comment", item, 1)
        with self._opened(f"Comment on “{item.wording.name}”", _STAYS) as dialog:
            said = draft.fields if draft else [item.comments.get(self._review.who, "")]
            (field,) = _fields(["Your comment"], said)
            self._finish(
                dialog,
                "comment",
                item,
                lambda: attempt(lambda: self._review.comment(item.key, field.value or "")),
                draft,
            )

    def move(self, item: Item) -> None:
        """To another level, by its number."""
        self.busy = True
        with self._opened(f"Move “{item.wording.name}” to") as dialog, ui.row():
            for number, level in enumerate(LEVELS, 1):
                button = ui.button(on_click=lambda level=level: self._moved(item, level, dialog), color=None)
                button.props(f"flat no-caps data-key={number}").classes("act").set_enabled(level != item.wording.level)
                with button:
                    hint(str(level), str(number))

    def help(self) -> None:
        """All keys."""
        self.busy = True
        with self._opened("Keys"), ui.element("div").classes("keys"):
            for key, what in HELP:
                ui.label(key).classes("kbd")
                ui.label(what)

    def _moved(self, item: Item, level: Level, dialog: Any) -> None:
        if attempt(lambda: self._review.move(item.key, item.wording, level)):
            ui.notify(f"Moved to {level}: {item.wording.name}")
        dialog.close()

    async def _draft(self, kind: Kind, item: Item, fields: int) -> Draft | None:
        self.busy = True  # from here on keys are typing, also those that come before the fields are there
        with self._stage:
            return await answered(self.drafts.of(kind, item.key, fields))

    @contextmanager
    def _opened(self, title: str, backdrop: str = "") -> Iterator[Any]:
        """A dialog, whose card is filled by what stands under `with`."""
        self._stage.clear()
        with self._stage, ui.dialog(value=True).props(f"transition-duration=80 {backdrop}") as dialog:
            dialog.on_value_change(lambda event: None if event.value else self._closed())
            with ui.card().classes("dialog"):
                ui.label(title).classes("title").props('role="heading" aria-level=2')
                yield dialog

    def _closed(self) -> None:
        self.busy = False
        self._done()

    def _finish(self, dialog: Any, kind: Kind, item: Item, save: Save, draft: Draft | None) -> None:
        """The dialog's buttons and keys. Saved or cancelled, the draft is forgotten; with Escape it stays."""

        def close(saved: bool) -> None:
            if not saved or save():
                self.drafts.drop(kind, item.key)
                dialog.close()

        if draft:
            note = f"Unsaved text from {draft.time} is restored; Cancel discards it."
            ui.label(note).props('role="note"').classes("note")
        with ui.row().classes("buttons"):
            with ui.button(on_click=lambda: close(True), color=None).props("flat no-caps").classes("act main"):
                hint("Save", "Ctrl Enter")
            with ui.button(on_click=lambda: close(False), color=None).props("flat no-caps").classes("act"):
                ui.label("Cancel")
            ui.label("Escape closes and keeps what you typed.").classes("quiet")
        self.drafts.watch(ui.context.slot.parent, kind, item.key, item.wording.mark)


def _fields(labels: list[str], texts: list[str]) -> list[Any]:
    fields = [ui.textarea(label, value=text) for label, text in zip(labels, texts, strict=True)]
    for field in fields:
        field.props("outlined autogrow").classes("field")
    fields[0].props("autofocus")
    return fields


def _wording(level: Level | None, texts: list[str | None]) -> Wording:
    name, *descriptions = (" ".join((text or "").split()) for text in texts)  # one line each
    return Wording.model_validate({"level": level, "name": name, "descriptions": descriptions})


async def answered(asked: Awaitable[Any]) -> Any:
    """What the browser keeps; None, with a word about it, where it does not say."""
    try:
        return await asked
    except TimeoutError:
        warn("The browser did not say whether it keeps unsaved text.")
        return None
