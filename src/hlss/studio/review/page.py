"""The page: one characteristic at a time. Texts of banks and logs are shown by `ui.label` only, so never as HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from hlss.errors import UserError
from hlss.language.review.entries import Wording
from hlss.language.review.review import Outdated, Review
from hlss.language.review.state import Item, State
from hlss.language.wording import content_words, overlap
from hlss.types import LEVELS, Level

_KEYS = "j next · k previous · a approve · r reject · e edit · c comment · m move · u undo · / filter · ? help"


class Page:
    """One tab. Everything shown comes from the log, which other tabs may have changed."""

    def __init__(self, review: Review, findings: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self.findings = findings  # (level, name) → what the linter says of it
        self.review, self.level, self.at, self.filter = review, Level.PATCH, 0, ""
        self.seen: Item | None = None
        self.size = 0

    def build(self) -> None:
        """Lay out the page."""
        ui.keyboard(on_key=self._key)
        with ui.column().classes("w-full max-w-6xl mx-auto p-6 gap-4"):
            ui.label(self.review.bank.title).classes("text-2xl font-medium")
            self.field = ui.input("Filter", on_change=self._filter).props('aria-label="Filter by name"')
            self.body = ui.refreshable(self._body)
            self.body()
            ui.label(_KEYS).classes("text-sm opacity-70")
        ui.timer(1.0, self._poll)

    def _body(self) -> None:
        self.size = self.review.log.size()  # before it is read: what comes meanwhile is seen at the next look
        state = self.review.state()
        self._progress(state)
        items = [item for item in state.level(self.level) if self.filter in item.wording.name.casefold()]
        self.at = max(0, min(self.at, len(items) - 1))
        self.seen = items[self.at] if items else None
        if self.seen is None:
            ui.label("Nothing here.")
            return
        with ui.row().classes("w-full no-wrap gap-6 items-start"):
            self._card(self.seen, f"{self.at + 1} of {len(items)}")
            with ui.column().classes("w-1/3"):
                self._aside(state, self.seen)

    def _progress(self, state: State) -> None:
        done, every = state.done(self.review.who)
        ui.label(f"{self.review.who}: {done} of {every} decided")
        ui.linear_progress(done / every, show_value=False).props('aria-label="Progress"')
        with ui.row():
            for level in LEVELS:
                here, all_here = state.done(self.review.who, level)
                flat = "" if level == self.level else "flat"
                ui.button(f"{level} {here}/{all_here}", on_click=lambda level=level: self._go(level)).props(flat)

    def _card(self, item: Item, where: str) -> None:
        with ui.card().classes("grow p-6").mark("card"):
            ui.label(f"{item.wording.level}, {where}").classes("text-sm opacity-70")
            ui.label(item.wording.name).classes("text-xl font-medium")
            for text in item.wording.descriptions:
                ui.label(text).classes("text-lg")
            ui.label(item.verdict(self.review.who) or "undecided").props('role="status"')
            with ui.row():
                for key, name in (("a", "Approve"), ("r", "Reject"), ("e", "Edit"), ("c", "Comment"), ("m", "Move")):
                    ui.button(name, on_click=lambda key=key: self._do(key)).props("outline")
                ui.button("Undo", on_click=lambda: self._do("u")).props("flat")

    def _aside(self, state: State, item: Item) -> None:
        ui.label("Reviewers").classes("font-medium")
        for who in state.reviewers:
            ui.label(f"{who}: {item.verdict(who) or 'undecided'}")
            if item.comments.get(who):
                ui.label(item.comments[who]).classes("italic")
        ui.label("Linter, as drafted").classes("font-medium")
        for line in self.findings.get((str(item.wording.level), item.wording.name), ["nothing found"]):
            ui.label(line)
        ui.label("Nearest neighbours").classes("font-medium")
        for score, name in _neighbours(state, item):
            ui.label(f"{score:.2f}  {name}")

    def _key(self, event: Any) -> None:
        if event.action.keydown and not event.action.repeat and not (event.modifiers.ctrl or event.modifiers.meta):
            self._do(event.key.name)

    def _do(self, key: str) -> None:
        if key in ("j", "k"):
            self.at += 1 if key == "j" else -1
        elif key == "/":
            self.field.run_method("focus")
        elif key == "?":
            ui.notify(_KEYS)
        elif key == "u":
            self._try(self.review.undo)
        elif self.seen is not None:
            self._decide(key, self.seen)
        else:
            return
        if key in "jkaru":
            self.body.refresh()

    def _decide(self, key: str, item: Item) -> None:
        if key == "a":
            self._try(lambda: self.review.approve(item.key, item.wording))
        elif key == "r":
            self._try(lambda: self.review.reject(item.key, item.wording))
        elif key == "e":
            self._edit(item)
        elif key == "c":
            self._comment(item)
        elif key == "m":
            self._move(item)

    def _try(self, act: Any) -> bool:
        try:
            act()
        except UserError as error:
            ui.notify(str(error), type="warning", multi_line=True, timeout=10000)
            return False
        return True

    def _edit(self, item: Item) -> None:
        base = [item.wording]
        with ui.dialog().props("persistent") as dialog, ui.card().classes("w-full"):
            name = ui.input("Name", value=item.wording.name)
            texts = [ui.textarea(f"Description {n}", value=t) for n, t in enumerate(item.wording.descriptions, 1)]
            newer = ui.label("").props('role="alert"')

            def save() -> None:
                try:
                    fields = {"name": name.value.strip(), "descriptions": [field.value.strip() for field in texts]}
                    after = Wording.model_validate({"level": base[0].level, **fields})
                    self.review.edit(item.key, base[0], after)
                except Outdated as error:  # what was typed stays; a second save is made knowing the newer text
                    base[0] = error.newer
                    newer.set_text(f"{error} Save again to put yours in its place.")
                except (UserError, ValueError) as error:
                    newer.set_text(str(error) if isinstance(error, UserError) else "No field may be empty.")
                else:
                    self._close(dialog)

            ui.button("Save", on_click=save)
            ui.button("Cancel", on_click=lambda: self._close(dialog)).props("flat")
        dialog.open()

    def _comment(self, item: Item) -> None:
        with ui.dialog() as dialog, ui.card():
            field = ui.textarea("Your comment", value=item.comments.get(self.review.who, ""))

            def save() -> None:
                if self._try(lambda: self.review.comment(item.key, field.value)):
                    self._close(dialog)

            ui.button("Save", on_click=save)
        dialog.open()

    def _move(self, item: Item) -> None:
        with ui.dialog() as dialog, ui.card():
            for level in LEVELS:
                if level != item.wording.level:
                    ui.button(f"To {level}", on_click=lambda level=level: self._moved(item, level, dialog))
        dialog.open()

    def _moved(self, item: Item, level: Level, dialog: Any) -> None:
        self._try(lambda: self.review.move(item.key, item.wording, level))
        self._close(dialog)

    def _close(self, dialog: Any) -> None:
        dialog.close()
        self.body.refresh()

    def _go(self, level: Level) -> None:
        self.level, self.at = level, 0
        self.body.refresh()

    def _filter(self, event: Any) -> None:
        self.filter, self.at = (event.value or "").casefold(), 0
        self.body.refresh()

    def _poll(self) -> None:
        """Show what other tabs and reviewers did."""
        if self.review.log.size() != self.size:
            self.body.refresh()


def _neighbours(state: State, item: Item, count: int = 4) -> list[tuple[float, str]]:
    """(overlap of content words, level / name) of the most alike characteristics."""
    own = content_words(" ".join(item.wording.descriptions))
    found = [
        (overlap(own, content_words(" ".join(other.wording.descriptions))).jaccard, other.wording)
        for other in state.items.values()
        if other.key != item.key
    ]
    best = sorted(found, key=lambda pair: -pair[0])[:count]
    return [(score, f"{wording.level} / {wording.name}") for score, wording in best]
