"""Which tile of a cohort each row of an embedding table is of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError

Rows = Int64[ndarray, " r"]


class TilesOfRows:
    """Finds tiles by slide and corner; where several images of a slide have a tile there, also by the image's file name
    (whatever folder it lies in now).

    All rows take O(n log n) of the tiles of their slides; one row takes one look through the tiles of its slide.
    """

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._slide = {name: number for number, name in enumerate(cohort.slides)}

    def tiles(self, table: EmbeddingTable, rows: Sequence[int] | Rows | None = None) -> Rows:
        """Row of the cohort for each of these rows of the table (None: all). Raises UserError where the cohort lacks
        the tile, or cannot tell which of two it is.
        """
        kept = np.arange(len(table)) if rows is None else np.asarray(rows, dtype=np.int64)
        names = table["slide"][kept].tolist()
        slides = np.fromiter((self._slide.get(name, -1) for name in names), np.int64, len(kept))
        order = np.argsort(slides, kind="stable")
        found = np.empty(len(kept), np.int64)
        for part in np.split(order, np.flatnonzero(np.diff(slides[order])) + 1) if len(kept) else ():
            found[part] = self._of_slide(table, kept[part], int(slides[part[0]]))
        return found

    def _of_slide(self, table: EmbeddingTable, rows: Rows, slide: int) -> Rows:
        tiles = np.empty(0, np.int64) if slide < 0 else self._cohort.slide_tiles(slide)
        wanted = _keys(np.stack([table["x_px0"][rows], table["y_px0"][rows]], axis=1))
        keys = _keys(self._cohort.tile_xy_px0(tiles))
        there = np.isin(keys, wanted)
        tiles, keys = tiles[there], keys[there]
        order = np.argsort(keys, kind="stable")
        tiles, keys = tiles[order], keys[order]
        first, end = (np.searchsorted(keys, wanted, side=side) for side in ("left", "right"))
        unsure = end - first != 1
        found = tiles[np.where(unsure, 0, first)] if len(tiles) else np.empty(len(rows), np.int64)
        if unsure.any():
            found[unsure] = self._by_image(table, rows[unsure], wanted[unsure], tiles, keys)
        return found

    def _by_image(self, table: EmbeddingTable, rows: Rows, wanted: Rows, tiles: Rows, keys: Rows) -> list[int]:
        """For each row the one of these tiles that lies at its place in its image."""
        images = self._cohort.image_number[self._cohort.tile_image(tiles)].tolist()
        names = {image: _file(self._cohort.source.image_name(image)) for image in set(images)}
        there: dict[tuple[int, str], list[int]] = {}
        for key, image, tile in zip(keys.tolist(), images, tiles.tolist(), strict=True):
            there.setdefault((key, names[image]), []).append(tile)
        found = []
        for row, key in zip(rows.tolist(), wanted.tolist(), strict=True):
            of_image = there.get((key, _file(table["image"][row])), [])
            if len(of_image) != 1:
                where, x, y = str(table["slide"][row]), int(table["x_px0"][row]), int(table["y_px0"][row])
                what = f"the run's cohort has {'several patches' if of_image else 'no patch'} at x {x}, y {y}"
                raise UserError(what, where=where, fix="Embed the cohort again.")
            found.append(of_image[0])
        return found


def _file(path: object) -> str:
    return Path(str(path)).name


def _keys(corners: Int64[ndarray, "n 2"]) -> Rows:
    """One number for each corner: coordinates of a slide stay below 2³¹."""
    both = corners.astype(np.int64)
    found: Rows = (both[:, 0] << 32) + both[:, 1]
    return found
