"""The patches of a table by image: where they lie, how they stand with words, and the maps that these make."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.explain.score_map import ScoreMap
from hlss.jobs.map_ground import Ground, Pixels, ground_of
from hlss.jobs.view_features import Moments, PatchFeatures
from hlss.jobs.view_kept import Kept
from hlss.jobs.view_slides import ViewImage
from hlss.jobs.view_words import Words

_KEPT = 16  # texts whose scores of all patches are kept
_MAP_BYTES = 64 * 2**20


class Patches:
    """words: None where the run has no text tower.

    image, xy_px0: of each row of the table: its image's place (−1: the cohort does not have it) and its corner.
    Threads may ask at the same time.
    """

    def __init__(self, table: EmbeddingTable, images: Sequence[ViewImage], pixels: Pixels, words: Words | None) -> None:
        self.features, self.words, self._pixels = PatchFeatures(table), words, pixels
        places = {(image.slide, image.file): place for place, image in enumerate(images)}
        pairs = zip(table["slide"].tolist(), table["image"].tolist(), strict=True)
        known: dict[tuple[str, str], int] = {}
        found = np.empty(len(table), dtype=np.int64)
        for row, pair in enumerate(pairs):
            if pair not in known:
                known[pair] = places.get((pair[0], Path(pair[1]).name), -1)
            found[row] = known[pair]
        self.image: Int64[ndarray, " n"] = found
        self.xy_px0: Int64[ndarray, "n 2"] = np.stack([table["x_px0"], table["y_px0"]], axis=1).astype(np.int64)
        self._order = np.argsort(found, kind="stable")
        self._starts = np.searchsorted(found[self._order], np.arange(len(images) + 1))
        self._sigma = Kept[Float32[ndarray, " n"]](_KEPT)
        self._maps = Kept[ScoreMap](_MAP_BYTES, lambda one: one.values.nbytes)
        self._grounds: dict[int, Ground] = {}
        self._lock, self._counting = Lock(), Lock()

    def rows(self, image: int) -> Int64[ndarray, " k"]:
        """Of an image."""
        return self._order[self._starts[image] : self._starts[image + 1]]

    def ground(self, image: int) -> Ground | None:
        """Where an image's patches lie; None where it has none. Raises UserError where that cannot be."""
        rows = self.rows(image)
        if not len(rows):
            return None
        with self._lock:  # the cohort is not for several threads
            if image not in self._grounds:
                table, tile = self.features.table, self._pixels.tile
                slide, name = (str(table[column][rows[0]]) for column in ("slide", "image"))
                frame = self._pixels.frame(slide, name)
                self._grounds[image] = ground_of(table, rows, slide, frame, tile)
            return self._grounds[image]

    def extent_px0(self, image: int) -> int:
        """Side, level-0 px, of a patch of an image. Raises KeyError where it has none; UserError as `ground`."""
        ground = self.ground(image)
        if ground is None:
            raise KeyError(image)
        return ground.lattice.side_px0

    def at(self, image: int, x_px0: float, y_px0: float) -> int | None:
        """The row of the patch that covers a place, of those that overlap the one whose middle is nearest; or None."""
        ground = self.ground(image)
        if ground is None:
            return None
        extent = ground.lattice.side_px0
        away = np.array([x_px0, y_px0]) - ground.lattice.xy_px0
        covering = np.flatnonzero(((away >= 0) & (away < extent)).all(axis=1))
        if not len(covering):
            return None
        return int(ground.rows[covering[((away[covering] - extent / 2) ** 2).sum(axis=1).argmin()]])

    def sigma(self, key: str) -> Float32[ndarray, " n"]:
        """Of every row, for a text; the last few are kept. Raises KeyError."""
        if self.words is None:
            raise KeyError(key)
        text = self.words.get(key).row
        with self._lock:
            return self._sigma.made(key, lambda: self.features.sigma(text))

    def map(self, image: int, key: str) -> ScoreMap | None:
        """Of an image, as `hlss map` draws it; None where it has no patch. Raises KeyError, UserError."""
        ground = self.ground(image)
        if ground is None:
            return None
        return self.map_of(ground, ("σ", image, key), self.sigma(key)[ground.rows])

    def map_of(self, ground: Ground, key: tuple[object, ...], values: Float32[ndarray, " k"]) -> ScoreMap:
        """Of values of an image's patches; the last few are kept under their key."""
        return self._maps.made(key, lambda: ScoreMap.of(ground.lattice, values))

    def sigma_of(self, row: int) -> Float64[ndarray, " k"]:
        """Of one row, for each of the bank's characteristics. Raises ValueError where there are none."""
        if self.words is None:
            raise ValueError("there are no words")
        with self._counting:
            moments = self._moments
        return self.features.sigma_of(row, self.words.rows, moments)

    def prepare(self) -> None:
        """Count ahead what the first click on a patch needs: seconds of a million patches."""
        self.features.prepare()
        if self.words is not None:
            with self._counting:
                _ = self._moments

    @cached_property
    def _moments(self) -> Moments:
        assert self.words is not None
        return self.features.moments(self.words.rows)
