"""Health of features while they are learnt: collapse and shortcuts show here before they show in a score."""

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from hlss.evaluate.knn import Protocol, knn_probabilities


def knn_accuracy(
    bank: Float[ndarray, "n d"],
    bank_labels: Int64[ndarray, " n"],
    queries: Float[ndarray, "q d"],
    labels: Int64[ndarray, " q"],
    protocol: Protocol,
) -> float:
    """Share of queries whose class the weighted nearest neighbours find."""
    classes = int(max(bank_labels.max(), labels.max())) + 1
    found = knn_probabilities(bank, bank_labels, queries, classes, protocol).argmax(axis=1)
    return float((found == labels).mean())


def effective_rank(z: Float[ndarray, "n d"]) -> float:
    """exp of the entropy of the normalised singular values (RankMe, Garrido et al. 2023): 1 is full collapse."""
    values = np.linalg.svd(z.astype(np.float64), compute_uv=False)
    shares = values / max(values.sum(), 1e-12)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def alignment(z: Float[ndarray, "n d"], group: Int64[ndarray, " n"]) -> float:
    """Mean squared distance of unit features of one group (Wang and Isola 2020, α = 2): 0 is perfect alignment."""
    unit = _unit(z)
    _, member, counts = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), z.shape[1]))
    np.add.at(sums, member, unit)
    pairs = (counts * (counts - 1)).sum()
    if pairs == 0:
        return 0.0
    cosines = (sums**2).sum() - counts.sum()  # Σ over ordered pairs of different members of a group
    return float(2 - 2 * cosines / pairs)


def uniformity(z: Float[ndarray, "n d"]) -> float:
    """log mean exp(−2‖x − y‖²) over pairs of unit features (Wang and Isola 2020, t = 2): lower is more uniform."""
    unit = _unit(z)
    squared = np.clip(2 - 2 * unit @ unit.T, 0, None)
    off = ~np.eye(len(unit), dtype=bool)
    return float(np.log(np.exp(-2 * squared[off]).mean()))


def site_predictability(
    z: Float[ndarray, "n d"], sites: Int64[ndarray, " n"], patients: Int64[ndarray, " n"], k: int = 20
) -> dict[str, float]:
    """Accuracy of the site by nearest neighbours of *other* patients, beside the share of the commonest site.

    Patches without a site, and of sites that only one patient has, are left out; empty where too few are left.
    """
    shared = [site for site in np.unique(sites[sites >= 0]) if len(np.unique(patients[sites == site])) > 1]
    keep = np.isin(sites, shared)
    z, sites, patients = _unit(z[keep]), sites[keep], patients[keep]
    if len(shared) < 2:
        return {}
    similarity = z @ z.T
    similarity[patients[:, None] == patients[None, :]] = -np.inf
    nearest = np.argsort(-similarity, axis=1)[:, : min(k, len(z) - 1)]
    votes = np.stack([(sites[nearest] == site).sum(axis=1) for site in shared], axis=1)
    found = np.array(shared)[votes.argmax(axis=1)]
    majority = max(np.mean(sites == site) for site in shared)
    return {"val/site_knn": float((found == sites).mean()), "val/site_majority": float(majority)}


def _unit(z: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
    rows = z.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
