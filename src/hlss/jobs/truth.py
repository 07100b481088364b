"""Explanations of drawn tissue against what was drawn: how far a run's features can be read in words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.truth import tile_truths
from hlss.config import read_settings
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.experiment import Experiment
from hlss.explain.agreement import Agreement, agreement, by_factor, distractors, interval_of_mean
from hlss.explain.match import match
from hlss.language.bank import read_bank
from hlss.language.factors import Truth, truth_of
from hlss.types import LEVELS, Level

_RESAMPLES = 200
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
        bank = read_bank(language.bank)
        rows = {level: texts.rows[level].numpy() for level in LEVELS}
        return cls(rows, {level: bank.names(level) for level in LEVELS}, truth_of(language.bank))


@dataclass(frozen=True)
class Asked:
    """Test patches of a table: features, patients, and the truth of each (NaN: unknown), columns as FACTORS."""

    features: ndarray
    patients: ndarray
    truth: Float64[ndarray, "n f"]


def asked_of(table: EmbeddingTable, cohort: Cohort, side: str = "test") -> Asked:
    """The patches of a side, with their truth looked up in the cohort that drew them."""
    kept = table.where(np.asarray(table["side"] == side))
    rows = np.arange(cohort.n_tiles)
    slides = [cohort.slides[number] for number in cohort.tile_slide(rows)]
    places = zip(slides, *cohort.tile_xy_px0.T.tolist(), strict=True)
    row_of = {place: row for row, place in enumerate(places)}
    wanted = [row_of[place] for place in zip(kept["slide"], kept["x_px0"], kept["y_px0"], strict=True)]
    return Asked(kept.features, np.asarray(kept["patient"]), tile_truths(cohort, wanted))


def agreement_of(asked: Asked, words: Words, seed: int = 0) -> dict[str, Any]:
    """AUROC of every characteristic against its factor; means by factor, over factors with interval, of distractors.

    None where too few patches have, or lack, what is asked for.
    """
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
    known = [one.auroc for one in found if one.auroc is not None]
    visible = {name: values for name, values in column.items() if name not in WHOLE_SLIDE}
    false = distractors(empty, visible)
    return {
        "mean_auroc": float(np.mean(known)) if known else None,
        "interval": interval_of_mean(scored, asked.patients, _RESAMPLES, seed),
        "by_factor": by_factor(found),
        "distractors": float(np.mean(list(false.values()))) if false else None,
        "characteristics": [asdict(one) for one in found],
    }


def experiment_of(run: Path) -> Experiment:
    """The settings a run was made with."""
    return read_settings(run / "config.yaml", Experiment)
