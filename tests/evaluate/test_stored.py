"""What is kept of a scored fold: the same choices, nearly the same ranks, and few bytes."""

import json
import zlib

import numpy as np
import pytest

from hlss.evaluate.fold import by_side
from hlss.evaluate.knn import PAPER, Protocol
from hlss.evaluate.neighbours import Neighbours
from hlss.evaluate.predict import ScoredFold, pooled_folds, scored_fold
from hlss.evaluate.scorer import Row, Scored
from hlss.evaluate.scores import Predictions, aggregated, confusion, metrics
from hlss.evaluate.stored import StoredFold, stepped
from hlss.evaluate.units import Retrieval
from hlss.types import LEVELS, Level


def two_best(row):
    """By hand: the largest, the first of equals; then the same of the rest."""
    order = sorted(range(len(row)), key=lambda c: (-row[c], c))
    return order[:2]


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 30.0, 3000.0])
def test_the_two_most_probable_classes_stay(sharpness):
    """Also where rounding makes classes equal, at 0, at 1, and with equal votes."""
    scores = np.random.default_rng(1).normal(size=(400, 5)) * sharpness
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities[:50] = np.round(probabilities[:50], 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities = np.concatenate([probabilities, np.eye(5), np.full((1, 5), 0.2)])
    steps = stepped(probabilities, 0.1)
    assert [two_best(row) for row in steps] == [two_best(row) for row in probabilities]
    inner = (probabilities > 1e-9) & (probabilities < 1 - 1e-9)
    exact = np.log(probabilities[inner] / (1 - probabilities[inner]))
    assert np.abs(0.1 * steps[inner] - exact).max() <= 0.05 + 0.2 + 1e-9
    assert np.mean(np.abs(0.1 * steps[inner] - exact) <= 0.05 + 1e-9) > 0.5


def test_a_fold_comes_back(cohort_table):
    """Everything equal but macro-AUROC: rounding makes a few pairs equal."""
    table = cohort_table(range(30), range(30, 60), 0.8, method="m", fold=1)
    scorers = [Neighbours((Protocol("small", 20, centred=True),)), Retrieval()]
    fold = scored_fold(by_side(table, "test"), ("a", "b", "c"), scorers, {"": "mean", "-released": "released"})
    text = json.dumps(StoredFold.of(fold).model_dump(mode="json"))
    again = StoredFold.model_validate(json.loads(text)).fold()
    for fact in ("name", "classes", "bank_size", "fewest_patients", "patients", "notices"):
        assert getattr(again, fact) == getattr(fold, fact)
    assert list(again.rows) == list(fold.rows)
    before, after = pooled_folds([fold]), pooled_folds([again])
    for row in before:
        for level in LEVELS:
            one, other = (found[row].draws[0][level] for found in (before, after))
            assert confusion(one) == confusion(other)
            wanted = metrics(one)
            assert {**metrics(other), "macro_auroc": None} == {**wanted, "macro_auroc": None}
            near = 1e-3 if level == Level.PATIENT else 3e-3  # of 120 patches, 60 slides, 30 patients
            assert metrics(other)["macro_auroc"] == pytest.approx(wanted["macro_auroc"], abs=near)
    assert StoredFold.of(again) == StoredFold.of(fold)


def test_a_run_of_the_phantom_takes_few_bytes():
    """45 runs of 2187 test patches and two protocols: 2 MB in all, also where no two probabilities are alike."""
    rng = np.random.default_rng(2)
    patients = np.repeat([f"patient {n:03d}" for n in range(81)], 27)
    units = np.array(
        [f"{patient}/{n // 9}\timage\t{n % 3 * 96},{n // 3 % 3 * 96}" for n, patient in enumerate(patients)]
    )
    truth = np.repeat(rng.integers(7, size=81), 27)

    def levels():
        scores = rng.normal(size=(len(units), 7)) * 2 + 2 * np.eye(7)[truth]
        patches = Predictions(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), truth, patients, units)
        slides = np.array([unit.split("\t")[0] for unit in units])
        return {
            Level.PATCH: patches,
            Level.SLIDE: aggregated(patches, slides),
            Level.PATIENT: aggregated(patches, patients),
        }

    rows = [Row("paper", "kNN", 200), Row("small", "kNN", 20)]
    scored = {row: (Scored(row, levels()),) for row in rows}
    fold = ScoredFold("f", tuple("abcdefg"), PAPER.k, 1, tuple(np.unique(patients).tolist()), (), scored)
    text = json.dumps(StoredFold.of(fold).model_dump(mode="json"), separators=(",", ":"))
    size = len(zlib.compress(text.encode()))  # as git packs it
    assert size < 60_000
