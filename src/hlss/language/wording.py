"""What two sentences have in common, and whether one names what it should only describe."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple, Self

import yaml

from hlss.config import Part
from hlss.language.bank import normalised

# Two sentences that share three content words or more, and these are half of both's or three quarters of the shorter
# one's, are near copies. No two of the sentences of `general_he`, each written to say something of its own, are; of
# the markers that a reader had found to copy the bank `phantom`, all were (tests/contracts).
ALIKE, HELD, FEWEST = 0.5, 0.75, 3

_SHORTEST, _ENDING = 5, 4  # letters of a class's name that make it known, and those that may change behind them
_WHOLE = 3  # letters of a word that is known as it stands only
_ENDINGS = ("ies", "es", "s", "ed", "ing", "ly")


class Overlap(NamedTuple):
    """Of two sets of content words: how many are shared, that over all of both, and over the smaller set."""

    shared: int
    jaccard: float
    containment: float

    @property
    def near_copy(self) -> bool:
        return self.shared >= FEWEST and (self.jaccard >= ALIKE or self.containment >= HELD)


class Sentence(NamedTuple):
    """A text as it is compared with others: as it stands, what makes it the same as another, its content words."""

    text: str
    plain: str
    words: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(text, normalised(text), content_words(text))

    def same(self, other: "Sentence") -> bool:
        """But for case, punctuation and spaces."""
        return self.plain == other.plain

    def copies(self, other: "Sentence") -> bool:
        """Whether it is the same, or a near copy."""
        return self.same(other) or overlap(self.words, other.words).near_copy


def content_words(text: str) -> frozenset[str]:
    """The words that carry a sentence, cut to what plural, tense and adverb leave: `lines` and `lined` agree."""
    return frozenset(_cut(word) for word in normalised(text).split() if word not in _data().stop_words)


def overlap(first: frozenset[str], second: frozenset[str]) -> Overlap:
    """Of the content words of two sentences."""
    shared = len(first & second)
    return Overlap(shared, shared / max(1, len(first | second)), shared / max(1, min(len(first), len(second))))


def named_in(text: str, classes: Iterable[str]) -> str | None:
    """The first words of `text` that name one of these classes or a listed diagnosis; None where none does.

    A class is named by the beginnings of its words, one after the other: `spindled` by `spindle`, `round_cell` by
    `round cells`.
    """
    words = normalised(text).split()
    for name in classes:
        beginnings = [word[: max(_SHORTEST, len(word) - _ENDING)] for word in normalised(name).split()]
        for at in range(len(words) - len(beginnings) + 1):
            found = words[at : at + len(beginnings)]
            if all(map(_begins, found, beginnings)):
                return " ".join(found)
    return next((word for word in words if _data().diagnoses.names(word)), None)


def _begins(word: str, beginning: str) -> bool:
    return word == beginning or (len(beginning) > _WHOLE and word.startswith(beginning))


class _Diagnoses(Part):
    """Words that name a diagnosis or grade."""

    endings: tuple[str, ...]
    allowed: frozenset[str]
    beginnings: tuple[str, ...]
    words: frozenset[str]

    def names(self, word: str) -> bool:
        if word in self.allowed:
            return False
        return word in self.words or word.startswith(self.beginnings) or word.endswith(self.endings)


class _Data(NamedTuple):
    diagnoses: _Diagnoses
    stop_words: frozenset[str]


@cache
def _data() -> _Data:
    tree = yaml.safe_load((files("hlss.language") / "wording.yaml").read_text(encoding="utf-8"))
    return _Data(_Diagnoses.model_validate(tree["diagnoses"]), frozenset(tree["stop_words"].split()))


def _cut(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word.rstrip("e")
