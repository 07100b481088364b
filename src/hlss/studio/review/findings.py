"""What the linter says of a characteristic as it is worded now."""

from collections.abc import Mapping
from functools import lru_cache

from hlss.language.bank import GENERIC, Characteristic, DescriptionBank
from hlss.language.lint.findings import Finding
from hlss.language.lint.lint import lint_alone
from hlss.language.lint.repeats import by_repeats
from hlss.language.review.entries import Wording
from hlss.language.review.state import Item, Key, State
from hlss.types import LEVELS, Level

_MOST = 4096  # wordings kept
_Twice = Mapping[tuple[Level | None, str], tuple[str, ...]]  # (level, name) now → lines


class Findings:
    """Of a bank under review. Words and form are looked at once a wording, repeats once a change of any."""

    def __init__(self, bank: DescriptionBank) -> None:
        self._bank = bank
        self._of_wording = lru_cache(_MOST)(_by_itself)
        self._repeats = lru_cache(2)(self._found_twice)

    def of(self, state: State, item: Item) -> list[str]:
        """A line for each finding, those of the wording itself first."""
        return self._lines(self._repeats(_wordings(state)), item)

    def flagged(self, state: State) -> set[Key]:
        """Characteristics of which something was found."""
        twice = self._repeats(_wordings(state))
        return {item.key for item in state.items.values() if self._lines(twice, item)}

    def _lines(self, twice: _Twice, item: Item) -> list[str]:
        return [*self._of_wording(item.wording), *twice.get((item.wording.level, item.wording.name), ())]

    def _found_twice(self, wordings: tuple[Wording, ...]) -> _Twice:
        levels: tuple[Level | None, ...] = (None,) if self._bank.generic else LEVELS
        now = {
            level or GENERIC: tuple(_as_characteristic(one) for one in wordings if one.level == level)
            for level in levels
        }
        found: dict[tuple[Level | None, str], tuple[str, ...]] = {}
        for one in by_repeats(self._bank.model_copy(update=now)):  # a level may be empty by now
            at = one.place.level, one.place.name
            found[at] = (*found.get(at, ()), _line(one))
        return found


def _wordings(state: State) -> tuple[Wording, ...]:
    return tuple(item.wording for item in state.items.values())


def _as_characteristic(wording: Wording) -> Characteristic:
    return Characteristic(name=wording.name, descriptions=wording.descriptions)


def _by_itself(wording: Wording) -> tuple[str, ...]:
    return tuple(map(_line, lint_alone(_as_characteristic(wording))))


def _line(one: Finding) -> str:
    where = "name" if one.place.number is None else f"description {one.place.number + 1}"
    return f"{one.severity}, {one.rule}, {where}: {one.reason}"
