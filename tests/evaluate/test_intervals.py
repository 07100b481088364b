"""Resampling of patients against gathering every resample by hand, and against theory."""

import math

import numpy as np
import pytest

from hlss.errors import UserError
from hlss.evaluate.intervals import (
    DETECTABLE_IN_SE,
    Interval,
    differences,
    intervals,
    mean_of,
    resampled_measures,
)
from hlss.evaluate.scores import MEASURES, Predictions, metrics


def gathered(run: Predictions, names: np.ndarray, draw: np.ndarray) -> Predictions:
    """The units of every patient, as often as the patient is drawn."""
    rows = [row for name, count in zip(names, draw, strict=True) for row in np.flatnonzero(run.patient == name)
            for _ in range(int(count))]  # fmt: skip
    return Predictions(run.probabilities[rows], run.truth[rows], run.patient[rows], run.unit[rows])


def as_float(value: float | None) -> float:
    return math.nan if value is None else value


def coin(patients: int, chance: float, seed: int) -> Predictions:
    """One unit a patient, of class 0, right with this chance."""
    right = np.random.default_rng(seed).random(patients) < chance
    names = np.array([f"p{i:04d}" for i in range(patients)])
    return Predictions(np.stack([right, ~right], axis=1).astype(float), np.zeros(patients, dtype=int), names, names)


@pytest.mark.parametrize("classes", [2, 4])
def test_every_measure_equals_gathering_the_resample(make_predictions, classes: int):
    run = make_predictions(12, 60, classes)
    names = np.unique(run.patient)
    draws = np.random.default_rng(1).multinomial(len(names), np.full(len(names), 1 / len(names)), size=25)
    found = resampled_measures(run, names, draws.astype(float))
    for at, draw in enumerate(draws):
        wanted = metrics(gathered(run, names, draw))
        for name in MEASURES:
            assert found[name][at] == pytest.approx(as_float(wanted[name]), nan_ok=True), name


def test_resample_that_loses_classes(make_predictions):
    """Few patients of one unit each: resamples often lack a class, or have one only."""
    run = make_predictions(5, 6, 3)
    names = np.unique(run.patient)
    draws = np.random.default_rng(2).multinomial(len(names), np.full(len(names), 1 / len(names)), size=60)
    found = resampled_measures(run, names, draws.astype(float))
    for at, draw in enumerate(draws):
        wanted = metrics(gathered(run, names, draw))
        for name in MEASURES:
            assert found[name][at] == pytest.approx(as_float(wanted[name]), nan_ok=True), name
    assert np.isnan(found["macro_auroc"]).any()


def test_interval_holds_the_truth_about_as_often_as_it_says():
    """A binomial of 100 patients, 200 studies: coverage of a 95 % percentile interval is within 90..99 %."""
    held = 0
    for study in range(200):
        interval = intervals([coin(100, 0.7, study)], 400, study)["accuracy"]
        held += interval.low <= 0.7 <= interval.high
    assert 180 <= held <= 198


def test_interval_has_the_width_of_theory():
    interval = intervals([coin(400, 0.7, 0)], 4000, 0)["accuracy"]
    rate = metrics(coin(400, 0.7, 0))["accuracy"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * math.sqrt(rate * (1 - rate) / 400), rel=0.06)


def test_patients_are_resampled_not_patches():
    """50 equal patches of each patient are no more certain than one."""
    one = coin(40, 0.6, 3)
    many = Predictions(*(np.repeat(part, 50, axis=0) for part in (one.probabilities, one.truth, one.patient, one.unit)))
    assert intervals([many], 500, 0)["accuracy"] == intervals([one], 500, 0)["accuracy"]


def test_seeds_are_averaged_within_each_resample():
    """A run and its opposite: every resample has accuracy one half."""
    run = coin(30, 0.5, 4)
    opposite = Predictions(1 - run.probabilities, run.truth, run.patient, run.unit)
    assert intervals([run, opposite], 300, 0)["accuracy"] == Interval(0.5, 0.5)


def test_seeded():
    run = coin(30, 0.6, 5)
    assert intervals([run], 200, 1) == intervals([run], 200, 1)
    assert intervals([run], 200, 1) != intervals([run], 200, 2)


@pytest.mark.parametrize(("patients", "given"), [(9, False), (10, True)])
def test_no_interval_below_ten_patients(patients: int, given: bool):
    ours, theirs = coin(patients, 0.5, 6), coin(patients, 0.8, 7)
    assert bool(intervals([ours], 200, 0)) is given
    found = differences([ours], [theirs], 200, 0)["accuracy"]
    assert found.patients == patients
    assert (found.interval is not None) is given
    assert (found.detectable is not None) is given
    assert found.mean == pytest.approx(metrics(ours)["accuracy"] - metrics(theirs)["accuracy"])


def test_undefined_measures_have_no_interval():
    found = intervals([coin(20, 0.5, 8)], 200, 0)  # one class: no AUROC; two columns: no top-2
    assert set(found) == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert set(differences([coin(20, 0.5, 8)], [coin(20, 0.6, 9)], 200, 0)) == set(found)


def test_difference_is_paired():
    """Two methods that err on the same patients: no doubt about their difference, whatever their intervals."""
    run = coin(50, 0.5, 10)
    found = differences([run], [run], 300, 0)["accuracy"]
    assert (found.mean, found.interval, found.detectable) == (0.0, Interval(0.0, 0.0), 0.0)


def test_difference_against_theory():
    """Of 300 patients 60 change from wrong to right and 15 back: the paired standard error is known."""
    before, after = np.zeros(300, dtype=bool), np.zeros(300, dtype=bool)
    before[60:160] = True
    after[:145] = True
    names = np.array([f"p{i:03d}" for i in range(300)])
    ours, theirs = (
        Predictions(np.stack([right, ~right], axis=1).astype(float), np.zeros(300, dtype=int), names, names)
        for right in (after, before)
    )
    found = differences([ours], [theirs], 4000, 0)["accuracy"]
    error = (after.astype(float) - before).std() / math.sqrt(300)
    assert found.mean == pytest.approx(45 / 300)
    assert found.detectable == pytest.approx(2.8 * error, rel=0.05)
    assert found.interval.low == pytest.approx(45 / 300 - 1.96 * error, abs=0.01)
    assert found.interval.high == pytest.approx(45 / 300 + 1.96 * error, abs=0.01)
    assert DETECTABLE_IN_SE == 2.8


def test_difference_on_the_patients_of_both():
    ours, theirs = coin(30, 0.5, 11), coin(20, 0.9, 12)
    found = differences([ours], [theirs], 200, 0)["accuracy"]
    assert found.patients == 20
    shared = ours.chosen[:20] == ours.truth[:20]
    assert found.mean == pytest.approx(shared.mean() - metrics(theirs)["accuracy"])


def test_no_patient_of_both():
    ours, theirs = coin(10, 0.5, 13), coin(10, 0.5, 14)
    others = np.array([f"q{i}" for i in range(10)])
    with pytest.raises(UserError, match="no patient was tested by both"):
        differences([ours], [Predictions(theirs.probabilities, theirs.truth, others, others)], 200, 0)


def test_mean_of_leaves_out_what_is_undefined():
    assert mean_of([1.0, None, 0.0]) == 0.5
    assert mean_of([None]) is None
