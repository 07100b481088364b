"""Maps of characteristics over slides for a report: what `hlss map` wrote of the table, or a few made for it."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.packed import encode_jpeg
from hlss.errors import UserError
from hlss.explain.score_map import SHOWN_SIGMA, ScoreMap, coloured, standing_of_all
from hlss.jobs.explain_found import cut
from hlss.jobs.explain_sources import Source
from hlss.jobs.map_drawn import Drawn
from hlss.jobs.map_ground import Ground, Pixels, grounds_of
from hlss.jobs.map_slide import MapSettings, SlideMapper
from hlss.jobs.map_texts import Asked, MapTexts
from hlss.jobs.table_pixels import at_most, png_of
from hlss.report.contents import MapShown, Panel, UnitShown
from hlss.report.facts import Facts

MADE_MAPS, SHOWN_MAPS = 3, 6
PANEL_PX = 520  # of the longer side of a panel
_QUALITY = 82
WRITTEN = "{shown} of {of} maps that `hlss map` wrote of {what}, of as many slides as there are."
OWN_TABLE, OTHER_TABLE = "this table", "other slides, which the same weights embedded"
MADE = (
    "Of the slides explained below, the largest of {shown} classes, each with the characteristic that is its first. "
    "`hlss map RUN --characteristic NAME` maps any other."
)


class SlideMaps:
    """Of one whole table, so that maps of all its slides compare. bank: that its texts are of."""

    def __init__(self, source: Source, bank: str | None) -> None:
        self._source, self._pixels = source, Pixels.of(source)
        self._words = MapTexts(source, bank)

    def made(self, units: Sequence[UnitShown]) -> list[dict[str, Any]]:
        """As `maps` of maps.json, of what the largest of these slides show first. Raises UserError as `hlss map`."""
        slides = [
            one.facts.value for one in units if one.facts["level"].value == "slide" and one.facts.value["matches"]
        ]
        found: list[dict[str, Any]] = []
        for unit in sorted(slides, key=lambda unit: -unit["patches"])[:MADE_MAPS]:
            asked = self._words.asked([unit["matches"][0]["characteristic"]], [])
            mapper = SlideMapper(self._source, self._words, self._pixels, asked, MapSettings(kinds=("csv",)))
            ground = grounds_of(self._source.table, self._pixels, [unit["name"]])[0]
            with TemporaryDirectory() as folder:
                found += mapper.map(ground, Path(folder), "")
        return [{key: value for key, value in one.items() if key != "files"} for one in cut(found)]

    def shown(self, one: Facts, smooth_um: float = 0.0) -> MapShown:
        """The map with its pictures: slide, map, and what was drawn where that is known."""
        ground = next(
            found
            for found in grounds_of(self._source.table, self._pixels, [one["slide"].value])
            if found.image == one["image"].value
        )
        panels = [*self._slide(ground), *self._map(ground, one, smooth_um)]
        weak = not one["faithfulness"]["above_chance"].value
        bar = coloured(np.linspace(-SHOWN_SIGMA, SHOWN_SIGMA, 240, dtype=np.float32), weak=weak)
        scale = Panel("", png_of(np.repeat(bar[None], 10, axis=0), 240), "", "image/png")
        width_um = None if ground.mpp0 is None else round(ground.size_px0[0] * ground.mpp0)
        return MapShown(one, panels, scale, width_um, SHOWN_SIGMA)

    def _slide(self, ground: Ground) -> list[Panel]:
        try:
            pixels = at_most(self._pixels.overview(ground), PANEL_PX)
        except UserError:
            return []
        jpeg = encode_jpeg(np.ascontiguousarray(pixels), _QUALITY, "420")
        return [Panel("the slide", jpeg, f"Slide {ground.name}", "image/jpeg")]

    def _map(self, ground: Ground, one: Facts, smooth_um: float) -> list[Panel]:
        name = str(one["characteristic"].value)
        asked = self._asked(one)
        _, sigma = standing_of_all(self._source.table.features, asked.row[None])
        score_map = ScoreMap.of(ground.lattice, sigma[ground.rows, 0])
        if smooth_um > 0 and ground.mpp0 is not None:
            score_map = score_map.smoothed(smooth_um / ground.mpp0)
        weak = not one["faithfulness"]["above_chance"].value
        found = [
            _panel(f"read: {name}", _over(ground, score_map, weak=weak), f"Map of {name} over slide {ground.name}")
        ]
        if one.at("truth") is not None:
            drawn = Drawn(self._pixels, self._words.bank_name)
            true = drawn.beside(asked, sigma[ground.rows, 0], drawn.of(ground))
            if true is not None:
                spread = ScoreMap.of(ground.lattice, (true.values * 2 - 1) * SHOWN_SIGMA)
                found.append(
                    _panel(true.title, _over(ground, spread, weak=False), f"{true.title}, over the same slide")
                )
        return found

    def _asked(self, one: Facts) -> Asked:
        """Raises UserError where the bank no longer has it."""
        name, sentence = str(one["characteristic"].value), one.at("level") is None
        try:
            return self._words.asked([name], [])[0]
        except UserError:
            if not sentence:
                raise
            return self._words.asked([], [name])[0]


def picked(maps: Facts) -> list[Facts]:
    """The first of each slide, then the second of each, and so on: SHOWN_MAPS of them."""
    turns: dict[str, int] = {}
    ordered = []
    for number, one in enumerate(maps):
        turn = turns[one["slide"].value] = turns.get(one["slide"].value, -1) + 1
        ordered.append((turn, number, one))
    return [one for _, _, one in sorted(ordered, key=lambda entry: entry[:2])[:SHOWN_MAPS]]


def _over(ground: Ground, score_map: ScoreMap, *, weak: bool) -> UInt8[ndarray, "h w 3"]:
    """The map's colours in the slide's frame, PANEL_PX or less on its longer side."""
    width, height = ground.size_px0
    scale = max(width, height) / PANEL_PX
    x, y = ((np.arange(max(1, round(side / scale))) + 0.5) * scale for side in (width, height))
    return coloured(score_map.at(x, y), weak=weak)


def _panel(title: str, pixels: UInt8[ndarray, "h w 3"], alt: str) -> Panel:
    return Panel(title, png_of(pixels, PANEL_PX), alt, "image/png")
