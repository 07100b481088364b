"""The two sides of a comparison: classes by their patients, or two patients by their slides or parts of slides."""

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from numpy import ndarray

from hlss.errors import UserError
from hlss.explain.comparison import FEWEST_A_SIDE, Sides
from hlss.explain.gauge import Gauge
from hlss.types import Level

PARTS = 25  # of a patient's slides, about, where there are fewer slides than SLIDES
SLIDES = 10

Halves = tuple[Bool[ndarray, " n"], Bool[ndarray, " n"]]  # rows of A and of B


def of_classes(gauge: Gauge, halves: Halves, level: Level) -> Sides:
    """Patches, slides or patients whose (labelled) patches are all of A, or all of B; blocks: of one patient and side.

    covariance: of all units of the level.
    """
    patient = gauge.slide_patient[gauge.slide]
    if level is Level.PATCH:
        return _of_patches(gauge, _side(halves), patient, patient)
    first, second = rows_on_sides(gauge, halves, level)
    kept, means = np.concatenate([first, second]), gauge.means(level)
    side = np.repeat([0, 1], [len(first), len(second)])
    owner = gauge.slide_patient[kept] if level is Level.SLIDE else kept
    blocks, block = np.unique(owner * 2 + side, return_inverse=True)
    sums = np.zeros((len(blocks), means.shape[1]))
    np.add.at(sums, block, means[kept])
    away = means - means.mean(axis=0)
    sizes = np.bincount(block, minlength=len(blocks))
    return Sides(sums, sizes, blocks % 2 == 1, blocks // 2, means.mean(axis=0), away.T @ away / len(means))


def rows_on_sides(gauge: Gauge, halves: Halves, level: Level) -> tuple[Int64[ndarray, " a"], Int64[ndarray, " b"]]:
    """Numbers of the units (of patches: rows) that are of A, and of B; one of several labels is on neither side."""
    side = _side(halves)
    if level is Level.PATCH:
        return np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    member = gauge.slide if level is Level.SLIDE else gauge.slide_patient[gauge.slide]
    units = len(gauge.patches(level))
    low, high = np.full(units, 2), np.full(units, -1)
    labelled = np.asarray(gauge.table["label"] != "") | (side >= 0)
    placed = np.where(side < 0, 2, side)[labelled]  # 2: of a third class
    np.minimum.at(low, member[labelled], placed)
    np.maximum.at(high, member[labelled], placed)
    return np.flatnonzero((low == 0) & (high == 0)), np.flatnonzero((low == 1) & (high == 1))


def _side(halves: Halves) -> Int64[ndarray, " n"]:
    """0: of A, 1: of B, −1: of neither."""
    return np.where(halves[0], 0, np.where(halves[1], 1, -1))


def of_patients(gauge: Gauge, halves: Halves) -> Sides:
    """Patches of two patients; blocks: a patient's slides where each has SLIDES, else squares of about PARTS equal
    areas, since patches that lie side by side look alike and are no independent draws.
    """
    block = np.full(len(gauge), -1, np.int64)
    for half in halves:
        block[half] = _parts(gauge, np.flatnonzero(half)) + block.max() + 1
    return _of_patches(gauge, _side(halves), block, block)


def too_few(sides: Sides, what: str) -> str | None:
    """What must be said where no interval can be given; what: patients, or parts."""
    if min(sides.blocks) >= FEWEST_A_SIDE and len(np.unique(sides.owners)) >= SLIDES:
        return None
    a, b = sides.blocks
    return f"no intervals: {a} and {b} {what}, {FEWEST_A_SIDE} on either side and {SLIDES} in all are needed"


def _of_patches(
    gauge: Gauge, side: Int64[ndarray, " n"], group: Int64[ndarray, " n"], owner: Int64[ndarray, " n"]
) -> Sides:
    kept = np.flatnonzero(side >= 0)
    blocks, first, block = np.unique(group[kept] * 2 + side[kept], return_index=True, return_inverse=True)
    member = np.full(len(gauge), -1, np.int64)
    member[kept] = block
    sums: Float64[ndarray, "b d"] = gauge.sums(member, len(blocks))
    sizes = np.bincount(block, minlength=len(blocks))
    return Sides(sums, sizes, blocks % 2 == 1, owner[kept][first], gauge.mean, gauge.covariance)


def _parts(gauge: Gauge, rows: Int64[ndarray, " r"]) -> Int64[ndarray, " r"]:
    """Part of each of a patient's patches: its slide, or a square of it."""
    table = gauge.table
    images = np.unique(_joined(gauge.slide[rows], table["image"][rows]), return_inverse=True)[1]
    if len(np.unique(gauge.slide[rows])) >= SLIDES:
        return np.unique(gauge.slide[rows], return_inverse=True)[1]
    places = np.stack([table["x_px0"][rows], table["y_px0"][rows]], axis=1).astype(np.float64)
    area = 0.0
    for image in range(images.max() + 1):
        here = places[images == image]
        area += float(np.prod(np.maximum(np.ptp(here, axis=0), 1)))
    side_px = max(np.sqrt(area / PARTS), 1.0)
    cells = np.floor(places / side_px).astype(np.int64)
    return np.unique(np.column_stack([images, cells]), axis=0, return_inverse=True)[1].reshape(-1)


def _joined(slides: Int64[ndarray, " r"], images: Shaped[ndarray, " r"]) -> Shaped[ndarray, " r"]:
    return np.array([f"{slide}\t{image}" for slide, image in zip(slides.tolist(), images.tolist(), strict=True)])


def rows_named(gauge: Gauge, names: tuple[str, str]) -> tuple[Halves, bool]:
    """Rows of two classes, or else of two patients; whether they are classes. Raises UserError where they are neither,
    both the same, or a class and a patient.
    """
    if names[0] == names[1]:
        raise UserError(f"{names[0]!r} is compared with itself", fix="Give two names: --compare A --compare B.")
    for column in ("label", "patient"):
        found = [np.asarray(gauge.table[column] == name) for name in names]
        if all(rows.any() for rows in found):
            return (found[0], found[1]), column == "label"
    known = {c: set(gauge.table[c].tolist()) - {""} for c in ("label", "patient")}
    if lacking := [name for name in names if not any(name in of for of in known.values())]:
        classes = ", ".join(sorted(known["label"]))
        what = f"neither a class nor a patient: {', '.join(lacking)}"
        raise UserError(what, fix=f"Classes here: {classes or 'none'}. Patients as in the cohort; see also --side.")
    raise UserError(f"{names[0]!r} and {names[1]!r} are a class and a patient", fix="Compare two of one kind.")
