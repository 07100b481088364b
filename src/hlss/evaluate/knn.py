"""Weighted nearest neighbours by cosine (SPEC §6): exact, in float32."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray

from hlss.errors import UserError

_BLOCK_ROWS = 8192  # worked on at a time, so that memory beside the features stays small
_PRODUCT_VALUES = 2**28  # of queries × bank at a time: 1 GiB


@dataclass(frozen=True)
class Protocol:
    """k neighbours, temperature, and whether features are centred by the training bank's mean first."""

    name: str
    k: int
    temperature: float = 0.07
    centred: bool = False


PAPER = Protocol("paper", k=200)
SMALL = Protocol("small", k=20, centred=True)  # below 5,000 patches 200 neighbours drown small classes


def knn_probabilities(
    bank: Float[ndarray, "n d"],
    labels: Int64[ndarray, " n"],
    queries: Float[ndarray, "q d"],
    classes: int,
    protocol: Protocol,
) -> Float[ndarray, "q c"]:
    """score_c = Σ over the k neighbours of class c of exp(sim/T), L1-normalised.

    labels: class numbers 0..classes−1 of the bank. Raises UserError where k is below 1 or larger than the bank, or a
    feature is not finite.
    """
    refuse_nonfinite(bank, queries)
    (found,) = knn_probabilities_of(bank, labels, queries, classes, [protocol])
    return found


def knn_probabilities_of(
    bank: Float[ndarray, "n d"],
    labels: Int64[ndarray, " n"],
    queries: Float[ndarray, "q d"],
    classes: int,
    protocols: Sequence[Protocol],
) -> Iterator[Float[ndarray, "q c"]]:
    """As `knn_probabilities`, of finite features, for each protocol: one search for all that share a centring."""
    for protocol in protocols:
        if not 1 <= protocol.k <= len(bank):
            raise UserError(
                f"k = {protocol.k} neighbours of a bank of {len(bank)} patches",
                where=f"protocol {protocol.name}",
                fix="Choose a k from 1 to the size of the bank.",
            )
    largest = {
        centred: max(p.k for p in protocols if p.centred is centred) for centred in {p.centred for p in protocols}
    }
    found = {centred: _neighbours(bank, queries, k, centred) for centred, k in largest.items()}
    for protocol in protocols:
        similarity, neighbours = (part[:, : protocol.k] for part in found[protocol.centred])
        weights = np.exp((similarity.astype(np.float64) - 1) / protocol.temperature)
        scores = np.zeros((len(queries), classes))
        np.add.at(scores, (np.arange(len(queries))[:, None], labels[neighbours]), weights)
        yield scores / scores.sum(axis=1, keepdims=True)


def refuse_nonfinite(bank: Float[ndarray, "n d"], queries: Float[ndarray, "q d"]) -> None:
    """Raise UserError where a feature is not finite."""
    for name, features in (("bank", bank), ("queries", queries)):
        if not np.isfinite(features).all():
            raise UserError(f"features of the {name} are not finite", fix="Embed again with a sound checkpoint.")


def _neighbours(
    bank: Float[ndarray, "n d"], queries: Float[ndarray, "q d"], k: int, centred: bool
) -> tuple[Float32[ndarray, "q k"], Int64[ndarray, "q k"]]:
    center = bank.mean(axis=0, dtype=np.float64) if centred else None
    return nearest(unit(queries, center), unit(bank, center), k)


def nearest(
    queries: Float32[ndarray, "q d"], bank: Float32[ndarray, "n d"], k: int
) -> tuple[Float32[ndarray, "q k"], Int64[ndarray, "q k"]]:
    """Dot product and row of the k nearest, nearest first: torch on a GPU, else faiss where it is installed."""
    if torch.cuda.is_available():
        return nearest_by_torch(queries, bank, k, torch.device("cuda"))
    if importlib.util.find_spec("faiss") is None:  # there is none for macOS on Intel
        return nearest_by_torch(queries, bank, k, torch.device("cpu"))
    import faiss

    similarity, rows = faiss.knn(queries, bank, k, metric=faiss.METRIC_INNER_PRODUCT)
    return similarity, rows


def nearest_by_torch(
    queries: Float32[ndarray, "q d"], bank: Float32[ndarray, "n d"], k: int, device: torch.device
) -> tuple[Float32[ndarray, "q k"], Int64[ndarray, "q k"]]:
    """As `nearest`, on this device, so many queries at a time that their product with the bank stays small."""
    columns = torch.from_numpy(bank).to(device).T
    step = max(1, _PRODUCT_VALUES // len(bank))
    similarity = np.empty((len(queries), k), dtype=np.float32)
    rows = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        best = (torch.from_numpy(queries[block]).to(device) @ columns).topk(k)
        similarity[block], rows[block] = best.values.cpu().numpy(), best.indices.cpu().numpy()
    return similarity, rows


def unit(features: Float[ndarray, "n d"], center: Float[ndarray, " d"] | None = None) -> Float32[ndarray, "n d"]:
    """Features less `center`, at length 1; one that lies on the centre (default: the origin) stays 0."""
    result = np.empty(features.shape, dtype=np.float32)
    for start in range(0, len(features), _BLOCK_ROWS):
        moved = features[start : start + _BLOCK_ROWS].astype(np.float64)
        if center is not None:
            moved -= center
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        result[start : start + _BLOCK_ROWS] = moved / np.maximum(norms, 1e-12)
    return result
