"""Explanations against a known truth: does a characteristic score high where its factor is high?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from numpy import ndarray
from sklearn.metrics import roc_auc_score

from hlss.explain.blocks import drawn, interval_of

HIGH, LOW = 0.6, 0.4  # a factor's value from which a patch has it, up to which it lacks it; between, it is not asked
FEWEST = 20  # patches of either kind, below which nothing is said

Asked = tuple[Float64[ndarray, " n"], Float64[ndarray, " n"], str]  # scores, truth (NaN: unknown), end

Measure = Literal["auroc", "rank"]


@dataclass(frozen=True)
class Agreement:
    """Of one characteristic. auroc: chance that a patch which has what it names scores above one that lacks it; None
    where fewer than FEWEST patches have it, or lack it. rank: Spearman's correlation of score and factor over all
    patches whose truth is known, turned round for the low end; None below FEWEST, or where one of them is constant.
    """

    characteristic: str
    factor: str
    end: str
    auroc: float | None
    having: int
    lacking: int
    rank: float | None


def agreement(
    characteristic: str, factor: str, end: str, scores: Float64[ndarray, " n"], truth: Float64[ndarray, " n"]
) -> Agreement:
    """scores of patches against the factor's true value there (NaN: unknown); end: high, or low (then few is much)."""
    has, lacks = _sides(truth, end)
    once = np.ones((1, len(truth)), dtype=np.int64)
    rank = float(_correlations(scores, truth, end, once)[0])
    return Agreement(
        characteristic,
        factor,
        end,
        auroc(scores, has, lacks),
        int(has.sum()),
        int(lacks.sum()),
        rank if np.isfinite(rank) else None,
    )


def auroc(scores: Float64[ndarray, " n"], has: Bool[ndarray, " n"], lacks: Bool[ndarray, " n"]) -> float | None:
    """Area under the curve of those that have it against those that lack it."""
    if has.sum() < FEWEST or lacks.sum() < FEWEST:
        return None
    asked = has | lacks
    return float(roc_auc_score(has[asked], scores[asked]))


def by_factor(found: Sequence[Agreement], measure: Measure = "auroc") -> dict[str, float]:
    """Mean AUROC (or `rank`) of each factor's characteristics, where there is any."""
    named: dict[str, list[float]] = {}
    for one in found:
        value = getattr(one, measure)
        if value is not None:
            named.setdefault(one.factor, []).append(value)
    return {factor: float(np.mean(values)) for factor, values in named.items()}


def distractors(
    scores: Mapping[str, Float64[ndarray, " n"]], truths: Mapping[str, Float64[ndarray, " n"]]
) -> dict[str, float]:
    """For each characteristic that names nothing drawn, its mean AUROC over all factors' high end: about 0.5.

    Empty where no factor has enough patches of either kind.
    """
    result = {}
    for name, score in scores.items():
        found = [agreement(name, factor, "high", score, truth).auroc for factor, truth in truths.items()]
        if known := [value for value in found if value is not None]:
            result[name] = float(np.mean(known))
    return result


def interval_of_mean(
    tables: Sequence[Asked], patients: Shaped[ndarray, " n"], resamples: int, seed: int
) -> tuple[float, float] | None:
    """95 % interval of the mean AUROC over (scores, truth, end), patients resampled; None where none is defined."""
    interval = interval_of(mean_over(resampled(tables, patients, resamples, seed)))
    return None if interval is None else (interval.low, interval.high)


def resampled(
    tables: Sequence[Asked], patients: Shaped[ndarray, " n"], resamples: int, seed: int, measure: Measure = "auroc"
) -> Float64[ndarray, "t r"]:
    """AUROC or rank correlation of each (scores, truth, end) in each resample of the patients; NaN: undefined."""
    names, where = np.unique(patients, return_inverse=True)
    counts = drawn(len(names), resamples, seed)[:, where]
    if measure == "rank":
        return np.stack([_correlations(scores, truth, end, counts) for scores, truth, end in tables])
    return np.stack([_areas(scores, *_sides(truth, end), counts) for scores, truth, end in tables])


def mean_over(values: Float64[ndarray, "t r"]) -> Float64[ndarray, " r"]:
    """Mean over tables in each resample, of those that are defined there; NaN where none is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)


def _sides(truth: Float64[ndarray, " n"], end: str) -> tuple[Bool[ndarray, " n"], Bool[ndarray, " n"]]:
    """Who has what a characteristic names, and who lacks it."""
    high, low = truth >= HIGH, truth <= LOW
    return (high, low) if end == "high" else (low, high)


def _areas(
    scores: Float[ndarray, " n"], has: Bool[ndarray, " n"], lacks: Bool[ndarray, " n"], counts: Int64[ndarray, "r n"]
) -> Float64[ndarray, " r"]:
    """`auroc` of resamples in which each patch stands `counts` times, all at once; NaN where too few are left."""
    asked = np.flatnonzero(has | lacks)
    if not len(asked):
        return np.full(len(counts), np.nan)
    order = asked[np.argsort(scores[asked], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # of runs of equal scores
    above = np.add.reduceat(counts[:, order] * has[order], starts, axis=1)
    below = np.add.reduceat(counts[:, order] * lacks[order], starts, axis=1)
    ordered = (above * (np.cumsum(below, axis=1) - 0.5 * below)).sum(axis=1)
    n_has, n_lacks = above.sum(axis=1), below.sum(axis=1)
    enough = (n_has >= FEWEST) & (n_lacks >= FEWEST)
    return np.where(enough, ordered / np.maximum(n_has * n_lacks, 1), np.nan)


def _correlations(
    scores: Float64[ndarray, " n"], truth: Float64[ndarray, " n"], end: str, counts: Int64[ndarray, "r n"]
) -> Float64[ndarray, " r"]:
    """Spearman's correlation of resamples in which each patch stands `counts` times; NaN below FEWEST patches, or
    where all scores, or all truths, are equal.
    """
    known = np.isfinite(truth)
    if not known.any():
        return np.full(len(counts), np.nan)
    weights = counts[:, known].astype(np.float64)
    total = weights.sum(axis=1)
    x, y = (_ranks(values[known], weights) for values in (scores, truth))
    covariance, x_spread, y_spread = ((weights * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    spread = np.sqrt(x_spread * y_spread)
    found = np.divide(covariance, spread, out=np.full(len(counts), np.nan), where=spread > 0)
    found[total < FEWEST] = np.nan
    return found if end == "high" else -found


def _ranks(values: Float64[ndarray, " n"], weights: Float64[ndarray, "r n"]) -> Float64[ndarray, "r n"]:
    """Rank of each value where it stands `weights` times, less the mean rank; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    new = np.r_[True, np.diff(values[order]) > 0]
    per_value = np.add.reduceat(weights[:, order], np.flatnonzero(new), axis=1)
    middle = np.cumsum(per_value, axis=1) - per_value / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = middle[:, np.cumsum(new) - 1]
    result: Float64[ndarray, "r n"] = ranks - weights.sum(axis=1, keepdims=True) / 2
    return result
