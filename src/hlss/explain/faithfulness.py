"""Is a map of a characteristic faithful: do the places that it points to carry the slide's score? (decision 0023)

A slide's score is the cosine of a text with the mean of its tiles' features, so that removing the tiles with the
largest cosines lowers it whatever text and encoder are: such a test is passed by every map. Here the tiles that are
watched are never those that the map was made from:

1. A checkerboard of tiles parts the slide in two halves. A map is made of one half and carried over to the other by
   its neighbours, of which none shares a pixel with the tile that is told (`Lattice.from_neighbours`).
2. In the half held out, the map points to a quarter of the tiles. Swap one of these for a tile of the same half that
   it does not point to: does the score of the held-out half fall? The share of swaps after which it does is the
   faithfulness; then the halves change places, and the mean of both is taken.

Swapping tile i for tile j changes the score by (gⱼ − gᵢ) / (n‖m‖), up to 1/n², where m is the mean of the n held-out
tiles zᵢ at length 1, s = cos(m, t) and gᵢ = zᵢ·t − s zᵢ·m/‖m‖ (the gradient of the cosine). The share of swaps that
lower it is therefore the area under the curve of g of the tiles pointed to against the others: all pairs at once.

A map that knows nothing of the held-out half has exactly 0.5 in expectation; a map that ranks it right has 1. Two kinds
of map are put beside it: noise as smooth as the map itself, and the maps of random texts. The latter are maps of the
same features, and if they point to the places of this text's score as well, they are not told apart by words.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from hlss.evaluate.intervals import Interval
from hlss.explain.alignment_matrix import QUANTILES, Null

CHANCE, SURE = 0.5, 0.05


@dataclass(frozen=True)
class Faithfulness:
    """Of one map. auroc: share of swaps of a held-out tile that the map points to, for one that it does not, which
    lower the slide's score; None where it cannot be said, and `why` says why.

    interval: 95 %, squares of the slide resampled. drop: by how much the score (cosine) of the held-out half falls when
    all tiles pointed to are swapped for others of the slide. random_maps: the same of noise as smooth as this map;
    random_texts: of the maps of random texts, for the score of this text.
    """

    auroc: float | None
    interval: Interval | None = None
    drop: float | None = None
    held_out: int = 0
    random_maps: Null | None = None
    random_texts: Null | None = None
    why: str | None = None

    @property
    def above_chance(self) -> bool:
        """Whether the map says more than noise as smooth as it: at p ≤ 0.05, its interval (if any) above 0.5."""
        null = self.random_maps
        return bool(
            self.auroc is not None
            and self.auroc > CHANCE
            and (self.interval is None or self.interval.low > CHANCE)
            and (null is None or null.p is None or null.p <= SURE)
        )

    @property
    def above_random_text(self) -> bool | None:
        """Whether it tells better than maps of random texts where this text's score lies; None: none were asked."""
        null = self.random_texts
        return None if null is None or null.p is None else bool(self.above_chance and null.p <= SURE)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.auroc is None:
            return f"not known: {self.why}"
        if not self.above_chance:
            return "not above chance: tiles nearby do not bear this map out"
        if self.above_random_text is False:
            return "above chance, but maps of random text point there as well: not these words alone"
        return "above chance" + (" and above maps of random text" if self.above_random_text else "")

    @property
    def figures(self) -> str:
        """In one line."""
        if self.auroc is None:
            return "–"
        span = "" if self.interval is None else f" [{self.interval.low:.2f}, {self.interval.high:.2f}]"
        nulls = (("random map", self.random_maps), ("random text", self.random_texts))
        said = [f"{name} {null.quantiles[1]:.2f}, p {null.p:.3f}" for name, null in nulls if null and null.p]
        return f"{self.auroc:.2f}{span}" + (f" ({'; '.join(said)})" if said else "")

    def to_json(self) -> dict[str, Any]:
        return {
            "auroc": self.auroc,
            "interval": None if self.interval is None else [self.interval.low, self.interval.high],
            "drop": self.drop,
            "held_out": self.held_out,
            "random_maps": None if self.random_maps is None else self.random_maps.to_json(),
            "random_texts": None if self.random_texts is None else self.random_texts.to_json(),
            "above_chance": self.above_chance,
            "verdict": self.verdict,
        }


def null_of(value: float, draws: Float64[ndarray, " r"]) -> Null | None:
    """What chance gives, and p of `value`, by those draws that are known."""
    known = draws[np.isfinite(draws)]
    if not len(known):
        return None
    p = (1 + int((known >= value).sum())) / (1 + len(known))
    return Null(tuple(float(one) for one in np.quantile(known, QUANTILES)), p, len(known))
