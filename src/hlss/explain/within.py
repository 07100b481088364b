"""A map against the true map: tiles are compared with tiles of their own slide alone.

Over tiles of all slides a score may be right because slides differ. A map is right where it ranks the tiles of one
slide, so that only pairs within a slide count here, of all slides together.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from numpy import ndarray
from scipy.stats import rankdata

from hlss.evaluate.knn import unit
from hlss.explain.agreement import FEWEST, HIGH, LOW


@dataclass(frozen=True, eq=False)
class WithinSlides:
    """Of one characteristic and each of s slides. won, pairs: pairs of a tile that has what it names and one that lacks
    it, and those of them that the score ranks right; product, x_2, y_2: sums over tiles of the ranks' products and
    squares (ranks within the slide, less their mean, over the number of tiles). having, lacking: tiles in slides that
    have both.
    """

    won: Float64[ndarray, " s"]
    pairs: Float64[ndarray, " s"]
    product: Float64[ndarray, " s"]
    x_2: Float64[ndarray, " s"]
    y_2: Float64[ndarray, " s"]
    having: int
    lacking: int

    @classmethod
    def of(
        cls,
        scores: Float[ndarray, " n"],
        truth: Float64[ndarray, " n"],
        end: str,
        slide: Int[ndarray, " n"],
        slides: int,
    ) -> "WithinSlides":
        """truth: of the factor, NaN where it is unknown; end: high, or low (then few is much). slide: number of each
        tile's, of `slides`.
        """
        wanted = truth if end == "high" else 1 - truth
        known = np.flatnonzero(np.isfinite(truth))
        wanted, scores, slide = wanted[known], scores[known], slide[known]
        has, lacks = wanted >= (HIGH if end == "high" else 1 - LOW), wanted <= (LOW if end == "high" else 1 - HIGH)
        n_has, n_lacks = (np.bincount(slide[one], minlength=slides).astype(np.float64) for one in (has, lacks))
        both = (n_has > 0) & (n_lacks > 0)
        x, y = _ranks(scores, slide), _ranks(wanted, slide)
        product, x_2, y_2 = (np.bincount(slide, weights=part, minlength=slides) for part in (x * y, x * x, y * y))
        won = _won(scores, has, lacks, slide, slides)
        return cls(won, n_has * n_lacks, product, x_2, y_2, int(n_has[both].sum()), int(n_lacks[both].sum()))

    def auroc(self, counts: Float64[ndarray, "r s"]) -> Float64[ndarray, " r"]:
        """In each resample in which slides stand so many times; NaN below FEWEST tiles of either kind."""
        if min(self.having, self.lacking) < FEWEST:
            return np.full(len(counts), np.nan)
        return _ratio(counts @ self.won, counts @ self.pairs)

    def rank(self, counts: Float64[ndarray, "r s"]) -> Float64[ndarray, " r"]:
        """Spearman's correlation within slides, likewise; NaN where scores or truth do not vary within any slide."""
        return _ratio(counts @ self.product, np.sqrt((counts @ self.x_2) * (counts @ self.y_2)))


def _won(
    scores: Float[ndarray, " n"],
    has: Bool[ndarray, " n"],
    lacks: Bool[ndarray, " n"],
    slide: Int[ndarray, " n"],
    slides: int,
) -> Float64[ndarray, " s"]:
    """Pairs of each slide in which the tile that has it scores above the one that lacks it; equal scores count half."""
    order = np.lexsort((scores, slide))
    own, value = slide[order], scores[order]
    new = np.r_[True, (np.diff(own) != 0) | (np.diff(value) > 0)] if len(order) else np.zeros(0, dtype=bool)
    run = np.cumsum(new) - 1  # of equal scores of one slide
    of_run = np.bincount(run, weights=lacks[order]) if len(order) else np.zeros(0)
    before = np.cumsum(of_run) - of_run / 2
    start = np.zeros(slides)
    n_lacks = np.bincount(slide[lacks], minlength=slides)
    start[1:] = np.cumsum(n_lacks)[:-1]
    return np.bincount(own, weights=has[order] * (before[run] - start[own]), minlength=slides)


def _ranks(values: Float[ndarray, " n"], slide: Int[ndarray, " n"]) -> Float64[ndarray, " n"]:
    """Within the slide, less their mean, over the number of its tiles; equal values share the mean of theirs."""
    found = np.zeros(len(values))
    order = np.argsort(slide, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(slide[order])) + 1) if len(order) else []:
        found[rows] = (rankdata(values[rows]) - (len(rows) + 1) / 2) / len(rows)
    return found


def _ratio(above: Float64[ndarray, " r"], below: Float64[ndarray, " r"]) -> Float64[ndarray, " r"]:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def variance_within(features: Float[ndarray, "n d"], slide: Int[ndarray, " n"], slides: int) -> float:
    """Share of the variance of features, at length 1, that lies within slides (both by their degrees of freedom): what
    a map of a slide has to tell from. NaN where no slide has two tiles, or all features are one.
    """
    z = unit(features).astype(np.float64)
    counts = np.bincount(slide, minlength=slides)
    sums = np.zeros((slides, z.shape[1]))
    np.add.at(sums, slide, z)
    of_slides = float((sums**2 / np.maximum(counts, 1)[:, None]).sum())
    total, free = float((z**2).sum()), len(z) - int((counts > 0).sum())
    whole = (total - float((z.sum(axis=0) ** 2).sum()) / len(z)) / max(len(z) - 1, 1)
    return float("nan") if free == 0 or whole < 1e-12 else (total - of_slides) / free / whole


def slide_numbers(slides: ndarray) -> tuple[Int64[ndarray, " n"], list[str]]:
    """Number of each tile's slide, and the slides' names, sorted."""
    names, found = np.unique(slides.astype(str), return_inverse=True)
    return found.astype(np.int64), names.tolist()
