"""Class × marker alignment: are images nearer to the markers of their own class than to those of others (SPEC §8)?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from hlss.evaluate.intervals import Interval
from hlss.evaluate.units import Units
from hlss.explain.blocks import Blocks, finite, interval_of, limits_of
from hlss.explain.match import match

QUANTILES = (0.025, 0.5, 0.975)
_AT_A_TIME = 64  # resamples or permutations, so that memory stays small


@dataclass(frozen=True, eq=False)
class Sums:
    """Of each block: units, and what each unit would add were its class k.

    own: cosine with the markers of k; other: its mean over the other classes; *_2: their squares.
    """

    units: Float64[ndarray, " b"]
    own: Float64[ndarray, "b c"]
    own_2: Float64[ndarray, "b c"]
    other: Float64[ndarray, "b c"]
    other_2: Float64[ndarray, "b c"]

    @classmethod
    def of(cls, scores: Float64[ndarray, "u c"], blocks: Blocks) -> "Sums":
        other = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
        sums = [blocks.sums(values) for values in (scores, scores**2, other, other**2)]
        return cls(blocks.sizes, *sums)


@dataclass(frozen=True, eq=False)
class Null:
    """What the effect size is where nothing is to be found: its QUANTILES over draws; p: chance of one at least as
    large as was measured, (1 + such draws) / (1 + draws).
    """

    quantiles: tuple[float, ...]
    p: float | None
    draws: int

    def to_json(self) -> dict[str, Any]:
        return {
            "quantiles": dict(zip(map(str, QUANTILES), self.quantiles, strict=True)),
            "p": self.p,
            "draws": self.draws,
        }


@dataclass(frozen=True, eq=False)
class Alignment:
    """Of one level, n units.

    cosines: [k, c] mean cosine of the units of class k with the markers of class c. centred: the same less each
        column's mean over all units; low, high: its 95 % interval. NaN where a class has no unit.
    difference: mean over units of the own class's centred cosine less its mean over the other classes.
    effect: `difference` over the pooled standard deviation of the two over units, √((s²_own + s²_other)/2).
    resampled: the effect in each resample of the patients. None, as the intervals, below 10 patients.
    """

    n: int
    left_out: int
    patients: tuple[str, ...]
    cosines: Float64[ndarray, "c c"]
    centred: Float64[ndarray, "c c"]
    low: Float64[ndarray, "c c"] | None
    high: Float64[ndarray, "c c"] | None
    difference: float | None
    effect: float | None
    difference_interval: Interval | None
    effect_interval: Interval | None
    resampled: Float64[ndarray, " r"] | None
    permuted: Null | None
    random_text: Null | None

    def to_json(self) -> dict[str, Any]:
        """All but the resamples; None where a figure is undefined."""
        return {
            "n": self.n,
            "patients": len(self.patients),
            "left_out": self.left_out,
            **{name: _plain(getattr(self, name)) for name in ("cosines", "centred", "low", "high")},
            "difference": self.difference,
            "difference_interval": _pair(self.difference_interval),
            "effect": self.effect,
            "effect_interval": _pair(self.effect_interval),
            "permuted_labels": None if self.permuted is None else self.permuted.to_json(),
            "random_text": None if self.random_text is None else self.random_text.to_json(),
        }


def alignment(
    units: Units,
    rows: Sequence[Float[ndarray, "_ e"]],
    random_rows: Sequence[Sequence[Float[ndarray, "_ e"]]],
    *,
    resamples: int,
    permutations: int,
    seed: int,
) -> Alignment:
    """Units against the marker rows of each class, in the order of the class numbers of the units' labels.

    random_rows: the same for each draw of random text.
    Raises ValueError where the dimensions differ.
    """
    classes = len(rows)
    blocks = Blocks.of(units, classes)
    scores, *random = class_scores(units.embeddings, [rows, *random_rows])
    centre = scores.mean(axis=0) if len(scores) else np.zeros(classes)
    sums = Sums.of(scores - centre, blocks)  # what is taken away of a column changes nothing below but rounding
    difference, effect = (float(part[0]) for part in effects(sums, blocks.given()))
    centred = matrices(sums, blocks.given())[0]
    weights = blocks.resampled(resamples, seed)
    low = high = resampled = differences = None
    if weights is not None:
        differences, resampled = effects(sums, weights)
        parts = [matrices(sums, weights[i : i + _AT_A_TIME]) for i in range(0, len(weights), _AT_A_TIME)]
        low, high = limits_of(np.concatenate(parts))
    permuted = effects(sums, blocks.permuted(permutations, seed))[1]
    found = [effects(Sums.of(each, blocks), blocks.given())[1] for each in random]
    return Alignment(
        n=len(scores),
        left_out=units.left_out,
        patients=blocks.names,
        cosines=centred + centre,
        centred=centred,
        low=low,
        high=high,
        difference=finite(difference),
        effect=finite(effect),
        difference_interval=None if differences is None else interval_of(differences),
        effect_interval=None if resampled is None else interval_of(resampled),
        resampled=resampled,
        permuted=_null(effect, permuted),
        random_text=_null(effect, np.concatenate(found) if found else np.empty(0)),
    )


def class_scores(
    embeddings: Float[ndarray, "u d"], texts: Sequence[Sequence[Float[ndarray, "_ e"]]]
) -> list[Float64[ndarray, "u c"]]:
    """For each text, cosine of each unit with the markers of each class, the mean over the class's markers."""
    means = np.stack([of_class.astype(np.float64).mean(axis=0) for rows in texts for of_class in rows])
    every = match(embeddings, means)  # the mean of cosines with unit rows is the product with their mean
    return np.split(every, len(texts), axis=1)


def effects(sums: Sums, weights: Float64[ndarray, "r b c"]) -> tuple[Float64[ndarray, " r"], Float64[ndarray, " r"]]:
    """Difference and effect size (see Alignment) where block b has class k `weights[r, b, k]` times; NaN: undefined.

    With m_c the mean of column c and w the units: Σ w (s − m)² = Σ w s² − 2 m Σ w s + m² Σ w, class by class.
    """
    parts = [weights[i : i + _AT_A_TIME] for i in range(0, len(weights), _AT_A_TIME)]
    difference, effect = np.concatenate([_effects(sums, part) for part in parts], axis=1)
    return difference, effect


def _effects(sums: Sums, weights: Float64[ndarray, "r b c"]) -> Float64[ndarray, "2 r"]:
    units = np.einsum("rbc,b->rc", weights, sums.units)
    total = units.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = _columns(sums, weights)
        others = (columns.sum(axis=1, keepdims=True) - columns) / (columns.shape[1] - 1)
        means, variances = [], []
        for first, second, away in ((sums.own, sums.own_2, columns), (sums.other, sums.other_2, others)):
            by_class = np.einsum("rbc,bc->rc", weights, first)
            squares = np.einsum("rbc,bc->rc", weights, second) - 2 * away * by_class + away**2 * units
            mean = (by_class - away * units).sum(axis=1) / total
            means.append(mean)
            variances.append((squares.sum(axis=1) - total * mean**2) / (total - 1))
        difference = means[0] - means[1]
        pooled = np.sqrt(np.maximum(variances[0] + variances[1], 0) / 2)
        effect = np.where(pooled > 1e-12, difference / pooled, np.nan)
    return np.stack([difference, effect])


def matrices(sums: Sums, weights: Float64[ndarray, "r b c"]) -> Float64[ndarray, "r c c"]:
    """Mean score of the units of class k (row) with the markers of class c, less the column's mean over all units."""
    units = np.einsum("rbk,b->rk", weights, sums.units)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.einsum("rbk,bc->rkc", weights, sums.own) / units[:, :, None]
        result: Float64[ndarray, "r c c"] = means - _columns(sums, weights)[:, None, :]
    return result


def _columns(sums: Sums, weights: Float64[ndarray, "r b c"]) -> Float64[ndarray, "r c"]:
    """Mean of each column over all units."""
    counts = weights.sum(axis=2)
    return (counts @ sums.own) / (counts @ sums.units)[:, None]


def _null(effect: float, draws: Float64[ndarray, " r"]) -> Null | None:
    known = draws[np.isfinite(draws)]
    if not len(known):
        return None
    p = (1 + int((known >= effect).sum())) / (1 + len(known)) if np.isfinite(effect) else None
    return Null(tuple(np.quantile(known, QUANTILES).tolist()), p, len(known))


def _plain(matrix: Float64[ndarray, "c c"] | None) -> list[list[float | None]] | None:
    return None if matrix is None else [[finite(value) for value in row] for row in matrix.tolist()]


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
