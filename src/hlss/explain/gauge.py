"""What is needed of a table's patches to place any text among them, from two passes in blocks: memory stays flat."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.knn import unit
from hlss.explain.extremes import numbers_of
from hlss.types import Level

BLOCK = 8192  # patches at a time
ROUNDING = 1e-6  # cosines in float32 that spread less are all alike


class Gauge:
    """Mean and covariance of the patches' z at length 1, and the sum over each slide: d × d and slides × d numbers.

    The score of a unit is the mean cosine of its patches, which is its mean z · t: so that what a slide would score if
    its patches were dealt anew follows from the patches (explain/nulls.py). A slide is a slide of a patient.
    """

    def __init__(self, table: EmbeddingTable) -> None:
        self.table = table
        patients, slides = numbers_of(table["patient"]), numbers_of(table["slide"])
        pairs = patients * (slides.max() + 1) + slides
        _, self._first, self.slide = np.unique(pairs, return_index=True, return_inverse=True)
        self.slide_patient: Int64[ndarray, " s"] = patients[self._first]
        self.sizes: Int64[ndarray, " s"] = np.bincount(self.slide, minlength=len(self._first))
        self._patient_first = np.unique(self.slide_patient, return_index=True)[1]

    def __len__(self) -> int:
        return len(self.table)

    def blocks(self) -> Iterator[tuple[int, Float32[ndarray, "b d"]]]:
        """Row at which each block begins, and z at length 1 of its rows."""
        for start in range(0, len(self), BLOCK):
            yield start, unit(self.table.features[start : start + BLOCK])

    @cached_property
    def slide_sums(self) -> Float64[ndarray, "s d"]:
        """Sum of z at length 1 over the patches of each slide."""
        return self.sums(self.slide, len(self.sizes))

    @cached_property
    def mean(self) -> Float64[ndarray, " d"]:
        """Of all patches."""
        found: Float64[ndarray, " d"] = self.slide_sums.sum(axis=0) / len(self)
        return found

    @cached_property
    def covariance(self) -> Float64[ndarray, "d d"]:
        """Of all patches."""
        middle, total = self.mean.astype(np.float32), np.zeros((len(self.mean), len(self.mean)))
        for _, z in self.blocks():
            z -= middle
            total += z.T @ z
        return total / len(self)

    def sums(self, member: Int64[ndarray, " n"], groups: int) -> Float64[ndarray, "g d"]:
        """Sum of z at length 1 over the rows of each group; member: group of each row, −1 where it is in none."""
        result = np.zeros((groups, self.table.features.shape[1]))
        for start, z in self.blocks():
            here = member[start : start + len(z)]
            order = np.argsort(here, kind="stable")
            order = order[np.searchsorted(here[order], 0) :]
            found, first = np.unique(here[order], return_index=True)
            if len(found):
                result[found] += np.add.reduceat(z[order], first, axis=0, dtype=np.float64)
        return result

    def names(self, level: Level) -> Shaped[ndarray, " u"]:
        """Of slides, or patients."""
        column = "slide" if level is Level.SLIDE else "patient"
        found: Shaped[ndarray, " u"] = self.table[column][self._rows_of_names(level)]
        return found

    def _rows_of_names(self, level: Level) -> Int64[ndarray, " u"]:
        return self._first if level is Level.SLIDE else self._first[self._patient_first]

    def patches(self, level: Level) -> Int64[ndarray, " u"]:
        """How many each slide, or patient, has."""
        return self.sizes if level is Level.SLIDE else np.add.reduceat(self.sizes, self._patient_first)

    def means(self, level: Level) -> Float64[ndarray, "u d"]:
        """Mean of z at length 1 over the patches of each slide, or patient."""
        sums = (
            self.slide_sums if level is Level.SLIDE else np.add.reduceat(self.slide_sums, self._patient_first, axis=0)
        )
        found: Float64[ndarray, "u d"] = sums / self.patches(level)[:, None]
        return found

    def rows(self, level: Level, number: int) -> Int64[ndarray, " r"]:
        """Rows of the table that are of a slide, or patient."""
        slides = [number] if level is Level.SLIDE else np.flatnonzero(self.slide_patient == number)
        found: Int64[ndarray, " r"] = np.flatnonzero(np.isin(self.slide, slides))
        return found

    def z(self, rows: Int64[ndarray, " r"]) -> Float32[ndarray, "r d"]:
        """Of these rows, at length 1."""
        return unit(self.table.features[rows])

    def scores(self, rows: Int64[ndarray, " r"], columns: Float[ndarray, "d k"]) -> Float32[ndarray, "r k"]:
        """Cosine of each of these rows with each text (a column of length 1), in blocks of rows."""
        result, floats = np.empty((len(rows), columns.shape[1]), np.float32), columns.astype(np.float32)
        for start in range(0, len(rows), BLOCK):
            result[start : start + BLOCK] = self.z(rows[start : start + BLOCK]) @ floats
        return result

    def spread(self, texts: Float[ndarray, "k d"]) -> Float64[ndarray, " k"]:
        """Standard deviation over all patches of each text's cosine; 1 where all are alike."""
        return spread_of(texts, self.covariance)


def spread_of(texts: Float[ndarray, "k d"], covariance: Float64[ndarray, "d d"]) -> Float64[ndarray, " k"]:
    """Standard deviation of what each text scores where vectors have this covariance; 1 where all are alike."""
    rows = texts.astype(np.float64)
    found = np.sqrt(np.maximum(np.einsum("kd,kd->k", rows @ covariance, rows), 0))
    return np.where(found > ROUNDING, found, 1.0)
