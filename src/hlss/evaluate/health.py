"""Health of features while they are learnt: collapse and shortcuts show here before they show in a score."""

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from hlss.errors import UserError
from hlss.evaluate.knn import SMALL, Protocol, knn_probabilities, nearest, unit


def knn_accuracy(
    bank: Float[ndarray, "n d"],
    bank_labels: Int64[ndarray, " n"],
    queries: Float[ndarray, "q d"],
    labels: Int64[ndarray, " q"],
    protocol: Protocol,
) -> float:
    """Share of queries whose class the weighted nearest neighbours find; all are labelled.

    Raises UserError where there is no query, or k is larger than the bank.
    """
    if len(queries) == 0:
        raise UserError("no labelled patch to validate with", where="label", fix="Label patients of the val side.")
    classes = int(max(bank_labels.max(initial=0), labels.max())) + 1
    found = knn_probabilities(bank, bank_labels, queries, classes, protocol).argmax(axis=1)
    return float((found == labels).mean())


def effective_rank(z: Float[ndarray, "n d"]) -> float:
    """exp of the entropy of the normalised singular values (RankMe, Garrido et al. 2023): 1 is full collapse."""
    rows = z.astype(np.float64)
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows  # its eigenvalues: the values squared
    values = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    shares = values / max(values.sum(), 1e-12)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def alignment(z: Float[ndarray, "n d"], group: Int64[ndarray, " n"]) -> float:
    """Mean squared distance over pairs of unit features of one group (Wang and Isola 2020, α = 2): 0 is perfect.

    NaN where no group has two members.
    """
    rows = _unit(z)
    _, member, counts = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), z.shape[1]))
    np.add.at(sums, member, rows)
    pairs = int((counts * (counts - 1)).sum())
    if pairs == 0:
        return float("nan")
    cosines = (sums**2).sum() - (rows**2).sum()  # Σ over ordered pairs of different members of a group
    return float(2 - 2 * cosines / pairs)


def uniformity(z: Float[ndarray, "n d"]) -> float:
    """log mean exp(−2‖x − y‖²) over pairs of unit features (Wang and Isola 2020, t = 2): lower is more uniform.

    NaN for fewer than two features.
    """
    rows = _unit(z)
    n = len(rows)
    if n < 2:
        return float("nan")
    squared = np.clip(2 - 2 * rows @ rows.T, 0, None)
    total = np.exp(-2 * squared).sum() - np.exp(-2 * np.diagonal(squared)).sum()
    return float(np.log(total / (n * (n - 1))))


def site_predictability(
    z: Float[ndarray, "n d"], sites: Int64[ndarray, " n"], patients: Int64[ndarray, " n"], k: int = 20
) -> dict[str, float]:
    """Accuracy of the site by the k nearest patches of *other* patients, weighted as in kNN evaluation, beside its
    null: the share of the commonest site.

    Patches without a site (−1), and of sites that only one patient has, are left out; empty where under two sites stay.
    """
    shared = [site for site in np.unique(sites[sites >= 0]) if len(np.unique(patients[sites == site])) > 1]
    if len(shared) < 2:
        return {}
    keep = np.isin(sites, shared)
    rows, sites, patients = unit(z[keep]), sites[keep], patients[keep]
    own = int(np.unique(patients, return_counts=True)[1].max())  # so many neighbours at most do not count
    similarity, found_rows = nearest(rows, rows, min(len(rows), k + own))
    other = patients[found_rows] != patients[:, None]
    first = np.argsort(~other, axis=1, kind="stable")[:, :k]
    similarity, voters, counts = (np.take_along_axis(part, first, axis=1) for part in (similarity, found_rows, other))
    weights = np.exp((similarity.astype(np.float64) - 1) / SMALL.temperature) * counts
    votes = np.stack([(weights * (sites[voters] == site)).sum(axis=1) for site in shared], axis=1)
    found = np.array(shared)[votes.argmax(axis=1)]
    majority = max(np.mean(sites == site) for site in shared)
    return {"val/site_knn": float((found == sites).mean()), "val/site_majority": float(majority)}


def _unit(z: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
    rows = z.astype(np.float64)
    lengths: Float[ndarray, "n 1"] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)
