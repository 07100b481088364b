"""Stored features of a million patches, looked through while somebody waits: exact, in float32, one pass an answer."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.knn import PAPER, SMALL, Protocol

_BLOCK = 8192
_FEW = 5000  # patches below which 200 neighbours drown small classes (evaluate/knn.py)
_TINY = 1e-12
_ALIKE = 1e-6  # cosines in float32 that spread less are all alike


class Vote(NamedTuple):
    """Share of the weighted neighbours that a class has."""

    label: str
    share: float


class Moments(NamedTuple):
    """Of the cosines of all patches with each of k texts; spread: standard deviation, 1 where all are alike."""

    mean: Float64[ndarray, " k"]
    spread: Float64[ndarray, " k"]


class PatchFeatures:
    """Texts against patches, and patches against patches. Besides the table, memory for a few numbers a patch.

    Neighbours are those that the evaluation votes by (evaluate/knn.py): of the train side, where it has labels. The
    protocol is `paper`, or `small` where the labelled train side has fewer than 5,000 patches.
    """

    def __init__(self, table: EmbeddingTable) -> None:
        """The features must be finite."""
        self.table, self._z = table, np.ascontiguousarray(table.features, dtype=np.float32)
        self._bank = np.flatnonzero((table["side"] == "train") & (table["label"] != ""))
        self.classes = tuple(sorted(set(table["label"][self._bank].tolist())))
        self.protocol = _protocol(len(self._bank))
        self._inverse = _inverse_lengths(self._z, np.zeros(self._z.shape[1], np.float32))

    def __len__(self) -> int:
        return len(self._z)

    def sigma(self, text: Float32[ndarray, " d"]) -> Float32[ndarray, " n"]:
        """How far each patch's cosine with a text (length 1) stands from the mean of all, in standard deviations."""
        scores = (self._z @ text) * self._inverse
        middle = scores.mean(dtype=np.float64)
        spread = scores.std(dtype=np.float64)
        found: Float32[ndarray, " n"] = (scores - np.float32(middle)) / np.float32(spread if spread > _ALIKE else 1)
        return found

    def sigma_of(self, row: int, texts: Float32[ndarray, "k d"], moments: Moments) -> Float64[ndarray, " k"]:
        """The same of one patch for many texts, given their moments."""
        z = self._z[row].astype(np.float64) * self._inverse[row]
        found: Float64[ndarray, " k"] = (texts.astype(np.float64) @ z - moments.mean) / moments.spread
        return found

    def moments(self, texts: Float32[ndarray, "k d"]) -> Moments:
        """Of the cosines of all patches with each text. Time O(n d k), memory for a block of patches."""
        mean = texts.astype(np.float64) @ (self._inverse @ self._z).astype(np.float64) / len(self)
        columns, middle = np.ascontiguousarray(texts, dtype=np.float32), mean.astype(np.float32)[:, None]
        squares = np.zeros(len(texts))
        for start in range(0, len(self), _BLOCK):
            scores = columns @ self._z[start : start + _BLOCK].T
            scores *= self._inverse[start : start + _BLOCK]
            scores -= middle  # so that squares are of small numbers
            squares += np.einsum("kn,kn->k", scores, scores)
        spread = np.sqrt(squares / len(self))
        return Moments(mean, np.where(spread > _ALIKE, spread, 1))

    def nearness(self, row: int) -> Float32[ndarray, " n"]:
        """Cosine of a patch with every patch, centred as the protocol has it; of itself −∞."""
        centre, inverse = self._centred
        query = self._z[row] - centre
        query /= max(float(np.linalg.norm(query)), _TINY)
        found: Float32[ndarray, " n"] = (self._z @ query - centre @ query) * inverse
        found[row] = -np.inf
        return found

    def votes(self, row: int, nearness: Float32[ndarray, " n"]) -> list[Vote]:
        """Classes by their share of the protocol's k nearest labelled patches of the train side, itself left out; the
        largest first. Empty where there are none. nearness: of this row.
        """
        bank = self._bank[self._bank != row]
        if not len(bank):
            return []
        k = min(self.protocol.k, len(bank))
        near = bank[np.argpartition(-nearness[bank], k - 1)[:k]]
        weights = np.exp((nearness[near].astype(np.float64) - 1) / self.protocol.temperature)
        numbers = np.searchsorted(self.classes, self.table["label"][near].astype(str))
        shares = np.bincount(numbers, weights, minlength=len(self.classes)) / weights.sum()
        order = np.argsort(-shares, kind="stable")
        return [Vote(self.classes[number], float(shares[number])) for number in order if shares[number] > 0]

    def prepare(self) -> None:
        """Count ahead what `nearness` needs once."""
        _ = self._centred

    @cached_property
    def _centred(self) -> tuple[Float32[ndarray, " d"], Float32[ndarray, " n"]]:
        """What neighbours are centred by, and 1 / length of each patch's feature less that."""
        if not self.protocol.centred or not len(self._bank):
            return np.zeros(self._z.shape[1], np.float32), self._inverse
        total = np.zeros(self._z.shape[1])
        for start in range(0, len(self._bank), _BLOCK):
            total += self._z[self._bank[start : start + _BLOCK]].sum(axis=0, dtype=np.float64)
        centre = (total / len(self._bank)).astype(np.float32)
        return centre, _inverse_lengths(self._z, centre)


def first_of(scores: Float[ndarray, " n"], owner: Shaped[ndarray, " n"], count: int, most: int) -> list[int]:
    """Rows of the highest scores, highest first, at most `most` of one owner (neighbouring patches look alike)."""
    taken: dict[object, int] = {}
    chosen: list[int] = []
    looked, wide = 0, min(len(scores), 64 * count)
    while len(chosen) < count and looked < len(scores):
        rows: Int64[ndarray, " w"] = np.argpartition(-scores, wide - 1)[:wide]
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        for row in rows[looked:].tolist():
            if len(chosen) < count and np.isfinite(scores[row]) and taken.get(owner[row], 0) < most:
                chosen.append(row)
                taken[owner[row]] = taken.get(owner[row], 0) + 1
        looked, wide = wide, min(len(scores), 16 * wide)
    return chosen


def _protocol(labelled: int) -> Protocol:
    return SMALL if labelled < _FEW else PAPER


def _inverse_lengths(z: Float32[ndarray, "n d"], centre: Float32[ndarray, " d"]) -> Float32[ndarray, " n"]:
    found = np.empty(len(z), np.float32)
    for start in range(0, len(z), _BLOCK):
        block = z[start : start + _BLOCK] - centre
        found[start : start + _BLOCK] = 1 / np.maximum(np.sqrt(np.einsum("bd,bd->b", block, block)), _TINY)
    return found
