"""Counts and example tiles of an embedded cohort."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.jobs.report_pixels import Tiles
from hlss.report.contents import Example

EXAMPLES = 8  # of each class
_SIDES = ("train", "val", "test")


def counts(table: EmbeddingTable) -> dict[str, Any]:
    """Patients, slides and tiles: in total, by side, and by class and side; patients by site, and by class and site."""
    sides = [side for side in _SIDES if np.any(table["side"] == side)]
    sides += sorted({str(side) for side in table["side"]} - {*_SIDES})
    sites = sorted({str(site) for site in table["site"]})
    return {
        "total": _count(table, np.ones(len(table), bool)),
        "sides": {side: _count(table, _is(table, "side", side)) for side in sides},
        "sites": {site: _patients(table, _is(table, "site", site)) for site in sites},
        "classes": [_of_class(table, name, sides, sites) for name in class_names(table)],
    }


def class_names(table: EmbeddingTable) -> list[str]:
    """Sorted; "" last, where patches have no label."""
    return sorted({str(label) for label in table["label"]}, key=lambda name: (name == "", name))


def examples(table: EmbeddingTable, tiles: Tiles) -> tuple[Example, ...]:
    """Of each class, tiles of as many patients as there are, evenly over the table."""
    found = []
    for name in class_names(table):
        strip = tiles.strip(example_rows(table, np.flatnonzero(_is(table, "label", name))))
        if strip is not None:
            found.append(Example(name, *strip))
    return tuple(found)


def example_rows(table: EmbeddingTable, rows: ndarray) -> list[int]:
    """EXAMPLES of these rows at most, each of another patient as long as there are any."""
    by_patient: dict[str, list[int]] = {}
    for row in rows.tolist():
        by_patient.setdefault(str(table["patient"][row]), []).append(row)
    patients = list(by_patient.values())
    chosen = [patients[int(at)] for at in np.linspace(0, len(patients) - 1, min(EXAMPLES, len(patients))).round()]
    picked = [mine[(7 * number + len(mine) // 2) % len(mine)] for number, mine in enumerate(chosen)]
    spare = [row for row in rows.tolist() if row not in set(picked)]
    return [*picked, *spare[: EXAMPLES - len(picked)]]


def _of_class(table: EmbeddingTable, name: str, sides: Sequence[str], sites: Sequence[str]) -> dict[str, Any]:
    mine = _is(table, "label", name)
    return {
        "name": name,
        "sides": {side: _count(table, mine & _is(table, "side", side)) for side in sides},
        "sites": {site: _patients(table, mine & _is(table, "site", site)) for site in sites},
    }


def _count(table: EmbeddingTable, keep: Bool[ndarray, " n"]) -> dict[str, int]:
    return {
        "patients": _patients(table, keep),
        "slides": len(set(table["slide"][keep].tolist())),
        "tiles": int(keep.sum()),
    }


def _patients(table: EmbeddingTable, keep: Bool[ndarray, " n"]) -> int:
    return len(set(table["patient"][keep].tolist()))


def _is(table: EmbeddingTable, column: str, value: str) -> Bool[ndarray, " n"]:
    return np.asarray(table[column] == value, dtype=bool)
