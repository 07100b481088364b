"""How sure a figure is: resampling of patients, paired differences, the smallest difference that could be seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hlss.evaluate.scores import Predictions

FEWEST_PATIENTS = 10
_DETECTABLE = 2.8  # 1.96 + 0.84: two-sided 5 %, power 80 %


@dataclass(frozen=True)
class Interval:
    """95 %, by percentiles."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Of two methods on the same patients. detectable: smallest true difference found in 80 % of such studies."""

    mean: float
    interval: Interval | None
    detectable: float | None
    patients: int


def accuracy_interval(runs: Sequence[Predictions], resamples: int, seed: int) -> Interval | None:
    """95 % interval of the mean accuracy over runs (seeds), patients resampled jointly; None below 10 patients."""
    names = _patients(runs)
    if len(names) < FEWEST_PATIENTS:
        return None
    draws = _draws(len(names), resamples, seed)
    return _percentiles(np.mean([_resampled(run, names, draws) for run in runs], axis=0))


def accuracy_difference(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], resamples: int, seed: int
) -> Difference:
    """Mean accuracy of `ours` less that of `theirs`, paired by patient: both see the same resamples."""
    names = np.intersect1d(_patients(ours), _patients(theirs))
    kept = [[_of(run, names) for run in runs] for runs in (ours, theirs)]
    mean = float(np.mean([run.correct.mean() for run in kept[0]]) - np.mean([run.correct.mean() for run in kept[1]]))
    if len(names) < FEWEST_PATIENTS:
        return Difference(mean, None, None, len(names))
    draws = _draws(len(names), resamples, seed)
    means = [np.mean([_resampled(run, names, draws) for run in runs], axis=0) for runs in kept]
    differences = means[0] - means[1]
    return Difference(mean, _percentiles(differences), float(_DETECTABLE * differences.std(ddof=1)), len(names))


def _patients(runs: Sequence[Predictions]) -> ndarray:
    return np.unique(np.concatenate([run.patient.astype(str) for run in runs]))


def _of(run: Predictions, names: ndarray) -> Predictions:
    keep = np.isin(run.patient.astype(str), names)
    return Predictions(run.probabilities[keep], run.truth[keep], run.patient[keep], run.unit[keep], run.left_out)


def _draws(patients: int, resamples: int, seed: int) -> Float[ndarray, "r p"]:
    """How often each patient is drawn in each resample."""
    rng = np.random.Generator(np.random.Philox(seed))
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples).astype(np.float64)


def _resampled(run: Predictions, names: ndarray, draws: Float[ndarray, "r p"]) -> Float[ndarray, " r"]:
    """Accuracy in each resample, from each patient's number of units and of correct ones."""
    place = np.searchsorted(names, run.patient.astype(str))
    units = np.bincount(place, minlength=len(names)).astype(np.float64)
    correct = np.bincount(place, weights=run.correct, minlength=len(names))
    result: Float[ndarray, " r"] = (draws @ correct) / np.maximum(draws @ units, 1)
    return result


def _percentiles(values: Float[ndarray, " r"]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
