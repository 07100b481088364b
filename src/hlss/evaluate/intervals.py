"""How sure a figure is: resampling of patients, paired differences, the smallest difference that could be seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hlss.errors import UserError
from hlss.evaluate.scores import MEASURES, Predictions, metrics

FEWEST_PATIENTS = 10
DETECTABLE_IN_SE = 2.8  # 1.96 + 0.84 standard errors: two-sided test at 5 %, power 80 %

Draws = Float[ndarray, "r p"]  # how often each patient is drawn in each resample
Resampled = dict[str, Float[ndarray, " r"]]  # each measure in each resample; NaN where it is undefined there


@dataclass(frozen=True)
class Interval:
    """95 %, by percentiles."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Of two methods on the same patients.

    detectable: the smallest true difference that 80 % of such studies would find (2.8 standard errors of the paired
    difference); it and the interval are None below 10 patients.
    """

    mean: float
    interval: Interval | None
    detectable: float | None
    patients: int


def intervals(runs: Sequence[Predictions], resamples: int, seed: int) -> dict[str, Interval]:
    """95 % intervals of each measure's mean over runs (seeds), patients resampled, the same ones in every run.

    Empty below 10 patients. A measure that no resample defines has none.
    """
    names = _patients(runs)
    if len(names) < FEWEST_PATIENTS:
        return {}
    values = _mean_over_runs(runs, names, _draws(len(names), resamples, seed))
    found = {name: _percentiles(values[name]) for name in MEASURES}
    return {name: interval for name, interval in found.items() if interval is not None}


def differences(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], resamples: int, seed: int
) -> dict[str, Difference]:
    """By measure, the mean of `ours` less that of `theirs`, on the patients of both, who are resampled together.

    Raises UserError where no patient was tested by both.
    """
    names = np.intersect1d(_patients(ours), _patients(theirs))
    if len(names) == 0:
        raise UserError("no patient was tested by both methods", fix="Compare methods on the same folds.")
    sides = [[_of(run, names) for run in runs] for runs in (ours, theirs)]
    points = [[metrics(run) for run in runs] for runs in sides]
    resampled = None
    if len(names) >= FEWEST_PATIENTS:
        draws = _draws(len(names), resamples, seed)
        resampled = [_mean_over_runs(runs, names, draws) for runs in sides]
    found = {}
    for name in MEASURES:
        means = [mean_of([point[name] for point in side]) for side in points]
        if means[0] is None or means[1] is None:
            continue
        values = np.empty(0) if resampled is None else resampled[0][name] - resampled[1][name]
        values = values[np.isfinite(values)]
        detectable = float(DETECTABLE_IN_SE * values.std(ddof=1)) if len(values) > 1 else None
        found[name] = Difference(means[0] - means[1], _percentiles(values), detectable, len(names))
    return found


def mean_of(values: Sequence[float | int | None]) -> float | None:
    """Mean over runs of a measure; None where no run defines it."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def resampled_measures(run: Predictions, names: ndarray, draws: Draws) -> Resampled:
    """MEASURES of `run` (as `metrics` defines them) in each resample of the patients `names`.

    Formed from what each patient, or pair of patients, adds to counts: no resample is ever gathered.
    """
    place = np.searchsorted(names, run.patient.astype(str))
    patients, classes = len(names), run.probabilities.shape[1]
    table = np.zeros((patients, classes, classes))
    np.add.at(table, (place, run.truth, run.chosen), 1.0)
    counts = np.tensordot(draws, table, axes=1)  # r × true × chosen
    true, chosen, hit = counts.sum(axis=2), counts.sum(axis=1), np.einsum("rcc->rc", counts)
    total, there = true.sum(axis=1), true > 0
    top2 = draws @ np.bincount(place, weights=run.in_top2, minlength=patients)
    ranked = [_auroc(draws, _wins(run, c, place, patients), true[:, c], total - true[:, c]) for c in range(classes)]
    return {
        "accuracy": _ratio(hit.sum(axis=1), total),
        "balanced_accuracy": _mean_where(there, _ratio(hit, true)),
        "macro_auroc": _mean_where(there, np.stack(ranked, axis=1)),
        "macro_f1": _mean_where(there, _ratio(2 * hit, true + chosen)),
        "top2": _ratio(top2, total) if classes > 2 else np.full(len(draws), np.nan),
    }


def _wins(run: Predictions, c: int, place: ndarray, patients: int) -> Float[ndarray, "p p"]:
    """[i, j]: pairs of a unit of class c of patient i and another unit of patient j that rank rightly; ties half."""
    score, positive = run.probabilities[:, c], run.truth == c
    ours, mine = score[positive], place[positive]
    wins = np.zeros((patients, patients))
    for j in np.unique(place[~positive]):
        others = np.sort(score[~positive & (place == j)])
        beaten = (np.searchsorted(others, ours, "left") + np.searchsorted(others, ours, "right")) / 2
        wins[:, j] = np.bincount(mine, weights=beaten, minlength=patients)
    return wins


def _auroc(draws: Draws, wins: ndarray, positives: ndarray, negatives: ndarray) -> Float[ndarray, " r"]:
    return _ratio(((draws @ wins) * draws).sum(axis=1), positives * negatives)


def _mean_over_runs(runs: Sequence[Predictions], names: ndarray, draws: Draws) -> Resampled:
    found = [resampled_measures(run, names, draws) for run in runs]
    return {name: np.mean([values[name] for values in found], axis=0) for name in MEASURES}


def _patients(runs: Sequence[Predictions]) -> ndarray:
    return np.unique(np.concatenate([run.patient.astype(str) for run in runs]))


def _of(run: Predictions, names: ndarray) -> Predictions:
    keep = np.isin(run.patient.astype(str), names)
    return Predictions(run.probabilities[keep], run.truth[keep], run.patient[keep], run.unit[keep], run.left_out)


def _draws(patients: int, resamples: int, seed: int) -> Draws:
    rng = np.random.Generator(np.random.Philox(seed))
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples).astype(np.float64)


def _ratio(part: ndarray, whole: ndarray) -> ndarray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def _mean_where(keep: ndarray, values: Float[ndarray, "r c"]) -> Float[ndarray, " r"]:
    """Mean over the classes kept in each resample; NaN where there is none, or one of them is undefined."""
    return _ratio(np.where(keep, values, 0).sum(axis=1), keep.sum(axis=1))


def _percentiles(values: ndarray) -> Interval | None:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))
