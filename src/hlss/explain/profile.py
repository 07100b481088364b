"""What marks a class in words: characteristics that stand out in its images against those of all others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from hlss.evaluate.units import Units
from hlss.explain.blocks import Blocks, finite, limits_of
from hlss.explain.match import match, standing

CHANCE = 0.95


@dataclass(frozen=True, eq=False)
class Profile:
    """Of one level.

    marks: [c, k] mean of characteristic k over the units of class c less its mean over the units of all others, in
        standard deviations over all units. low, high: its 95 % interval, patients resampled (the standard deviation
        stays that of all units); None below 10 patients. NaN where a class has no unit, or all have it.
    chance: what the largest of all marks stays below in 95 % of permutations of the classes over patients: a mark
        above it is not explained by having looked at many.
    """

    n: int
    names: tuple[str, ...]
    marks: Float64[ndarray, "c k"]
    low: Float64[ndarray, "c k"] | None
    high: Float64[ndarray, "c k"] | None
    chance: float | None

    def top(self, label: int, most: int) -> list[int]:
        """Numbers of the characteristics that stand out most in a class, first the strongest; empty without units."""
        marks = self.marks[label]
        return [] if not np.isfinite(marks).all() else np.argsort(-marks, kind="stable")[:most].tolist()

    def marking(self, label: int, most: int) -> list[int]:
        """Those of `top` that are more in the class than outside it: what is less there marks the others."""
        return [k for k in self.top(label, most) if self.marks[label, k] > 0]

    def to_json(self, classes: Sequence[str], most: int | None = None) -> dict[str, Any]:
        """Characteristics (all, or the strongest) by class, the strongest first."""
        return {
            "n": self.n,
            "chance": self.chance,
            "classes": {name: self._of_class(label, most or len(self.names)) for label, name in enumerate(classes)},
        }

    def _of_class(self, label: int, most: int) -> list[dict[str, Any]]:
        return [
            {"characteristic": self.names[k], "mark": finite(self.marks[label, k]), "interval": self.interval(label, k)}
            for k in self.top(label, most)
        ]

    def interval(self, label: int, k: int) -> tuple[float, float] | None:
        """95 % interval of a mark."""
        if self.low is None or self.high is None or not np.isfinite(self.low[label, k]):
            return None
        return float(self.low[label, k]), float(self.high[label, k])


def profile(
    units: Units,
    texts: Float[ndarray, "k e"],
    names: Sequence[str],
    classes: int,
    *,
    resamples: int,
    permutations: int,
    seed: int,
) -> Profile:
    """Units against the rows of a level's characteristics. Raises ValueError where the dimensions differ."""
    blocks = Blocks.of(units, classes)
    scores = match(units.embeddings, texts)
    sums = blocks.sums(standing(scores) if len(scores) else scores)
    sizes = blocks.sizes
    weights = blocks.resampled(resamples, seed)
    low, high = (None, None) if weights is None else limits_of(np.stack([_marks(sums, sizes, w) for w in weights]))
    largest = [_largest(_marks(sums, sizes, w)) for w in blocks.permuted(permutations, seed)]
    known = [value for value in largest if value is not None]
    return Profile(
        n=len(units.embeddings),
        names=tuple(names),
        marks=_marks(sums, sizes, blocks.given()[0]),
        low=low,
        high=high,
        chance=float(np.quantile(known, CHANCE)) if known else None,
    )


def _marks(
    sums: Float64[ndarray, "b k"], sizes: Float64[ndarray, " b"], weights: Float64[ndarray, "b c"]
) -> Float64[ndarray, "c k"]:
    """Mean within each class less the mean over all others, block b standing `weights[b, c]` times in class c."""
    inside, units = weights.T @ sums, weights.T @ sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        within = inside / units[:, None]
        result: Float64[ndarray, "c k"] = within - (inside.sum(axis=0) - inside) / (units.sum() - units)[:, None]
    return result


def _largest(marks: Float64[ndarray, "c k"]) -> float | None:
    known = marks[np.isfinite(marks)]
    return float(known.max()) if known.size else None
