"""A patch, a slide and a patient of each class in words, for a report: chosen by rule, with their evidence."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.jobs.explain_asked import UnitsSpec
from hlss.jobs.explain_found import cut
from hlss.jobs.explain_units_source import Explainer
from hlss.jobs.report_cohort import class_names
from hlss.jobs.report_pixels import Tiles
from hlss.jobs.report_words import DRAWS, Worded
from hlss.jobs.setup import Say
from hlss.report.contents import UnitShown
from hlss.report.facts import Facts
from hlss.types import LEVELS

CLASSES = 8  # shown at most
SHOWN = 3  # characteristics of a unit
EVIDENCE, EVIDENCE_PX = 4, 96
WRITTEN = (
    "These are units of {file}, which `hlss explain --units` wrote: of each class, and of each kind, the one with the "
    "most patches, the first where several have as many."
)
MADE = (
    "Of each class the patient with the most patches (the first by name where several have as many), of this patient "
    "the slide with the most, and of these the patch that stands out most: chosen by that rule and not by how well "
    "they are explained. `hlss explain --units` explains all of them."
)


def made_units(worded: Worded, say: Say) -> dict[str, Any]:
    """As an entry of units.json, of the units that the report shows. Evidence has places and no files."""
    table, size = worded.source.table, {"resamples": DRAWS, "permutations": DRAWS}
    side = "test" if np.all(table["side"] == "test") else "all"
    spec = UnitsSpec(side=side, top=SHOWN, tiles=EVIDENCE, patches=1, **size)
    only = [name for one in class_names(table)[:CLASSES] for name in largest(table, one)]
    with TemporaryDirectory() as folder:
        explainer = Explainer(worded.source, worded.bank, spec, worded.words, say)
        found: dict[str, Any] = cut(
            explainer.table([str(level) for level in LEVELS], list(dict.fromkeys(only)), Path(folder))
        )
    for unit in found["units"]:
        for match in unit["matches"]:
            for tile in match["evidence"]:
                del tile["file"]
    return {name: found[name] for name in ("aligned", "notices", "units")}


def largest(table: EmbeddingTable, label: str) -> tuple[str, str]:
    """Of a class: the slide with the most patches of the patient with the most, and that patient."""
    of_class = np.asarray(table["label"] == label)
    patient = _most(table["patient"][of_class])
    return _most(table["slide"][of_class & np.asarray(table["patient"] == patient)]), patient


def units_by_class(found: Facts, table: EmbeddingTable, tiles: Tiles) -> list[UnitShown]:
    """Of an entry of units.json, those that are shown: one of a class and level, with its evidence."""
    best: dict[tuple[str, str], Facts] = {}
    for unit in found["units"]:
        rows = _rows(table, unit)
        if not len(rows):
            continue
        key = (str(table["label"][rows[0]]), str(unit["level"].value))
        if key not in best or unit["patches"].value > best[key]["patches"].value:
            best[key] = unit
    names = [name for name in class_names(table) if any((name, level) in best for level in LEVELS)][:CLASSES]
    chosen = [(name, best[name, level]) for name in names for level in LEVELS if (name, level) in best]
    return [UnitShown(name, unit, _evidence(unit, table, tiles)) for name, unit in chosen]


def _evidence(unit: Facts, table: EmbeddingTable, tiles: Tiles) -> Sequence[Sequence[tuple[bytes, str]]]:
    found = []
    for match in list(unit["matches"])[:SHOWN]:
        pictures = []
        for tile in match.value["evidence"][:EVIDENCE]:
            rows = _at(table, tile["slide"], tile["x_px0"], tile["y_px0"])
            data = tiles.jpeg(int(rows[0]), EVIDENCE_PX) if len(rows) else None
            if data is not None:
                place = f"{tile['slide']}, x {tile['x_px0']}, y {tile['y_px0']} px"
                pictures.append((data, f"Patch that matches “{match.value['characteristic']}”: {place}"))
        found.append(pictures)
    return found


def _rows(table: EmbeddingTable, unit: Facts) -> ndarray:
    """Of a unit as units.json names it."""
    name, level = str(unit["name"].value), str(unit["level"].value)
    if level == "patch":
        slide, x, y = name.rsplit(":", 2)
        return _at(table, slide, int(x), int(y))
    return np.flatnonzero(table[level] == name)


def _at(table: EmbeddingTable, slide: str, x_px0: int, y_px0: int) -> ndarray:
    return np.flatnonzero((table["x_px0"] == x_px0) & (table["y_px0"] == y_px0) & (table["slide"] == slide))


def _most(names: ndarray) -> str:
    found, counts = np.unique(names.astype(str), return_counts=True)
    return str(found[counts.argmax()])
