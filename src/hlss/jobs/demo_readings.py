"""The demo's picture of patches and their words, each word marked by what was drawn there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Shaped, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import INDEX
from hlss.cohorts.phantom.spec import drawn_slides
from hlss.embedding_table import EmbeddingTable
from hlss.explain.agreement import HIGH, LOW
from hlss.explain.cards import BETWEEN, DISTRACTOR, FALSE, TRUE, UNKNOWN, Reading, Word, show_readings
from hlss.explain.match import match, standing
from hlss.jobs.demo_pictures import image_of
from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.jobs.truth import Asked, Words
from hlss.language.factors import Truth
from hlss.types import Level

_CARDS, _WORDS = 7, 2  # patches shown; words a level on each
_LEVELS = (Level.PATCH, Level.SLIDE)  # whose words speak of what a patch shows
_SUBTITLE = (
    "Test patches, one of each class before any class again, chosen by order and never by score.\n"
    f"Below each: the {_WORDS} words of patch level and the {_WORDS} of slide level that stand out most, in σ over all "
    "test patches."
)
_MEANINGS = {
    TRUE: f"true of this patch: its factor is {HIGH:g} or more ({LOW:g} or less where the word names the low end)",
    FALSE: "false: its factor lies at the other end",
    BETWEEN: "neither: its factor lies in between",
    UNKNOWN: "unknown: too few living cells to say",
    DISTRACTOR: "distractor: a word for what is drawn nowhere",
}
_UNTOLD = "never told"
_UNTOLD_MEANS = f"{_UNTOLD}: no caption of the small CLIP ever spoke of this factor"


def picture_readings(table: EmbeddingTable, asked: Asked, words: Words, cohort: Cohort, path: Path) -> None:
    """Test patches of every class, with the words that stand out most in each; asked: the table's test patches."""
    test = table.where(np.asarray(table["side"] == "test"))
    read = Read.of(asked, words)
    overall = (
        f"Over all {len(test)} test patches {read.share_true():.0%} of the words read are true; of words picked at "
        f"random it would be {read.share_true_at_random():.0%}."
    )
    show_readings(
        [
            Reading(_pixels(test, row, cohort), str(test["label"][row]).replace("_", " "), read.of_patch(row))
            for row in one_of_each(test["label"], _CARDS).tolist()
        ],
        ("What the features say, and what was drawn", f"Features of {table.provenance['method']}. {_SUBTITLE}"),
        [*_MEANINGS.items(), ("", _UNTOLD_MEANS), ("", overall)],
        path,
    )


def one_of_each(labels: Shaped[ndarray, " n"], count: int) -> Int64[ndarray, " k"]:
    """At most so many rows, so spread that no class stands twice before all stand once; evenly in order within it."""
    of_class = [np.flatnonzero(labels == name) for name in np.unique(labels.astype(str))]
    rounds = -(-count // len(of_class))
    chosen = [
        rows[turn * max(len(rows) // rounds, 1)] for turn in range(rounds) for rows in of_class if turn < len(rows)
    ]
    return np.array(chosen[:count], dtype=np.int64)


def mark_of(truth: Truth, value: float) -> str:
    """The mark of a word that stands for `truth`, in a patch where its factor has this value (NaN: unknown)."""
    if truth.factor is None:
        return DISTRACTOR
    if not np.isfinite(value):
        return UNKNOWN
    has, lacks = (value >= HIGH, value <= LOW) if truth.end == "high" else (value <= LOW, value >= HIGH)
    return TRUE if has else FALSE if lacks else BETWEEN


def truth_in_words(truth: Truth, value: float) -> str:
    """What a mark rests on."""
    if truth.factor is None:
        return "distractor: names nothing drawn"
    told = f" ({_UNTOLD})" if truth.factor in HELD_OUT else ""
    shown = f"{value:.2f}" if np.isfinite(value) else "unknown"
    return f"true {truth.factor.replace('_', ' ')}: {shown}{told}"


@dataclass(frozen=True)
class Read:
    """The words that stand out most in each of n patches, by level: their numbers, best first, and σ of all words."""

    asked: Asked
    words: Words
    best: Mapping[Level, Int64[ndarray, "n w"]]
    standing: Mapping[Level, Float64[ndarray, "n k"]]

    @classmethod
    def of(cls, asked: Asked, words: Words) -> "Read":
        stands = {level: standing(match(asked.features, words.rows[level])) for level in _LEVELS}
        best = {level: np.argsort(-marks, axis=1, kind="stable")[:, :_WORDS] for level, marks in stands.items()}
        return cls(asked, words, best, stands)

    def of_patch(self, row: int) -> list[Word]:
        """Those of one patch, each with its mark."""
        found = []
        for level in _LEVELS:
            for number in self.best[level][row]:
                name = self.words.names[level][number]
                truth = self.words.truths[level][name]
                value = _value(truth, self.asked.truth[row])
                sigma = float(self.standing[level][row, number])
                found.append(Word(name, sigma, mark_of(truth, value), truth_in_words(truth, value)))
        return found

    def share_true(self) -> float:
        """Of all words read from all patches, the share that is true."""
        marks = [word.mark for row in range(len(self.asked.truth)) for word in self.of_patch(row)]
        return marks.count(TRUE) / len(marks)

    def share_true_at_random(self) -> float:
        """The same of words picked at random, as many of either level: what share_true is without reading."""
        shares = []
        for level in _LEVELS:
            truths = [self.words.truths[level][name] for name in self.words.names[level]]
            marks = [mark_of(truth, _value(truth, values)) for values in self.asked.truth for truth in truths]
            shares.append(marks.count(TRUE) / len(marks))
        return float(np.mean(shares))


def _value(truth: Truth, values: Float64[ndarray, " f"]) -> float:
    """Of the factor that is meant, among those of a patch; NaN for a distractor."""
    return float("nan") if truth.factor is None else float(values[INDEX[truth.factor]])


def _pixels(test: EmbeddingTable, row: int, cohort: Cohort) -> UInt8[ndarray, "p p 3"]:
    """The patch as the encoder saw it."""
    place = (int(test["x_px0"][row]), int(test["y_px0"][row]))
    return drawn_slides(cohort).read(image_of(cohort, test["slide"][row]), place, cohort.tile_px, cohort.mpp)
