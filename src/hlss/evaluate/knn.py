"""Weighted nearest neighbours by cosine (SPEC §6): exact, in float32."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64
from numpy import ndarray

from hlss.errors import UserError


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

    labels: class numbers 0..classes−1 of the bank. Raises UserError where k is larger than the bank.
    """
    if protocol.k > len(bank):
        raise UserError(
            f"k = {protocol.k} neighbours are more than the {len(bank)} patches of the bank",
            where=f"protocol {protocol.name}",
            fix="Choose a smaller k or another protocol.",
        )
    center = bank.mean(axis=0, dtype=np.float64) if protocol.centred else 0.0
    similarity, neighbours = _nearest(_unit(queries, center), _unit(bank, center), protocol.k)
    weights = np.exp((similarity.astype(np.float64) - 1) / protocol.temperature)
    scores = np.zeros((len(queries), classes))
    np.add.at(scores, (np.arange(len(queries))[:, None], labels[neighbours]), weights)
    return scores / scores.sum(axis=1, keepdims=True)


def _unit(features: Float[ndarray, "n d"], center: ndarray | float) -> Float32[ndarray, "n d"]:
    moved = features.astype(np.float64) - center
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.ascontiguousarray(moved / np.maximum(norms, 1e-12), dtype=np.float32)


def _nearest(
    queries: Float32[ndarray, "q d"], bank: Float32[ndarray, "n d"], k: int
) -> tuple[Float32[ndarray, "q k"], Int64[ndarray, "q k"]]:
    """Cosine and row of the k nearest: faiss on a CPU, torch where a GPU is at hand."""
    import torch

    if torch.cuda.is_available():
        on_gpu = torch.from_numpy(bank).cuda()
        parts = [
            (torch.from_numpy(q).cuda() @ on_gpu.T).topk(k) for q in np.array_split(queries, len(queries) // 4096 + 1)
        ]
        return tuple(np.concatenate([part[i].cpu().numpy() for part in parts]) for i in (0, 1))  # type: ignore[return-value]
    import faiss

    similarity, rows = faiss.knn(queries, bank, k, metric=faiss.METRIC_INNER_PRODUCT)
    return similarity, rows
