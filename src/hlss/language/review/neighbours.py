"""Which characteristics say nearly the same."""

from typing import NamedTuple

import numpy as np

from hlss.language.review.entries import Wording
from hlss.language.review.state import Item, Key, State
from hlss.language.review.text_rows import TextRows
from hlss.language.wording import content_words, overlap

COUNT = 4


class Neighbour(NamedTuple):
    """A characteristic and how near it is, 1 at most."""

    score: float
    key: Key
    wording: Wording


class Neighbours:
    """Of a bank under review, as it is worded now. By a text tower: cosines of the rows that a training would make of
    the descriptions. Without one: share of common content words.
    """

    def __init__(self, rows: TextRows | None = None) -> None:
        self._rows = rows
        self._words: dict[tuple[str, ...], frozenset[str]] = {}

    @property
    def measure(self) -> str:
        """What a score is, to stand beside it."""
        return "shared words" if self._rows is None else "cosine"

    def nearest(self, state: State, key: Key, count: int = COUNT) -> list[Neighbour]:
        """The most alike of all levels, nearest first, and of equals the first in the bank; characteristics that the
        tower cannot read whole are left out. Raises UserError where it cannot read this one.
        """
        own = state.items[key]
        others = [item for item in state.items.values() if item.key != key]
        scores = self._by_words(own, others) if self._rows is None else _by_rows(self._rows, own, others)
        found = [
            Neighbour(score, item.key, item.wording)
            for score, item in zip(scores, others, strict=True)
            if score is not None
        ]
        return sorted(found, key=lambda one: -one.score)[:count]

    def _by_words(self, own: Item, others: list[Item]) -> list[float]:
        words = self._words_of(own.wording)
        return [overlap(words, self._words_of(other.wording)).jaccard for other in others]

    def _words_of(self, wording: Wording) -> frozenset[str]:
        if wording.descriptions not in self._words:
            self._words[wording.descriptions] = content_words(" ".join(wording.descriptions))
        return self._words[wording.descriptions]


def _by_rows(rows: TextRows, own: Item, others: list[Item]) -> list[float | None]:
    row, matrix = rows.row(own.wording), rows.rows([item.wording for item in (own, *others)])[1:]
    readable: list[bool] = np.any(matrix, axis=1).tolist()
    return [score if there else None for score, there in zip((matrix @ row).tolist(), readable, strict=True)]
