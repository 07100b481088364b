"""Stored features in memory, whatever file they came from, and how their tiles become a cohort."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from hlss.cohorts.base import Cohort, CohortSpec, FeatureSource
from hlss.cohorts.build import ImageRow, cohort_of_tiles
from hlss.errors import UserError
from hlss.slides.tiles import ListedTiles

Table = ndarray  # n × d, float32 or float16: kept as stored, since a copy of it is the whole memory of a run
_BLOCK = 8192  # rows looked at together


@dataclass(frozen=True, eq=False)
class StoredFeatures(FeatureSource):
    """tables: stored views of the same tiles, n × d each; orders: for each, the row of tile i (None: i itself);
    images: what to call the images.
    """

    tables: tuple[Table, ...]
    orders: tuple[Int64[ndarray, " n"] | None, ...]
    images: tuple[str, ...]

    @property
    def dim(self) -> int:  # type: ignore[override]
        return int(self.tables[0].shape[1])

    @property
    def views(self) -> int:  # type: ignore[override]
        return len(self.tables)

    @cached_property
    def _fingerprint(self) -> str:
        hasher = hashlib.sha256()
        for table, order in zip(self.tables, self.orders, strict=True):
            hasher.update(np.ascontiguousarray(table).data)
            hasher.update(b"" if order is None else order.tobytes())
        return hasher.hexdigest()[:12]

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def image_name(self, image: int) -> str:
        return self.images[image]

    def features(self, rows: Int64[ndarray, " n"], views: Int64[ndarray, " n"]) -> Float32[ndarray, "n d"]:
        result = np.empty((len(rows), self.dim), dtype=np.float32)
        for view in np.unique(views).tolist():
            chosen, order = views == view, self.orders[view]
            wanted = rows[chosen]
            result[chosen] = self.tables[view][wanted if order is None else order[wanted]]
        return result


@dataclass(frozen=True)
class StoredImage:
    """An image or slide of which features are stored. places: (n, 2) level-0 px; first: its first row in the table."""

    row: ImageRow
    number: int
    places: ndarray
    stored: Int64[ndarray, " n"]


def cohort_of_features(
    name: str, source: FeatureSource, images: Sequence[StoredImage], spec: CohortSpec, where: object
) -> Cohort:
    """Raises UserError for two features of one place, and where a patient stands in two splits."""
    images = sorted(images, key=lambda image: (image.row.patient, image.row.slide))
    for image in images:
        if len(np.unique(image.places, axis=0)) < len(image.places):
            called = source.image_name(image.number)
            raise UserError("two features have the same place", where=called, fix="Extract its features again.")
    return cohort_of_tiles(
        name,
        source,
        rows=[image.row for image in images],
        numbers=[image.number for image in images],
        tiles=ListedTiles.of([image.places.astype(np.int32) for image in images]),
        tile_px=spec.tile_px,
        mpp=spec.mpp,
        where=where,
        stored=np.concatenate([image.stored for image in images]),
    )


def refuse_non_finite(table: Table, where: object) -> None:
    """Raises UserError that names the first row which is not finite."""
    for start in range(0, len(table), _BLOCK):
        bad = np.flatnonzero(~np.isfinite(table[start : start + _BLOCK]).all(axis=1))
        if len(bad):
            what = f"feature {start + int(bad[0])} of {len(table)} is not finite"
            raise UserError(what, where=where, fix="Extract the features again.")
