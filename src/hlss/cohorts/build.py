"""From a list of images to the tables of a cohort: the one way every source takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.cohorts.base import Cohort, Source, TileSource
from hlss.errors import UserError
from hlss.slides.grid import Grid, grid
from hlss.slides.tiles import GriddedTiles, Tiles


@dataclass(frozen=True)
class ImageRow:
    """What is known of one image. `mpp`: µm/px of its stored pixels; None where nothing says it."""

    patient: str
    slide: str
    width_px0: int
    height_px0: int
    label: str | None = None
    site: str | None = None
    split: str | None = None
    mpp: float | None = None


def cohort_from_images(
    name: str,
    source: TileSource,
    images: Sequence[ImageRow],
    tile_px: int,
    mpp: float | None = None,
    *,
    overlap_px: int = 0,
    where: object = None,
    notices: tuple[str, ...] = (),
    problems: tuple[tuple[str, str], ...] = (),
) -> Cohort:
    """Cut every image into a grid and number patients, slides, images and tiles, in order of patient and slide id.

    images: image i here is image i of `source`. where: what to name in an error (default: `name`).
    Raises UserError where there is no image, an image has no mpp though `mpp` is asked for, every image is smaller
    than a tile, or a patient stands in two splits. Images smaller than a tile are left out with a notice.
    """
    where = where or name
    if not images:
        raise UserError("there is no image in this cohort", where=where, fix="Add images, or widen the filter.")
    order = sorted(range(len(images)), key=lambda i: (images[i].patient, images[i].slide))
    grids = [_grid(images[i], tile_px, mpp, overlap_px, where) for i in order]
    kept = [k for k, cells in enumerate(grids) if cells.n]
    if not kept:
        raise UserError(_too_large(images, tile_px, mpp), where=where, fix="Choose a smaller tile_px or a finer mpp.")
    if len(kept) < len(grids):
        notices += (f"{len(grids) - len(kept)} of {len(grids)} images are smaller than a tile and left out",)
    rows, numbers = [images[order[k]] for k in kept], [order[k] for k in kept]
    tiles = GriddedTiles.of([grids[k] for k in kept])
    return cohort_of_tiles(name, source, rows, numbers, tiles, tile_px, mpp, where, notices, problems)


def cohort_of_tiles(
    name: str,
    source: Source,
    rows: Sequence[ImageRow],
    numbers: Sequence[int],
    tiles: Tiles,
    tile_px: int,
    mpp: float | None,
    where: object,
    notices: tuple[str, ...] = (),
    problems: tuple[tuple[str, str], ...] = (),
    stored: Int64[ndarray, " n_tiles"] | None = None,
) -> Cohort:
    """Number patients, slides, images and tiles whose places are known; images come in order of patient and slide id.

    numbers: of each image in `source`; tiles: of these images; stored: row of each tile in a FeatureSource. Raises
    UserError where a patient stands in two splits.
    """
    patients, image_patient = _numbered([row.patient for row in rows])
    slides, image_slide = _numbered_slides(rows)
    classes, image_label = _numbered([row.label for row in rows])
    sites, image_site = _numbered([row.site for row in rows])
    splits, image_split = _numbered([row.split for row in rows])
    slide_patient = np.zeros(len(slides), dtype=np.int64)
    slide_patient[image_slide] = image_patient
    return Cohort(
        name=name,
        source=source,
        tile_px=tile_px,
        mpp=mpp,
        patients=patients,
        slides=slides,
        classes=classes,
        sites=sites,
        splits=splits,
        slide_patient=slide_patient,
        patient_split=_one_split_each(patients, splits, image_patient, image_split, where),
        image_slide=image_slide,
        image_label=image_label,
        image_site=image_site,
        image_number=np.array(numbers, dtype=np.int64),
        tiles=tiles,
        tile_stored=stored,
        notices=notices,
        problems=problems,
    )


def scale_of(image_mpp: float | None, mpp: float | None) -> float:
    """Level-0 px under one pixel of a tile; 1 where tiles are taken as stored (`mpp` None)."""
    if mpp is None:
        return 1.0
    if image_mpp is None:
        raise ValueError("an image without mpp has no place at a target mpp")
    return mpp / image_mpp


def _grid(row: ImageRow, tile_px: int, mpp: float | None, overlap_px: int, where: object) -> Grid:
    if mpp is not None and row.mpp is None:
        raise UserError(
            f"an image of slide {row.slide!r} has no mpp, so tiles at {mpp:g} µm/px cannot be cut", where=where
        )
    return grid(row.width_px0, row.height_px0, tile_px, scale_of(row.mpp, mpp), overlap_px)


def _too_large(images: Sequence[ImageRow], tile_px: int, mpp: float | None) -> str:
    widest = max(images, key=lambda row: min(row.width_px0, row.height_px0))
    covers = "" if mpp is None else f" at {mpp:g} µm/px"
    return (
        f"a tile of {tile_px} px{covers} is larger than every image (largest: {widest.width_px0}×{widest.height_px0})"
    )


def _numbered(values: Sequence[str | None]) -> tuple[tuple[str, ...], Int64[ndarray, " n"]]:
    """Sorted names, and the number of each value (−1: None)."""
    names = tuple(sorted({value for value in values if value is not None}))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([-1 if value is None else number[value] for value in values], dtype=np.int64)


def _numbered_slides(rows: Sequence[ImageRow]) -> tuple[tuple[str, ...], Int64[ndarray, " n"]]:
    """Slides are told apart by patient and id; called by id alone where that is unique."""
    pairs = sorted({(row.patient, row.slide) for row in rows})
    number = {pair: i for i, pair in enumerate(pairs)}
    clash = len({slide for _, slide in pairs}) < len(pairs)
    names = tuple(f"{patient}/{slide}" if clash else slide for patient, slide in pairs)
    return names, np.array([number[row.patient, row.slide] for row in rows], dtype=np.int64)


def _one_split_each(
    patients: Sequence[str], splits: Sequence[str], image_patient: ndarray, image_split: ndarray, where: object
) -> Int64[ndarray, " n_patients"]:
    split = np.full(len(patients), -1, dtype=np.int64)
    for patient, number in zip(image_patient.tolist(), image_split.tolist(), strict=True):
        if split[patient] >= 0 and number >= 0 and split[patient] != number:
            names = sorted((splits[split[patient]], splits[number]))
            raise UserError(
                f"patient {patients[patient]!r} stands in two splits ({names[0]}, {names[1]})",
                where=where,
                fix="Give all images of a patient one split.",
            )
        split[patient] = max(split[patient], number)
    return split
