"""The page: one characteristic at a time, worked through by keys."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui

from hlss.language.review.beside import Beside
from hlss.language.review.entries import ALL_LEVELS
from hlss.language.review.review import Review
from hlss.language.review.state import Item, State
from hlss.studio.review import aside, header
from hlss.studio.review.card import card
from hlss.studio.review.dialogs import Dialogs, answered
from hlss.studio.review.findings import Findings
from hlss.studio.review.parts import attempt, hint, warn
from hlss.studio.review.view import Show, Shown, View
from hlss.types import Level

_HERE = Path(__file__).parent
_FOOT = (("j →", "next"), ("k ←", "previous"), ("n", "next undecided"), ("/", "filter"), ("?", "all keys"))


class Page:
    """One tab. Everything shown comes from the log, which other tabs may have changed."""

    def __init__(self, review: Review, findings: Findings, beside: Beside) -> None:
        self._review, self._findings, self._beside = review, findings, beside
        self._view = View(review.who, findings.flagged)
        self._size, self._shown = 0, Shown()  # of the log; the text on the screen

    async def build(self) -> None:
        """Lay out the page, at what the reviewer has to do next; then look for what they had typed and not saved."""
        style, script = ((_HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
        ui.add_head_html(f"<style>{style}</style><script>{script}</script>")
        ui.on("review_key", self._key)
        first = self._view.next_undecided(self._look())
        self._view.level, self._view.key = (first.wording.level, first.key) if first else (self._state.levels[0], None)
        with ui.element("div").classes("review"):
            self._body = ui.refreshable(self._card_and_all)
            self._top = ui.refreshable(self._head)
            self._top()
            with ui.element("div").classes("filters"):
                self._field = ui.input(placeholder="Filter by name", on_change=self._named).classes("filter")
                self._field.props('dense outlined clearable aria-label="Filter by name"')
                self._shows = ui.refreshable(lambda: header.shows(self._view, self._show))
                self._shows()
            self._body()
            with ui.element("div").classes("foot"):
                for key, what in _FOOT:
                    with ui.element("div"):
                        hint(what, key)
        self._dialogs = Dialogs(self._review, self._refresh)
        ui.timer(1.0, self._poll)
        await ui.context.client.connected()
        await self._to_draft()

    def _look(self) -> State:
        """The state as the log has it now, which is what is shown from here on."""
        self._size = self._review.log.size()  # before it is read: what comes meanwhile is seen at the next look
        self._state = self._review.state()
        return self._state

    def _head(self) -> None:
        header.progress(self._state, self._review.who, self._review.bank.title)
        header.levels(self._state, self._review.who, self._view, self._go)

    def _card_and_all(self) -> None:
        state = self._state
        item = self._item = self._view.shown(state)
        if item is None:
            ui.label("Nothing is listed here.").classes("nothing")
            return
        self._shown.put(item, time.monotonic())
        with ui.element("div").classes("two"):
            where = f"{item.wording.level or ALL_LEVELS} {self._view.at + 1} of {len(self._view.items(state))}"
            with ui.element("div").classes("left"):
                moves = len(state.levels) > 1
                card(item, self._review.who, where, self._shown.mark, moves, lambda key: self._do(key, item))
                aside.images(self._beside, item)
            with ui.element("aside"):
                aside.reviewers(state, item)
                aside.findings(self._findings.of(state, item))
                aside.neighbours(self._beside.neighbours, state, item)

    async def _key(self, event: Any) -> None:
        if self._dialogs.busy:
            return
        key, shown = event.args["key"], event.args["shown"]
        if self._item and shown != self._shown.mark and key in "ar":
            warn("Not taken: another text has just come up here.")
            return
        if (done := self._do(key, self._item)) is not None:
            await done

    def _do(self, key: str, item: Item | None) -> Awaitable[None] | None:
        """What a key or its button does about the characteristic shown."""
        free: dict[str, Callable[[], object]] = {
            "j": lambda: self._step(1),
            "k": lambda: self._step(-1),
            "n": self._next_undecided,
            "u": self._undo,
            "?": self._dialogs.help,
            **{str(number): partial(self._go, level) for number, level in enumerate(self._state.levels, 1)},
        }
        if key in free:
            free[key]()
        elif item is not None and key in "ec":
            return self._dialogs.edit(item) if key == "e" else self._dialogs.comment(item)
        elif item is not None and key == "m":
            if len(self._state.levels) > 1:
                self._dialogs.move(item)
            else:
                warn("This bank has one list for all levels: nothing can be moved.")
        elif item is not None:
            self._decide(self._review.approve if key == "a" else self._review.reject, item)
        return None

    def _decide(self, decide: Callable[..., object], item: Item) -> None:
        if not self._shown.read(time.monotonic()):
            warn("Not taken: this text came up only just now.")
            return
        if attempt(lambda: decide(item.key, item.wording)) and not self._view.step(self._state, 1):
            ui.notify("This was the last one listed here; “n” goes to your next undecided.")
        self._refresh()

    def _step(self, by: int) -> None:
        if self._view.step(self._state, by):
            self._body.refresh()

    def _next_undecided(self) -> None:
        found = self._view.next_undecided(self._look())
        if found is None:
            ui.notify("You have decided everything.")
        else:
            self._find(found)

    def _undo(self) -> None:
        undone = []
        if attempt(lambda: undone.append(self._review.undo())):
            item = self._look().items[undone[0].key]
            ui.notify(f"Taken back: {item.wording.name}")
            self._find(item)

    def _find(self, item: Item) -> None:
        self._view.find(item, self._state)
        if not self._view.name:
            self._field.set_value("")
        self._refresh()

    async def _to_draft(self) -> None:
        """To what was typed last and not saved, which a reload or a stop left behind."""
        drafts = await answered(self._dialogs.drafts.every()) or []
        for draft in drafts[:1]:
            self._find(self._look().items[draft.key])
            press = "e" if draft.kind == "edit" else "c"
            ui.notify(f"Text typed at {draft.time} is not saved: press “{press}” to go on with it.", timeout=10000)

    def _go(self, level: Level | None) -> None:
        self._view.go(level)
        self._refresh()

    def _show(self, show: Show) -> None:
        self._view.filtered(show=show)
        self._refresh()

    def _named(self, event: Any) -> None:
        self._view.filtered(name=event.value or "")
        self._body.refresh()

    def _refresh(self) -> None:
        self._look()
        for part in (self._top, self._shows, self._body):
            part.refresh()

    def _poll(self) -> None:
        """Show what other tabs and reviewers did."""
        if self._review.log.size() != self._size:
            self._refresh()
