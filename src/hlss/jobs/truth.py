"""Explanations of drawn tissue against what was drawn: how far a run's features can be read in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.truth import tile_truths
from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.intervals import FEWEST_PATIENTS
from hlss.experiment import Experiment
from hlss.explain.agreement import Agreement, Measure, agreement, by_factor, distractors, mean_over, resampled
from hlss.explain.blocks import interval_of
from hlss.explain.match import match
from hlss.jobs.tiles_of_rows import TilesOfRows
from hlss.language.encode import Texts
from hlss.language.factors import Truth, truth_of
from hlss.types import LEVELS, Level

_RESAMPLES = 200
MEASURED: tuple[Measure, ...] = ("auroc", "rank")
WHOLE_SLIDE = ("heterogeneity", "invasion")  # of a slide or patient, not to be seen in a tile


@dataclass(frozen=True)
class Words:
    """A run's texts: the matrix and names of each level's characteristics, and what each stands for."""

    rows: Mapping[Level, ndarray]
    names: Mapping[Level, list[str]]
    truths: Mapping[Level, Mapping[str, Truth]]

    @classmethod
    def of(cls, experiment: Experiment) -> "Words":
        """The texts of an experiment whose bank has a known truth. Raises UserError."""
        assert experiment.language is not None
        language = experiment.language
        texts = language.encoded(experiment.encoder.text(), experiment.cache / "texts")
        return cls.written(texts, language.bank)

    @classmethod
    def written(cls, texts: Texts, bank: str) -> "Words":
        """The same of texts at hand. Raises UserError where what their bank stands for is not known."""
        rows = {level: texts.rows[level].numpy() for level in LEVELS}
        return cls(rows, {level: texts.bank.names(level) for level in LEVELS}, truth_of(bank))


@dataclass(frozen=True)
class Asked:
    """Test patches of a table: features, patients, and the truth of each (NaN: unknown), columns as FACTORS."""

    features: ndarray
    patients: ndarray
    truth: Float64[ndarray, "n f"]


def asked_of(table: EmbeddingTable, cohort: Cohort, side: str = "test") -> Asked:
    """The patches of a side (`all`: of every side), with their truth looked up in the cohort that drew them."""
    return asked_of_each({"": table}, cohort, side)[""]


def asked_of_each(tables: Mapping[str, EmbeddingTable], cohort: Cohort, side: str = "test") -> dict[str, Asked]:
    """The same of several tables by name; the truth of a patch that stands in several is looked up once.

    Raises UserError where the cohort lacks a patch of theirs.
    """
    kept = {name: table.where(np.asarray((table["side"] == side) | (side == "all"))) for name, table in tables.items()}
    tiles = TilesOfRows(cohort)
    rows = {name: tiles.tiles(one) for name, one in kept.items()}
    every = np.unique(np.concatenate(list(rows.values())))
    truth = tile_truths(cohort, every)
    return {
        name: Asked(one.features, np.asarray(one["patient"]), truth[np.searchsorted(every, rows[name])])
        for name, one in kept.items()
    }


@dataclass(frozen=True, eq=False)
class Measured:
    """Agreement of each characteristic that names something drawn; resampled: by measure, t characteristics in each
    resample of the patients; distractors: mean AUROC of those that name nothing.
    """

    found: Sequence[Agreement]
    patients: tuple[str, ...]
    resampled: Mapping[Measure, Float64[ndarray, "t r"]]
    distractors: float | None

    def mean(self, measure: Measure = "auroc") -> float | None:
        """Over all characteristics for which it is defined."""
        known = [value for one in self.found if (value := getattr(one, measure)) is not None]
        return float(np.mean(known)) if known else None

    def interval(self, measure: Measure = "auroc", factor: str | None = None) -> tuple[float, float] | None:
        """95 % interval of the mean (of one factor's characteristics), patients resampled; None below 10 patients."""
        if len(self.patients) < FEWEST_PATIENTS:
            return None
        kept = [factor is None or one.factor == factor for one in self.found]
        interval = interval_of(mean_over(self.resampled[measure][kept]))
        return None if interval is None else (interval.low, interval.high)

    def mean_resampled(self, measure: Measure) -> Float64[ndarray, " r"]:
        """The mean over characteristics in each resample of the patients."""
        return mean_over(self.resampled[measure])

    def to_json(self) -> dict[str, Any]:
        factors = {measure: by_factor(self.found, measure) for measure in MEASURED}
        return {
            "mean_auroc": self.mean(),
            "interval": self.interval(),
            "by_factor": factors["auroc"],
            "by_factor_interval": {name: self.interval("auroc", name) for name in factors["auroc"]},
            "mean_rank": self.mean("rank"),
            "rank_interval": self.interval("rank"),
            "rank_by_factor": factors["rank"],
            "rank_by_factor_interval": {name: self.interval("rank", name) for name in factors["rank"]},
            "distractors": self.distractors,
            "characteristics": [asdict(one) for one in self.found],
        }


def agreement_of(asked: Asked, words: Words, seed: int = 0) -> dict[str, Any]:
    """AUROC and rank correlation of every characteristic with its factor; means by factor and over factors, with
    intervals; mean AUROC of distractors.

    None where too few patches have, or lack, what is asked for.
    """
    return measured(asked, words, seed).to_json()


def measured(asked: Asked, words: Words, seed: int = 0, resamples: int = _RESAMPLES) -> Measured:
    """Every characteristic of a tile's factors against the truth of these patches; resamples: of the patients."""
    column = {name: asked.truth[:, number] for number, name in enumerate(FACTORS)}
    found: list[Agreement] = []
    scored, empty = [], {}
    for level in LEVELS:
        scores = match(asked.features, words.rows[level])
        for number, name in enumerate(words.names[level]):
            truth = words.truths[level][name]
            if truth.factor is None:
                empty[name] = scores[:, number]
            elif truth.end is not None and truth.factor not in WHOLE_SLIDE:
                found.append(agreement(name, truth.factor, truth.end, scores[:, number], column[truth.factor]))
                scored.append((scores[:, number], column[truth.factor], truth.end))
    false = distractors(empty, {name: values for name, values in column.items() if name not in WHOLE_SLIDE})
    return Measured(
        found,
        tuple(np.unique(asked.patients.astype(str)).tolist()),
        {measure: resampled(scored, asked.patients, resamples, seed, measure) for measure in MEASURED},
        float(np.mean(list(false.values()))) if false else None,
    )
