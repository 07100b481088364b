"""What the log makes of a bank: current texts, who decided what, and how far the review is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from hlss.errors import UserError
from hlss.language.bank import DescriptionBank
from hlss.language.review.entries import Entry, Wording
from hlss.types import LEVELS, Level

Key = tuple[Level | None, str]
Verdict = Literal["approved", "edited", "rejected"]
Standing = Literal["undecided", "approved", "rejected", "disputed"]

_VERDICTS: dict[str, Verdict] = {"approve": "approved", "edit": "edited", "reject": "rejected"}


@dataclass
class Item:
    """A characteristic under review. verdicts: each reviewer's last, with the mark of the text it is about."""

    key: Key
    wording: Wording
    verdicts: dict[str, tuple[Verdict, str]] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    def verdict(self, who: str) -> Verdict | None:
        """This reviewer's about the text as it stands now; None where they have not judged that one."""
        found = self.verdicts.get(who)
        return found[0] if found and found[1] == self.wording.mark else None

    @property
    def current(self) -> dict[str, Verdict]:
        """Verdicts about the text as it stands now, by reviewer."""
        found = {who: self.verdict(who) for who in self.verdicts}
        return {who: verdict for who, verdict in found.items() if verdict}

    @property
    def standing(self) -> Standing:
        """Of all reviewers together. An edit approves its own text."""
        rejects = {verdict == "rejected" for verdict in self.current.values()}
        if len(rejects) > 1:
            return "disputed"
        if not rejects:
            return "undecided"
        return "rejected" if rejects.pop() else "approved"


@dataclass(frozen=True)
class State:
    """Of a whole bank: items in its order, the entries that stand (without what was undone), and the levels that there
    are: (None,) where one list is for all of them.
    """

    items: dict[Key, Item]
    entries: tuple[Entry, ...]
    levels: tuple[Level | None, ...]

    def level(self, level: Level | None) -> list[Item]:
        """Items that stand at a level (None: in the list for all) now; what was moved there comes last."""
        here = [item for item in self.items.values() if item.wording.level == level]
        return sorted(here, key=lambda item: item.key[0] != level)

    @property
    def reviewers(self) -> list[str]:
        """All who said something that stands."""
        return sorted({entry.who for entry in self.entries})

    def done(self, who: str, level: Level | None = None) -> tuple[int, int]:
        """(decided by this reviewer, all), of a level or of the bank."""
        items = [item for item in self.items.values() if level in (None, item.wording.level)]
        return sum(item.verdict(who) is not None for item in items), len(items)

    def with_standing(self, *standings: Standing) -> list[Item]:
        """Items that stand so."""
        return [item for item in self.items.values() if item.standing in standings]


def fold(bank: DescriptionBank, entries: Sequence[Entry]) -> State:
    """The state of `bank` after these entries. An entry that was undone counts as never made.

    Of a bank with one list for all levels, what an older log says of a level is read as of that list: moves between
    levels are nothing there. Raises UserError for an entry about a characteristic that the bank does not have.
    """
    gone = {entry.undoes for entry in entries if entry.action == "undo"}
    left = tuple(entry for entry in entries if entry.action != "undo" and entry.id not in gone)
    if bank.generic:
        left = tuple(entry.without_level() for entry in left)
    items = {
        (level, one.name): Item((level, one.name), Wording.of(level, one)) for level, one in bank.characteristics()
    }
    for entry in left:
        if entry.key not in items:
            where = f"entry {entry.id} of {entry.who}"
            raise UserError(f"the bank has no {entry.before.place}", where=where, fix="Restore the log.")
        _apply(items[entry.key], entry)
    return State(items, left, (None,) if bank.generic else LEVELS)


def _apply(item: Item, entry: Entry) -> None:
    if entry.action == "comment":
        item.comments[entry.who] = entry.comment or ""
        return
    if entry.after is not None:
        item.wording = entry.after
    if entry.action in _VERDICTS:
        item.verdicts[entry.who] = _VERDICTS[entry.action], item.wording.mark
