"""What was truly drawn on a mapped slide of drawn tissue, beside each map of a characteristic that stands for it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from hlss.cohorts.phantom.factors import FACTORS, INDEX
from hlss.cohorts.phantom.truth import tile_truth
from hlss.errors import UserError
from hlss.explain.agreement import Agreement, agreement
from hlss.jobs.map_ground import Ground, Pixels
from hlss.jobs.map_texts import Asked
from hlss.jobs.truth import WHOLE_SLIDE
from hlss.language.factors import Truth, truth_of

MOST_TILES = 20_000  # of a slide whose truth is looked up: about a millisecond each


@dataclass(frozen=True, eq=False)
class TrueMap:
    """values: of the factor over each tile, 0 to 1 (NaN: unknown); agreement: of the map with it, on this slide."""

    values: Float64[ndarray, " n"]
    agreement: Agreement

    @property
    def title(self) -> str:
        """What is drawn, and which end of it the words name."""
        few = ", of which little is meant" if self.agreement.end == "low" else ""
        return f"drawn: {self.agreement.factor.replace('_', ' ')} (0 to 1{few})"

    @property
    def figures(self) -> str:
        one = self.agreement
        counts = f"{one.having} tiles have it, {one.lacking} lack it"
        auroc = f"not known ({counts})" if one.auroc is None else f"{one.auroc:.2f} ({counts})"
        return f"AUROC {auroc}, rank correlation {'–' if one.rank is None else f'{one.rank:+.2f}'}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self.agreement)


class Drawn:
    """The truth of a run's slides, where its cohort is drawn and it is known what the bank's words stand for."""

    def __init__(self, pixels: Pixels, bank: str | None) -> None:
        self._pixels, self._meant = pixels, _meant(bank)

    def notices(self, ground: Ground) -> tuple[str, ...]:
        """What must be said of a slide whose truth is known and not looked up."""
        if len(ground.rows) <= MOST_TILES or not self._meant or self._pixels.drawn(ground) is None:
            return ()
        return (f"drawn tissue of more than {MOST_TILES} tiles: what was drawn is not looked up",)

    def of(self, ground: Ground) -> Float64[ndarray, "n f"] | None:
        """Of every tile, columns as FACTORS; None where it is not known."""
        drawn = self._pixels.drawn(ground) if self._meant else None
        if drawn is None or len(ground.rows) > MOST_TILES:
            return None
        truth, mpp0 = drawn
        side_um = ground.lattice.side_px0 * mpp0
        found = []
        for x, y in ground.lattice.xy_px0.tolist():
            values = tile_truth(truth, (x * mpp0, y * mpp0), side_um)
            found.append([values[name] for name in FACTORS])
        return np.array(found)

    def beside(
        self, asked: Asked, scores: Float32[ndarray, " n"], truth: Float64[ndarray, "n f"] | None
    ) -> TrueMap | None:
        """None where nothing is known, or the words stand for nothing that a tile can show."""
        meant = self._meant.get(asked.name) if asked.level is not None else None
        if truth is None or meant is None or meant.factor is None or meant.end is None or meant.factor in WHOLE_SLIDE:
            return None
        values = truth[:, INDEX[meant.factor]]
        return TrueMap(values, agreement(asked.name, meant.factor, meant.end, scores.astype(np.float64), values))


def _meant(bank: str | None) -> dict[str, Truth]:
    try:
        return {} if bank is None else {name: one for level in truth_of(bank).values() for name, one in level.items()}
    except UserError:
        return {}
