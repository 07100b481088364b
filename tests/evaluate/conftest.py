"""Tables and predictions that are made up, so that their truth is known."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.scores import Predictions

MakeTable = Callable[..., EmbeddingTable]
MakePredictions = Callable[..., Predictions]


@pytest.fixture(scope="session")
def cohort_table(make_table: MakeTable) -> MakeTable:
    """cohort_table(train, test, noise, seed, **provenance): three classes as noisy corners, patients named by number.

    Each patient has one class (patient number mod 3), two slides and four patches of 6 features.
    """

    def make(
        train: Sequence[int], test: Sequence[int], noise: float = 0.1, seed: int = 0, **provenance: Any
    ) -> EmbeddingTable:
        rng = np.random.default_rng(seed)
        sides = [(patient, "train") for patient in train] + [(patient, "test") for patient in test]
        rows = [
            (f"{patient:03d}", f"{patient:03d}-{i // 2}", "abc"[patient % 3], side)
            for patient, side in sides
            for i in range(4)
        ]
        corners = np.eye(6)[["abc".index(row[2]) for row in rows]]
        return make_table(rows, corners + noise * rng.standard_normal(corners.shape), seed=0, **provenance)

    return make


@pytest.fixture(scope="session")
def make_predictions() -> MakePredictions:
    """make_predictions(patients, units, classes, seed): random, with ties, a few units a patient."""

    def make(patients: int, units: int, classes: int, seed: int = 0) -> Predictions:
        rng = np.random.default_rng(seed)
        probabilities = np.round(rng.dirichlet(np.ones(classes), size=units), 1) + 0.01
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        patient = np.array([f"p{number:03d}" for number in rng.integers(0, patients, units)])
        unit = np.array([f"u{number}" for number in range(units)])
        return Predictions(probabilities, rng.integers(0, classes, units), patient, unit)

    return make
