"""Every class against all others, in all banks, as `hlss explain --units class` says it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy import ndarray

from hlss.explain.comparison import Comparison, comparison
from hlss.explain.evidence import best_rows
from hlss.explain.gauge import Gauge
from hlss.explain.sides import of_classes, too_few
from hlss.explain.units import Wordings
from hlss.jobs.explain_asked import UnitsSpec
from hlss.jobs.explain_evidence import EvidenceTiles
from hlss.jobs.explain_truth import UNJUDGED, DrawnTruth, Judged
from hlss.jobs.explain_units_found import Json, class_json
from hlss.jobs.setup import Say
from hlss.language.encode import Texts
from hlss.types import LEVELS, Level


def classes_found(
    gauge: Gauge,
    words: Mapping[Level, Wordings],
    texts: Texts,
    only: Sequence[str],
    spec: UnitsSpec,
    truth: DrawnTruth | None,
    evidence: EvidenceTiles,
    say: Say,
) -> tuple[list[Json], list[str]]:
    """The classes that are named (all, where none is), and what must be said of them."""
    labels, notices, found = gauge.table["label"], [], []
    every = sorted({*labels.tolist()} - {""})
    if len(every) < 2:
        return [], ["no class is explained: " + ("no patch has a label" if not every else f"all are {every[0]}")]
    for name in [one for one in every if one in only or not set(only) & set(every)]:
        say(f"  class {name}")
        halves = (np.asarray(labels == name), np.asarray((labels != name) & (labels != "")))
        levels: dict[Level, Comparison | None] = {}
        for level in LEVELS:
            sides = of_classes(gauge, halves, level)
            settings = {"resamples": spec.resamples, "permutations": spec.permutations, "seed": spec.seed}
            levels[level] = comparison(sides, words[level], **settings)
            if levels[level] is None:
                notices.append(
                    f"class {name}: no {level} has one label on either side, so the {level} bank is left out"
                )
            elif few := too_few(sides, "patients"):
                notices.append(f"class {name}: {few}")
        rows = np.flatnonzero(halves[0])
        owners = gauge.slide_patient[gauge.slide[rows]]

        def tiles(level: Level, k: int, rows: ndarray = rows, owners: ndarray = owners) -> list[Json]:
            return evidence.tiles(best_rows(gauge, rows, owners, words[level].rows[k], spec.tiles))

        def judge(level: Level, characteristic: str, name: str = name) -> Judged:
            return UNJUDGED if truth is None else truth.of_class(name, level, characteristic)

        found.append(class_json(name, levels, texts, judge, spec.top, tiles))
    return found, notices
