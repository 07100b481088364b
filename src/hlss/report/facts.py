"""Figures that know where they come from: a place in a file of JSON, shown with its address."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hlss.report.markup import Html, element

Form = Callable[[Any], str]
ABSENT = "–"


@dataclass(frozen=True, eq=False)
class Facts:
    """A value of a JSON tree. source: id of the file (or of the figures inside the report); pointer: the way to the
    value in it (RFC 6901).
    """

    source: str
    value: Any
    pointer: str = ""

    def __getitem__(self, key: str | int) -> "Facts":
        """Raises KeyError or IndexError where there is no such value."""
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return Facts(self.source, self.value[key], f"{self.pointer}/{escaped}")

    def at(self, *keys: str | int) -> "Facts | None":
        """What lies there; None where nothing does, or null."""
        found: Facts = self
        for key in keys:
            here = found.value
            if isinstance(here, Mapping):
                if key not in here:
                    return None
            elif not (isinstance(here, Sequence) and isinstance(key, int) and key < len(here)):
                return None
            found = found[key]
        return None if found.value is None else found

    def __iter__(self) -> Iterator["Facts"]:
        """The items of a list."""
        return (self[number] for number in range(len(self.value)))

    def items(self) -> Iterator[tuple[str, "Facts"]]:
        """Of a mapping, in its order."""
        return ((name, self[name]) for name in self.value)

    @property
    def address(self) -> str:
        """As evaluation.json#/results/0."""
        return f"{self.source}#{self.pointer}"

    @property
    def marks(self) -> dict[str, str]:
        """Attributes that say of an element which value it shows, and where it is from."""
        return {"data_source": self.address, "data_value": json.dumps(self.value, ensure_ascii=False)}

    def shown(self, form: Form = str, tag: str = "data") -> Html:
        """The value as `form` writes it, with its address."""
        extra = {"value": self.value} if tag == "data" else {}
        return element(tag, form(self.value), **extra, **self.marks)


def shown(facts: Facts | None, form: Form = str) -> Html | str:
    """Of what may be absent."""
    return ABSENT if facts is None else facts.shown(form)


def percent(value: float) -> str:
    """A fraction, in percent."""
    return f"{100 * value:.1f}".replace("-", "−")


def signed_percent(value: float) -> str:
    """A difference of fractions, in points."""
    return f"{100 * value:+.1f}".replace("-", "−")


def count(value: int) -> str:
    """A number of things, with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def decimal(digits: int) -> Form:
    """With so many digits after the point."""
    return lambda value: f"{value:.{digits}f}"


def significant(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def signed(value: float) -> str:
    """With its sign and two digits after the point."""
    return f"{value:+.2f}".replace("-", "−")
