"""Units of one patient and one class, summed: from such sums every resample and permutation is formed at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.fold import Patches
from hlss.evaluate.intervals import FEWEST_PATIENTS, Interval
from hlss.evaluate.knn import unit
from hlss.evaluate.units import Units, units_of
from hlss.types import Level


def units_at(table: EmbeddingTable, classes: tuple[str, ...], level: Level) -> Units:
    """Labelled patches by their z at length 1; slides and patients by the mean of it, those of several labels left out.

    classes: sorted names of all labels of the table.
    """
    labelled = table.where(np.asarray(table["label"] != ""))
    patches = Patches(labelled, np.searchsorted(classes, labelled["label"].astype(str)))
    if level is not Level.PATCH:
        return units_of(patches, level)
    return Units(unit(patches.features), patches.labels, patches.ids("patient"), patches.places(), 0)


@dataclass(frozen=True, eq=False)
class Blocks:
    """member: block of each unit; labels, patients: class and patient number of each block; names: of the patients."""

    member: Int64[ndarray, " u"]
    labels: Int64[ndarray, " b"]
    patients: Int64[ndarray, " b"]
    names: tuple[str, ...]
    classes: int

    @classmethod
    def of(cls, units: Units, classes: int) -> "Blocks":
        """One block for each patient and class that have units."""
        names, patient = np.unique(units.patients.astype(str), return_inverse=True)
        found, member = np.unique(patient * classes + units.labels, return_inverse=True)
        return cls(member, found % classes, found // classes, tuple(names.tolist()), classes)

    @property
    def sizes(self) -> Float64[ndarray, " b"]:
        """Units of each block."""
        return np.bincount(self.member, minlength=len(self.labels)).astype(np.float64)

    def sums(self, values: Float64[ndarray, "u k"]) -> Float64[ndarray, "b k"]:
        """Sum of the rows of each block."""
        result = np.zeros((len(self.labels), values.shape[1]))
        np.add.at(result, self.member, values)
        return result

    def given(self) -> Float64[ndarray, "1 b c"]:
        """Which class each block has, as 0 and 1."""
        return np.eye(self.classes)[self.labels][None]

    def resampled(self, resamples: int, seed: int) -> Float64[ndarray, "r b c"] | None:
        """`given` times how often the block's patient is drawn in each resample; None below 10 patients."""
        if len(self.names) < FEWEST_PATIENTS:
            return None
        counts = drawn(len(self.names), resamples, seed)[:, self.patients].astype(np.float64)
        result: Float64[ndarray, "r b c"] = counts[:, :, None] * self.given()
        return result

    def permuted(self, permutations: int, seed: int) -> Float64[ndarray, "r b c"]:
        """`given` with the classes dealt anew to the blocks: to the patients, where each has one class."""
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(len(self.labels)) for _ in range(permutations)]
        result: Float64[ndarray, "r b c"] = np.eye(self.classes)[self.labels[np.stack(orders)]]
        return result


def drawn(patients: int, resamples: int, seed: int) -> Int64[ndarray, "r p"]:
    """How often each patient is drawn in each resample."""
    rng = np.random.default_rng(seed)
    draws = [np.bincount(rng.integers(patients, size=patients), minlength=patients) for _ in range(resamples)]
    return np.stack(draws)


def interval_of(values: Float64[ndarray, " r"]) -> Interval | None:
    """95 %, by percentiles of the resamples in which the figure is defined; None where it never is."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))


def limits_of(values: Float64[ndarray, "r c k"]) -> tuple[Float64[ndarray, "c k"], Float64[ndarray, "c k"]]:
    """`interval_of` of every cell at once: low and high, NaN where it is undefined."""
    there = np.isfinite(values).any(axis=0)
    low, high = np.nanpercentile(np.where(there, values, 0), [2.5, 97.5], axis=0)
    return np.where(there, low, np.nan), np.where(there, high, np.nan)


def finite(value: float) -> float | None:
    """The value, or None where it is undefined."""
    return float(value) if np.isfinite(value) else None
