"""Logistic regression on frozen features, its strength chosen by patients it was not fitted on."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from numpy import ndarray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

LOG_GRID = (-4, -3, -2, -1, 0, 1, 2, 3)  # of log10(C · d): at 0 the prior of a logit has variance 1
UNCHOSEN = 0
CROSS_FOLDS = 5
_MOST_ITERATIONS = 500
_TOLERANCE, _ROUGH_TOLERANCE = 1e-4, 1e-3  # of the gradient; rough is enough to tell one C from the next
_BLOCK_ROWS = 8192

Ids = Shaped[ndarray, " n"]


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Class scores of standardised features. c: scikit-learn's C, inverse strength of the ridge.

    mean, scale: of the rows it was fitted on; one scale for all dimensions, so that a rotation of the features changes
    nothing: a scale each would blow up the tail of features that come out of a PCA.
    notices: of a C that could not be chosen or lies on the edge of the grid, of a fit that did not converge.
    """

    model: LogisticRegression
    mean: Float64[ndarray, " d"]
    scale: float
    c: float
    notices: tuple[str, ...] = ()

    def probabilities(self, features: Float[ndarray, "q d"], classes: int) -> Float[ndarray, "q c"]:
        """Of each class; 0 for classes it was not fitted on."""
        found = np.zeros((len(features), classes))
        found[:, self.model.classes_] = self.model.predict_proba(_standard(features, self.mean, self.scale))
        return found


def fit(features: Float[ndarray, "n d"], labels: Int64[ndarray, " n"], c: float | None = None) -> LinearProbe:
    """Multinomial logistic regression on features standardised over these rows. c: by default 1/d."""
    mean, scale = _moments(features)
    probe = LinearProbe(_model(), mean, scale, unchosen_c(features.shape[1]) if c is None else c)
    return _fitted(probe, _standard(features, mean, scale), labels)


def fit_chosen(features: Float[ndarray, "n d"], labels: Int64[ndarray, " n"], patients: Ids, seed: int) -> LinearProbe:
    """As `fit`, with C from a log grid: the one most rows of held-out patients are classified rightly with.

    Patients are dealt to up to 5 folds, those of a class evenly; of equals the middle one. Where a part of the
    folds would hold one class only, C is 1/d, and a notice says so. Standardised once, over all rows.
    """
    mean, scale = _moments(features)
    rows = _standard(features, mean, scale)
    grid = [10.0**exponent / features.shape[1] for exponent in LOG_GRID]
    held = dealt(labels, patients, seed)
    parts = range(int(held.max()) + 1)
    if len(parts) < 2 or any(len(np.unique(labels[held != part])) < 2 for part in parts):
        c, notices = unchosen_c(features.shape[1]), ["too few patients to choose C; it is 1 / dimensions"]
    else:
        right = np.sum([_right(rows, labels, held == part, grid) for part in parts], axis=0)
        best = np.flatnonzero(right == right.max())
        c = grid[best[(len(best) - 1) // 2]]
        notices = ["C lies on the edge of its grid"] if c in (grid[0], grid[-1]) else []
        notices += ["all C were equal on held-out patients"] if len(best) == len(grid) else []
    return _fitted(LinearProbe(_model(), mean, scale, c, tuple(notices)), rows, labels)


def unchosen_c(dimensions: int) -> float:
    """The C of fits that choose none."""
    return float(10.0**UNCHOSEN / dimensions)


def dealt(labels: Int64[ndarray, " n"], patients: Ids, seed: int) -> Int64[ndarray, " n"]:
    """Fold of each row, 0..min(5, patients)−1: a patient is in one, those of a class (its first) in turn, by lot."""
    names, first, member = np.unique(patients.astype(str), return_index=True, return_inverse=True)
    lots = [lot(seed, name) for name in names.tolist()]
    order = sorted(range(len(names)), key=lambda i: (int(labels[first[i]]), lots[i]))
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % min(CROSS_FOLDS, len(names))
    result: Int64[ndarray, " n"] = fold[member]
    return result


def lot(seed: int, *names: object) -> bytes:
    """A key to order by that depends on seed and names only."""
    return hashlib.sha256("\0".join(map(str, (seed, *names))).encode()).digest()


def _right(
    rows: Float32[ndarray, "n d"], labels: Int64[ndarray, " n"], held: Shaped[ndarray, " n"], grid: Sequence[float]
) -> Int64[ndarray, " g"]:
    """How many held-out rows each C classifies rightly; each fit starts from that of the stronger ridge before."""
    train, test = rows[~held], rows[held]
    model, right = _model(_ROUGH_TOLERANCE), []
    for c in grid:
        model.set_params(C=c)
        _quietly(model, train, labels[~held])
        right.append(int((model.predict(test) == labels[held]).sum()))
    return np.array(right, dtype=np.int64)


def _fitted(probe: LinearProbe, rows: Float32[ndarray, "n d"], labels: Int64[ndarray, " n"]) -> LinearProbe:
    probe.model.set_params(C=probe.c)
    _quietly(probe.model, rows, labels)
    if probe.model.n_iter_.max() < _MOST_ITERATIONS:
        return probe
    notice = f"the fit did not converge in {_MOST_ITERATIONS} iterations"
    return LinearProbe(probe.model, probe.mean, probe.scale, probe.c, (*probe.notices, notice))


def _model(tolerance: float = _TOLERANCE) -> LogisticRegression:
    return LogisticRegression(solver="lbfgs", tol=tolerance, max_iter=_MOST_ITERATIONS, warm_start=True)


def _quietly(model: LogisticRegression, rows: Float32[ndarray, "n d"], labels: Int64[ndarray, " n"]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said once, of the final fit, as a notice
        model.fit(rows, labels)


def _moments(features: Float[ndarray, "n d"]) -> tuple[Float64[ndarray, " d"], float]:
    """Mean of the rows, and the root of their mean variance over dimensions; 1 where all rows are the same."""
    mean = features.mean(axis=0, dtype=np.float64)
    total = sum(
        float(((features[start : start + _BLOCK_ROWS] - mean) ** 2).sum())
        for start in range(0, len(features), _BLOCK_ROWS)
    )
    return mean, float(np.sqrt(total / features.size)) or 1.0


def _standard(features: Float[ndarray, "n d"], mean: Float64[ndarray, " d"], scale: float) -> Float32[ndarray, "n d"]:
    result = np.empty(features.shape, dtype=np.float32)
    for start in range(0, len(features), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        result[block] = (features[block] - mean) / scale
    return result
