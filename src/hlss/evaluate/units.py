"""Slides and patients as mean embeddings: retrieval among them, and a probe on them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64, Shaped
from numpy import ndarray

from hlss.evaluate.fold import Patches, Task
from hlss.evaluate.knn import nearest, unit
from hlss.evaluate.linear import fit_chosen
from hlss.evaluate.scorer import Row, Scored
from hlss.evaluate.scores import LEVEL_COLUMN, Predictions, group_means
from hlss.types import Level

RETRIEVED = 5


@dataclass(frozen=True, eq=False)
class Units:
    """Slides or patients. embeddings: mean of their patches' z, at length 1 (SPEC §1); left_out: of several labels."""

    embeddings: Float32[ndarray, "u d"]
    labels: Int64[ndarray, " u"]
    patients: Shaped[ndarray, " u"]
    names: Shaped[ndarray, " u"]
    left_out: int

    def predictions(self, probabilities: Float[ndarray, "u c"]) -> Predictions:
        """These units as queries that were answered."""
        return Predictions(probabilities, self.labels, self.patients, self.names, self.left_out)


def units_of(patches: Patches, level: Level) -> Units:
    """Slides or patients of these patches, in order of name."""
    names = patches.ids(LEVEL_COLUMN[level])
    means, first, left_out = group_means(unit(patches.features), patches.labels, names)
    rows = means.astype(np.float32)
    return Units(rows, patches.labels[first], patches.ids("patient")[first], names[first], left_out)


@dataclass(frozen=True)
class Retrieval:
    """mMV@5: of the 5 slides (patients) of the bank nearest by cosine, does the majority have the query's class?

    Accuracy is the share of right majority votes (MV@5); balanced accuracy is its mean over classes, mMV@5. A bank has
    no patient of the queries, so all that is retrieved is of other patients. Of classes with equal votes, that of the
    nearest of their neighbours wins. After Yottixel's search (Kalra et al. 2020, Medical Image Analysis 65), with mean
    embeddings in place of its barcodes.
    """

    def score(self, task: Task) -> Iterator[Scored]:
        found: dict[Level, Predictions] = {}
        notices = []
        for level in LEVEL_COLUMN:
            bank, queries = units_of(task.bank, level), units_of(task.queries, level)
            if len(bank.names) < RETRIEVED:
                notices.append(
                    f"{task.name}, protocol retrieval: {level} level is left out, the bank has {len(bank.names)} units "
                    f"with one label, {RETRIEVED} are retrieved"
                )
            else:
                found[level] = queries.predictions(_votes(bank, queries, len(task.classes)))
        yield Scored(Row("retrieval", f"retrieval MV@{RETRIEVED}", RETRIEVED), found, (), tuple(notices))


@dataclass(frozen=True)
class MeanProbe:
    """Linear probe on mean embeddings of slides, and another on those of patients; C as in the probe on patches."""

    seed: int

    def score(self, task: Task) -> Iterator[Scored]:
        found: dict[Level, Predictions] = {}
        fitted, notices = [], []
        for level in LEVEL_COLUMN:
            bank, queries = units_of(task.bank, level), units_of(task.queries, level)
            name = f"{task.name}, protocol mean-probe, {level} level"
            if len(np.unique(bank.labels)) < 2:
                notices.append(f"{name}: left out, the bank's units with one label are not of two classes")
                continue
            probe = fit_chosen(bank.embeddings, bank.labels, bank.patients, self.seed)
            found[level] = queries.predictions(probe.probabilities(queries.embeddings, len(task.classes)))
            fitted.append({"level": str(level), "C": probe.c})
            notices += [f"{name}: {notice}" for notice in probe.notices]
        yield Scored(Row("mean-probe", "linear probe on mean embeddings"), found, tuple(fitted), tuple(notices))


def _votes(bank: Units, queries: Units, classes: int) -> Float[ndarray, "u c"]:
    """Share of the votes of each class; what breaks ties (under 0.1 of a vote in all) halves with each place."""
    _, rows = nearest(unit(queries.embeddings), unit(bank.embeddings), RETRIEVED)
    votes = np.zeros((len(rows), classes))
    worth = np.broadcast_to(1 + 0.05 * 0.5 ** np.arange(RETRIEVED), rows.shape)
    np.add.at(votes, (np.arange(len(rows))[:, None], bank.labels[rows]), worth)
    return votes / votes.sum(axis=1, keepdims=True)
