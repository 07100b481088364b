"""Patches that were given a wrong class with the highest score, and the neighbours that decided it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.fold import Patches, Task, by_side, classes_of
from hlss.evaluate.knn import Protocol, knn_probabilities, nearest, unit
from hlss.evaluate.settings import PROTOCOLS

ERRORS, NEIGHBOURS = 8, 5


def confident_errors(table: EmbeddingTable, results: list[Mapping[str, Any]]) -> tuple[dict[str, Any], list[list[int]]]:
    """What is shown of them, and of each the rows of the table: its own, then its neighbours'.

    results: of this table in an evaluation; the first protocol of neighbours is taken, or `small` with what k there is.
    Raises UserError as the evaluation does.
    """
    fold = by_side(table, "test")
    classes = classes_of([table])
    task = fold.opened(classes)
    protocol = _protocol(results, fold.bank_size)
    found = knn_probabilities(task.bank.features, task.bank.labels, task.queries.features, len(classes), protocol)
    predicted = found.argmax(axis=1)
    wrong = np.flatnonzero(predicted != task.queries.labels)
    chosen = _one_a_patient(wrong[np.argsort(-found[wrong, predicted[wrong]], kind="stable")], task.queries)
    bank_rows, query_rows = np.flatnonzero(fold.in_bank), np.flatnonzero(fold.asked)
    similarity, near = _near(task, chosen, protocol)
    errors = [
        {
            "truth": classes[task.queries.labels[row]],
            "predicted": classes[predicted[row]],
            "score": float(found[row, predicted[row]]),
            "own_score": float(found[row, task.queries.labels[row]]),
            "place": _place(table, int(query_rows[row])),
            "neighbours": [
                {
                    "class": classes[task.bank.labels[other]],
                    "similarity": float(value),
                    "place": _place(table, int(bank_rows[other])),
                }
                for other, value in zip(near[number], similarity[number], strict=True)
            ],
        }
        for number, row in enumerate(chosen.tolist())
    ]
    facts = {"protocol": protocol.name, "k": protocol.k, "wrong": len(wrong), "asked": len(found), "errors": errors}
    return facts, [
        [int(query_rows[row]), *bank_rows[near[number]].tolist()] for number, row in enumerate(chosen.tolist())
    ]


def _protocol(results: list[Mapping[str, Any]], bank: int) -> Protocol:
    for one in results:
        if one["way"] == "kNN" and one["k"] is not None and one["k"] <= bank:
            known = PROTOCOLS.get(one["protocol"], PROTOCOLS["paper"])
            return replace(known, name=one["protocol"], k=one["k"])
    small = PROTOCOLS["small"]
    return replace(small, k=min(small.k, bank))


def _one_a_patient(rows: Int64[ndarray, " w"], queries: Patches) -> Int64[ndarray, " e"]:
    """The first ERRORS, each of another patient."""
    patients = queries.ids("patient")[rows]
    first = np.sort(np.unique(patients, return_index=True)[1])
    return rows[first[:ERRORS]]


def _near(task: Task, rows: Int64[ndarray, " e"], protocol: Protocol) -> tuple[ndarray, ndarray]:
    """Cosines and numbers in the bank of the nearest of each, as the protocol sees them."""
    centre = task.bank.features.mean(axis=0, dtype=np.float64) if protocol.centred else None
    most = min(NEIGHBOURS, protocol.k)
    return nearest(unit(task.queries.features[rows], centre), unit(task.bank.features, centre), most)


def _place(table: EmbeddingTable, row: int) -> str:
    return f"{table['slide'][row]}, x {table['x_px0'][row]}, y {table['y_px0'][row]} px"
