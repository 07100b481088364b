"""The truth of drawn tissue: what of each factor can be seen at places, and over a tile."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from hlss.cohorts.phantom.factors import FACTOR_LEVEL, FACTORS, SlideTruth
from hlss.cohorts.phantom.noise import Grid, Places, step
from hlss.cohorts.phantom.scene import GLAND, RING_CELL_UM, ROSETTE, STRUCTURAL, local, rings_about, scene
from hlss.types import Level

if TYPE_CHECKING:
    from hlss.cohorts.base import Cohort

# Share of a tile's area from which a structure counts as fully there
FULL_SHARE = {
    "stroma": 0.6,
    "necrosis": 0.5,
    "haemorrhage": 0.2,
    "vessels": 0.12,
    "glands": 0.12,
    "rosettes": 0.06,
}
_POINTS = 10  # along a tile's side
_TOO_FEW = 0.2  # share of living cells below which nothing is said of them


def visible(truth: SlideTruth, places: Places) -> dict[str, ndarray]:
    """Each factor at places, 0..1: cells where there are living ones (0 elsewhere), structures where they lie.

    Heterogeneity and invasion are of the whole slide, the same everywhere.
    """
    values = local(truth, places, FACTORS)
    at = scene(truth, places, values)
    cells = at.solid
    shown = {name: value * cells for name, value in values.items() if FACTOR_LEVEL[name] is Level.PATCH}
    parts = _ring_kinds(truth, places, at.hollow + at.core + at.ring)
    structures = {
        "stroma": at.stroma,
        "lymphocytes": values["lymphocytes"] * (1 - at.dead),
        "necrosis": at.dead,
        "vessels": at.lumen + at.wall,
        "haemorrhage": at.lake,
        "glands": parts[0],
        "rosettes": parts[1],
        "nesting": step(values["nesting"], 0.45, 0.3),
        "heterogeneity": np.full_like(cells, truth["heterogeneity"]),
        "invasion": np.full_like(cells, truth["invasion"]),
    }
    return {name: {**shown, **structures}[name] for name in FACTORS}


def _ring_kinds(truth: SlideTruth, places: Places, cover: ndarray) -> tuple[ndarray, ndarray]:
    x, y = places.x_um, places.y_um
    table = rings_about(truth, (float(x.min()), float(y.min())), (float(x.max()), float(y.max())))
    if table is None:
        return np.zeros_like(cover), np.zeros_like(cover)
    column, row = (np.floor(values / RING_CELL_UM).astype(np.int64) for values in (x, y))
    kind = table.kind[row - table.first[1], column - table.first[0]]
    return cover * (kind == GLAND), cover * (kind == ROSETTE)


def tile_truth(truth: SlideTruth, xy_um: tuple[float, float], side_um: float) -> dict[str, float]:
    """Each factor over a tile, 0..1: the mean over its living cells (NaN where there are hardly any), or the share of
    a structure against FULL_SHARE.
    """
    centers = (np.arange(_POINTS) + 0.5) * side_um / _POINTS
    places = Grid(xy_um[0] + centers, xy_um[1] + centers)
    alive = float(scene(truth, places, local(truth, places, STRUCTURAL)).solid.mean())
    found = {name: float(value.mean()) for name, value in visible(truth, places).items()}
    for name, value in found.items():
        if FACTOR_LEVEL[name] is Level.PATCH:
            found[name] = min(value / alive, 1.0) if alive > _TOO_FEW else float("nan")
        elif name in FULL_SHARE:
            found[name] = min(value / FULL_SHARE[name], 1.0)
    return found


def tile_truths(cohort: "Cohort", rows: Sequence[int] | Int64[ndarray, " n"]) -> Float64[ndarray, "n f"]:
    """Truth of these tiles of a phantom cohort, columns as FACTORS; NaN as in `tile_truth`."""
    from hlss.cohorts.phantom.spec import MPP0, drawn_slides

    source = drawn_slides(cohort)
    found = np.empty((len(rows), len(FACTORS)))
    images = cohort.image_number[cohort.tile_image(np.asarray(rows))].tolist()
    for place, (image, (x, y)) in enumerate(zip(images, cohort.tile_xy_px0(np.asarray(rows)).tolist(), strict=True)):
        found[place] = list(source.tile_truth(image, (x, y), cohort.tile_px, cohort.mpp or MPP0).values())
    return found
