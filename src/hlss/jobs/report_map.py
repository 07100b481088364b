"""A map of embeddings by t-SNE, and how they cluster, in numbers."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.clustering import clustering
from hlss.evaluate.knn import unit
from hlss.jobs.setup import evenly

MOST = 3000  # patches on a map
SEED, NEIGHBOURS, PERMUTATIONS = 0, 10, 200
_FEWEST, _PERPLEXITY, _ITERATIONS = 10, 30.0, 600
COLUMNS = {"class": "label", "site": "site", "patient": "patient", "slide": "slide"}
_UNITS = {"class": "patient", "site": "patient", "patient": "slide", "slide": None}


def mapped_rows(rows: Int64[ndarray, " r"]) -> Int64[ndarray, " m"]:
    """Of these rows those that are mapped: all, or MOST spread evenly; none where they are too few for a map."""
    return rows[evenly(len(rows), min(MOST, len(rows)))] if len(rows) >= _FEWEST else rows[:0]


def taken(table: EmbeddingTable, rows: Int64[ndarray, " m"]) -> EmbeddingTable:
    """The table's rows of these numbers, ascending."""
    keep = np.zeros(len(table), dtype=bool)
    keep[rows] = True
    return table.where(keep)


def placed(table: EmbeddingTable) -> Float64[ndarray, "m 2"]:
    """t-SNE of the features less their mean at length 1, each axis within 0..1 and both to one scale.

    By one thread: the same on every call.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    z = unit(table.features, table.features.mean(axis=0))
    perplexity = min(_PERPLEXITY, (len(z) - 1) / 3)
    with threadpool_limits(1):
        xy = TSNE(
            2, perplexity=perplexity, init="pca", random_state=SEED, max_iter=_ITERATIONS, n_jobs=1
        ).fit_transform(z)
    low, high = xy.min(axis=0), xy.max(axis=0)
    span = max(float((high - low).max()), 1e-12)
    result: Float64[ndarray, "m 2"] = 0.5 + (xy.astype(np.float64) - (low + high) / 2) / span
    return result.round(4)


def clusterings(table: EmbeddingTable) -> list[dict[str, Any]]:
    """By class, site, patient and slide, of those that tell something apart. Sites are dealt anew within classes."""
    found = []
    for kind, column in COLUMNS.items():
        unit_column = _UNITS[kind]
        units = np.arange(len(table)) if unit_column is None else table[unit_column]
        strata = table["label"] if kind == "site" else None
        settings = {"k": NEIGHBOURS, "permutations": PERMUTATIONS, "seed": SEED}
        one = clustering(table.features, table[column], units, strata, **settings)
        if one is not None:
            found.append({"by": kind, **one.to_json()})
    return found


def columns_of(table: EmbeddingTable) -> dict[str, list[str]]:
    """What marks are told apart by: the columns that hold more than one name."""
    return {
        kind: found for kind, column in COLUMNS.items() if len(set(found := table[column].astype(str).tolist())) > 1
    }


def coded(columns: dict[str, list[str]]) -> dict[str, Any]:
    """The same, each name once."""
    result = {}
    for kind, column in columns.items():
        names = sorted(set(column))
        place = {name: number for number, name in enumerate(names)}
        result[kind] = {"names": names, "of": [place[name] for name in column]}
    return result
