"""A cohort from embedding tables, as `hlss embed` writes them: features in place of pixels."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from pydantic import Field, field_validator

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow
from hlss.cohorts.features import StoredFeatures, StoredImage, cohort_of_features, refuse_non_finite
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.registry import COHORTS

_IDENTITY = ("patient", "slide", "image", "x_px0", "y_px0")


@COHORTS.register("embeddings")
class EmbeddingsSpec(CohortSpec):
    """path: folder of an embedding table, or several of the same tiles: the first holds the tiles as they are, the
    others augmented views of them (`hlss embed --view 1`, …).

    The table's sides become the split that `split: {kind: given}` takes.
    """

    name: Literal["embeddings"] = "embeddings"
    path: list[Path] = Field(min_length=1)

    @field_validator("path", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        return given if isinstance(given, list) else [given]

    def open(self) -> Cohort:
        """Raises UserError for a table that is missing, broken or not finite, or of other tiles or width."""
        tables = [EmbeddingTable.read(folder) for folder in self.path]
        for folder, table in zip(self.path, tables, strict=True):
            refuse_non_finite(table.features, folder)
        first = tables[0]
        orders = (None, *(self._order(first, k, table) for k, table in enumerate(tables[1:], start=1)))
        images = _images(first)
        names = tuple(str(first["image"][image.stored[0]]) for image in images)
        source = StoredFeatures(tuple(table.features for table in tables), orders, names)
        run = self.path[0].resolve()
        return cohort_of_features(f"features of {run.parents[1].name}", source, images, self, self.path[0])

    def _order(self, first: EmbeddingTable, number: int, other: EmbeddingTable) -> Int64[ndarray, " n"] | None:
        """Row in `other` of each tile of `first`; None where they stand in the same order."""
        if other.features.shape[1] != first.features.shape[1]:
            what = f"features are {other.features.shape[1]} wide, those of {self.path[0]} {first.features.shape[1]}"
            raise UserError(what, where=self.path[number], fix="Give tables that one tower made.")
        if len(other) == len(first) and all(np.array_equal(first[name], other[name]) for name in _IDENTITY):
            return None
        rows = {key: row for row, key in enumerate(_keys(other))}
        try:
            return np.array([rows[key] for key in _keys(first)], dtype=np.int64)
        except KeyError as error:
            patient, slide, _, x, y = error.args[0]
            raise UserError(
                f"lacks the tile at {x},{y} of slide {slide!r}, patient {patient!r}, that {self.path[0]} has",
                where=self.path[number],
                fix="Embed the same cohort with the same settings.",
            ) from error


def _keys(table: EmbeddingTable) -> list[tuple[object, ...]]:
    return list(zip(*(table[name].tolist() for name in _IDENTITY), strict=True))


def _images(table: EmbeddingTable) -> list[StoredImage]:
    """Images of a table in the order they first appear. Rows of one image need not stand together."""
    named = list(zip(table["patient"].tolist(), table["slide"].tolist(), table["image"].tolist(), strict=True))
    number: dict[tuple[str, ...], int] = {}
    of = np.array([number.setdefault(key, len(number)) for key in named], dtype=np.int64)
    order = np.argsort(of, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(of))[:-1])
    places = np.column_stack([table["x_px0"], table["y_px0"]])
    return [
        StoredImage(
            ImageRow(
                patient=key[0],
                slide=key[1],
                width_px0=0,
                height_px0=0,
                label=str(table["label"][rows[0]]) or None,
                site=str(table["site"][rows[0]]) or None,
                split=str(table["side"][rows[0]]) or None,
            ),
            image,
            places[rows],
            rows,
        )
        for (key, image), rows in zip(number.items(), groups, strict=True)
    ]
