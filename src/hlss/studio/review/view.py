"""Where a tab stands: which characteristics it lists, and which of them it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from hlss.files import digest
from hlss.language.review.state import Item, Key, State
from hlss.types import LEVELS, Level

Show = Literal["all", "undecided", "rejected", "disputed", "with findings"]
_READ_S = 0.3  # nobody has read a text that came up less long ago: a key pressed twice by accident decides once
SHOWS: tuple[Show, ...] = get_args(Show)


@dataclass
class Shown:
    """The text on a tab's screen: its mark, and since when it is there (s)."""

    mark: str = ""
    since: float = 0.0

    def put(self, item: Item, now: float) -> None:
        """It is drawn; drawn again it is still the same."""
        mark = digest([*item.key, item.wording.mark])
        if mark != self.mark:
            self.mark, self.since = mark, now

    def read(self, now: float) -> bool:
        """Whether it was there for long enough to be decided about."""
        return now - self.since >= _READ_S


@dataclass
class View:
    """who: whose verdicts `undecided` is about; flagged: what the linter found something of.

    key: of the characteristic shown; at: its place in the list, which is what stays when it leaves the list.
    """

    who: str
    flagged: Callable[[State], set[Key]]
    level: Level | None = LEVELS[0]
    show: Show = "all"
    name: str = ""
    key: Key | None = None
    at: int = 0

    def items(self, state: State) -> list[Item]:
        """Of the level, as far as the filters let them through."""
        flagged = self.flagged(state) if self.show == "with findings" else set()
        return [item for item in state.level(self.level) if self._passes(item, flagged)]

    def shown(self, state: State) -> Item | None:
        """The characteristic shown: the one at `key`, or what took its place in the list; None of an empty list."""
        items = self.items(state)
        keys = [item.key for item in items]
        self.at = keys.index(self.key) if self.key in keys else max(0, min(self.at, len(items) - 1))
        self.key = keys[self.at] if items else None
        return items[self.at] if items else None

    def step(self, state: State, by: int) -> bool:
        """Go on by so many; False where the list ends."""
        items = self.items(state)
        keys = [item.key for item in items]
        # what left the list has given its place to the next
        there = keys.index(self.key) + by if self.key in keys else self.at + min(by, 0)
        if not 0 <= there < len(items):
            return False
        self.at, self.key = there, items[there].key
        return True

    def go(self, level: Level | None) -> None:
        """To the first of a level."""
        self.level, self.at, self.key = level, 0, None

    def filtered(self, show: Show | None = None, name: str | None = None) -> None:
        """List only these; what is shown stays where it passes."""
        self.show = self.show if show is None else show
        self.name = self.name if name is None else name.casefold()

    def find(self, item: Item, state: State) -> None:
        """Show this one; filters that hold it back are dropped."""
        self.level, self.key = item.wording.level, item.key
        if item.key not in [one.key for one in self.items(state)]:
            self.show, self.name = "all", ""

    def next_undecided(self, state: State) -> Item | None:
        """The reviewer's next without a verdict, in the order of the bank, from the one shown on and round again."""
        every = [item for level in state.levels for item in state.level(level)]
        keys = [item.key for item in every]
        start = keys.index(self.key) + 1 if self.key in keys else 0
        around = [*every[start:], *every[:start]]
        return next((item for item in around if item.verdict(self.who) is None), None)

    def _passes(self, item: Item, flagged: set[Key]) -> bool:
        if self.name not in item.wording.name.casefold():
            return False
        if self.show == "undecided":
            return item.verdict(self.who) is None
        if self.show == "with findings":
            return item.key in flagged
        return self.show == "all" or item.standing == self.show
