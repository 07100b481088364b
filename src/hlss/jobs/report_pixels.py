"""Tiles of a report as small JPEGs: examples, sprites of a map, single patches."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.packed import encode_jpeg
from hlss.errors import UserError
from hlss.jobs.chosen_table import experiment_of
from hlss.jobs.report_runs import RunFolder
from hlss.jobs.table_pixels import OTHER_SETTINGS, TablePixels, at_most, other_settings
from hlss.report.contents import Sprites

TILE_PX, SPRITE_PX, EXAMPLE_PX, GAP_PX = 144, 48, 112, 4
_QUALITY, _SPRITE_QUALITY, _CHROMA = 85, 72, "420"
_GREY = 128


class Tiles:
    """Of a run's main table. lacking: the first reason why a tile could not be had."""

    def __init__(self, run: RunFolder) -> None:
        """Opens the cohort that the table was embedded from; where it cannot be, every tile is lacking."""
        self.lacking: str | None = None
        self._pixels: TablePixels | None = None
        assert run.main is not None
        table, experiment = run.main_table, experiment_of(run.main)
        try:
            self._pixels = TablePixels(table, experiment)
        except UserError as error:
            self.lacking = str(error)
        if other_settings(table, experiment):
            self.lacking = self.lacking or OTHER_SETTINGS

    def read(self, row: int, px: int) -> UInt8[ndarray, "px px 3"] | None:
        """Of a row, at this size or smaller; None where it cannot be had."""
        if self._pixels is None:
            return None
        try:
            return at_most(self._pixels.read(row), px)
        except UserError as error:
            self.lacking = self.lacking or str(error)
            return None

    def jpeg(self, row: int, px: int = TILE_PX) -> bytes | None:
        """A single patch."""
        found = self.read(row, px)
        return None if found is None else encode_jpeg(found, _QUALITY, _CHROMA)

    def strip(self, rows: Sequence[int]) -> tuple[bytes, int] | None:
        """Patches side by side, and how many; None where none can be had."""
        found = [tile for row in rows if (tile := self.read(row, EXAMPLE_PX)) is not None]
        if not found:
            return None
        side = max(tile.shape[0] for tile in found)
        sheet = np.full((side, len(rows) * (side + GAP_PX) - GAP_PX, 3), 255, np.uint8)
        for number, tile in enumerate(found):
            left = number * (side + GAP_PX)
            sheet[: tile.shape[0], left : left + tile.shape[1]] = tile
        return encode_jpeg(sheet[:, : len(found) * (side + GAP_PX) - GAP_PX], _QUALITY, _CHROMA), len(found)

    def sprites(self, rows: Sequence[int]) -> Sprites | None:
        """One small tile a row, on one sheet; grey where it cannot be had, None where none can."""
        if self._pixels is None or not rows:
            return None
        across = int(np.ceil(np.sqrt(len(rows))))
        down = -(-len(rows) // across)
        sheet = np.full((down * SPRITE_PX, across * SPRITE_PX, 3), _GREY, np.uint8)
        had = 0
        for number, row in enumerate(rows):
            tile = self.read(row, SPRITE_PX)
            if tile is None:
                continue
            top, left = (SPRITE_PX * at for at in divmod(number, across))
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            had += 1
        return Sprites(encode_jpeg(sheet, _SPRITE_QUALITY, _CHROMA), SPRITE_PX, across) if had else None
