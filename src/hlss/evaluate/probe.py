"""The scorers of logistic regression on patches: a full linear probe, and a few-shot probe."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.evaluate.fold import Patches, Task
from hlss.evaluate.knn import unit
from hlss.evaluate.linear import fit, fit_chosen, lot
from hlss.evaluate.scorer import Row, Scored, of_patches


@dataclass(frozen=True)
class Probe:
    """Linear probe on z, at length 1, of the bank's patches; C is chosen on its patients (`fit_chosen`), recorded."""

    seed: int

    def score(self, task: Task) -> Iterator[Scored]:
        bank = task.bank
        probe = fit_chosen(unit(bank.features), bank.labels, bank.ids("patient"), self.seed)
        found = of_patches(task, probe.probabilities(unit(task.queries.features), len(task.classes)))
        notices = tuple(f"{task.name}, protocol probe: {notice}" for notice in probe.notices)
        yield Scored(Row("probe", "linear probe"), found, ({"C": probe.c},), notices)


@dataclass(frozen=True)
class FewShot:
    """Linear probe on the patches of a few patients of each class, drawn several times; a row a number of patients.

    C is 1/d: with one patient a class there is none to choose it on, and one rule serves all rows.
    """

    shots: tuple[int, ...]
    draws: int
    seed: int

    def score(self, task: Task) -> Iterator[Scored]:
        bank, queries = unit(task.bank.features), unit(task.queries.features)
        for shots in self.shots:
            row = Row(f"few-shot-{shots}", f"probe on {shots} patients a class (mean of {self.draws} draws)")
            for draw in range(self.draws):
                rows = drawn(task.bank, shots, self.seed, draw)
                probe = fit(bank[rows], task.bank.labels[rows])
                found = probe.probabilities(queries, len(task.classes))
                notices = tuple(f"{task.name}, protocol {row.name}: {notice}" for notice in probe.notices)
                yield Scored(row, of_patches(task, found), (), notices)


def drawn(bank: Patches, shots: int, seed: int, draw: int) -> Int64[ndarray, " n"]:
    """Rows of `shots` patients of each class, by lot: a draw of more patients holds that of fewer."""
    patients, rows = bank.ids("patient"), []
    for label in np.unique(bank.labels):
        names = sorted(set(patients[bank.labels == label].tolist()), key=lambda name: lot(seed, draw, name))
        rows.append(np.flatnonzero((bank.labels == label) & np.isin(patients, names[:shots])))
    return np.concatenate(rows)
