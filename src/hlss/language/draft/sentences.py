"""What speaks against drafted sentences: the linter's errors, and copies of what is kept."""

from collections.abc import Iterable, Sequence

from hlss.language.bank import DESCRIPTIONS, Characteristic
from hlss.language.lint.findings import Severity
from hlss.language.lint.lint import lint_alone
from hlss.language.wording import Sentence


def fault(descriptions: Sequence[str]) -> str | None:
    """The first error that the linter finds in single sentences, in one line."""
    return _first("characteristic", descriptions)


def fault_of_name(name: str) -> str | None:
    """The first error that the linter finds in a name."""
    return _first(name, ["a sentence"] * DESCRIPTIONS)


def _first(name: str, descriptions: Sequence[str]) -> str | None:
    found = lint_alone(Characteristic(name=name, descriptions=tuple(descriptions)))
    return next((f"{one.text!r}: {one.reason}" for one in found if one.severity is Severity.ERROR), None)


class Kept:
    """Sentences of what came through so far."""

    def __init__(self) -> None:
        self._kept: list[Sentence] = []

    def copied(self, descriptions: Iterable[str]) -> str | None:
        """Which of these nearly copies a kept sentence, in one line; None where none does."""
        for one in map(Sentence.of, descriptions):
            for other in self._kept:
                if one.copies(other):
                    return f"{one.text!r} nearly copies {other.text!r}, which describes another characteristic"
        return None

    def add(self, descriptions: Iterable[str]) -> None:
        """Keep these."""
        self._kept += map(Sentence.of, descriptions)
