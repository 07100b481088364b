"""Explanations against a known truth: does a characteristic score high where its factor is high?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from numpy import ndarray
from sklearn.metrics import roc_auc_score

HIGH, LOW = 0.6, 0.4  # a factor's value from which a patch has it, up to which it lacks it; between, it is not asked
FEWEST = 20  # patches of either kind, below which nothing is said


@dataclass(frozen=True)
class Agreement:
    """Of one characteristic. auroc: chance that a patch which has what it names scores above one that lacks it; None
    where fewer than FEWEST patches have it, or lack it.
    """

    characteristic: str
    factor: str
    end: str
    auroc: float | None
    having: int
    lacking: int


def agreement(
    characteristic: str, factor: str, end: str, scores: Float64[ndarray, " n"], truth: Float64[ndarray, " n"]
) -> Agreement:
    """scores of patches against the factor's true value there (NaN: unknown); end: high, or low (then few is much)."""
    has, lacks = _sides(truth, end)
    return Agreement(characteristic, factor, end, auroc(scores, has, lacks), int(has.sum()), int(lacks.sum()))


def auroc(scores: Float64[ndarray, " n"], has: Bool[ndarray, " n"], lacks: Bool[ndarray, " n"]) -> float | None:
    """Area under the curve of those that have it against those that lack it."""
    if has.sum() < FEWEST or lacks.sum() < FEWEST:
        return None
    asked = has | lacks
    return float(roc_auc_score(has[asked], scores[asked]))


def by_factor(found: Sequence[Agreement]) -> dict[str, float]:
    """Mean AUROC of each factor's characteristics, where there is any."""
    named: dict[str, list[float]] = {}
    for one in found:
        if one.auroc is not None:
            named.setdefault(one.factor, []).append(one.auroc)
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
    tables: Sequence[tuple[Float64[ndarray, " n"], Float64[ndarray, " n"], str]],
    patients: Shaped[ndarray, " n"],
    resamples: int,
    seed: int,
) -> tuple[float, float] | None:
    """95 % interval of the mean AUROC over (scores, truth, end), patients resampled; None where none is defined."""
    rng = np.random.default_rng(seed)
    names, where = np.unique(patients, return_inverse=True)
    drawn = [np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names)) for _ in range(resamples)]
    counts = np.stack(drawn)[:, where]
    areas = np.stack([_areas(scores, *_sides(truth, end), counts) for scores, truth, end in tables])
    defined = areas[:, np.isfinite(areas).any(axis=0)]
    if not defined.size:
        return None
    low, high = np.percentile(np.nanmean(defined, axis=0), [2.5, 97.5])
    return float(low), float(high)


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
