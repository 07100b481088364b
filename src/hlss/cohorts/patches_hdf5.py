"""A cohort from tiles that CLAM or TRIDENT cut: one HDF5 a slide, the slides beside them or their pixels inside."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int32
from numpy import ndarray
from pydantic import Field, model_validator

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import cohort_of_tiles
from hlss.cohorts.columns import Table, read_table
from hlss.cohorts.hdf5_file import opened
from hlss.cohorts.paths import files_below
from hlss.cohorts.rows import identity, rows_of_slides
from hlss.cohorts.stored_patches import PatchFile, StoredPatches
from hlss.errors import UserError
from hlss.registry import COHORTS
from hlss.slides.opening import open_slide
from hlss.slides.tiles import ListedTiles

ENDINGS = (".h5", "_patches.h5")  # CLAM's, TRIDENT's
FOLDERS = ("", "patches")
_CUT = "Cut this slide again, or take its row out."


@COHORTS.register("patches_hdf5")
class PatchesHdf5Spec(CohortSpec):
    """One `<slide_id>.h5` (or `<slide_id>_patches.h5`) a slide with `coords` (n × 2, level-0 px).

    manifest: CSV or Parquet with slide_id and patient_id (or CLAM's case_id), and label, site, split where known.
    folder:   of the HDF5 files; they may lie in `patches` below it.
    slides:   folder of the slides, found by name whatever their ending; None: pixels are `imgs` in the HDF5.
    tile_px:  every tile is resized to it; what a tile covers is as it was cut.
    where, columns: as for a manifest of images.
    srgb:     as of the cohort `slides`; needs the slides.
    """

    name: Literal["patches_hdf5"] = "patches_hdf5"
    manifest: Path
    folder: Path
    slides: Path | None = None
    where: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    srgb: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "PatchesHdf5Spec":
        if self.mpp is not None:
            raise ValueError("mpp: tiles have the resolution they were cut at; leave it out")
        if self.srgb and self.slides is None:
            raise ValueError("srgb: pixels stored in HDF5 have no colour profile; set slides=, or leave it out")
        return self

    def open(self) -> Cohort:
        """Raises UserError, naming the file, for one that is missing or broken, that does not say what a tile covers,
        or whose tiles lie outside their slide or in one place twice.
        """
        table = read_table(self.manifest, self.columns)
        rows = sorted(rows_of_slides(table, self.where), key=lambda r: (table.get("patient_id", r), _slide(table, r)))
        files = self._files(table, rows)
        slides = self._slides(table, rows)
        found = [_looked_at(path, slide) for path, slide in zip(files, slides, strict=True)]
        kept = [place for place, one in enumerate(found) if len(one.corners)]
        if not kept:
            raise UserError("no slide has a tile", where=self.folder, fix="Cut them with other settings.")
        return cohort_of_tiles(
            self.manifest.stem,
            StoredPatches([found[place].file for place in kept], self.srgb),
            [identity(table, rows[place]) for place in kept],
            range(len(kept)),
            ListedTiles.of([found[place].corners for place in kept]),
            self.tile_px,
            None,
            self.manifest,
            notices=_notices(found),
        )

    def _files(self, table: Table, rows: Sequence[int]) -> list[Path]:
        places = [
            [self.folder / folder / f"{_slide(table, row)}{ending}" for folder in FOLDERS for ending in ENDINGS]
            for row in rows
        ]
        found = [next((path for path in wanted if path.is_file()), None) for wanted in places]
        missing = [_slide(table, row) for row, path in zip(rows, found, strict=True) if path is None]
        if missing:
            what = f"{len(missing)} of {len(rows)} slides have no HDF5 here, nor in `patches`, the first {missing[0]!r}"
            raise UserError(what, where=self.folder, fix="Correct cohort.folder, or take their rows out.")
        return [path for path in found if path is not None]

    def _slides(self, table: Table, rows: Sequence[int]) -> list[Path | None]:
        if self.slides is None:
            return [None] * len(rows)
        by_name = _by_name(files_below(self.slides), self.slides)
        missing = [_slide(table, row) for row in rows if _slide(table, row) not in by_name]
        if missing:
            what = f"{len(missing)} of {len(rows)} slides are not here, the first {missing[0]!r}"
            raise UserError(what, where=self.slides, fix="Correct cohort.slides, or take their rows out.")
        return [self._only(by_name[_slide(table, row)]) for row in rows]

    def _only(self, paths: Sequence[str]) -> Path:
        assert self.slides is not None
        if len(paths) > 1:
            what = f"{paths[0]} and {paths[1]} are called alike, and one slide is meant"
            raise UserError(what, where=self.slides, fix="Keep one of them there.")
        return self.slides / paths[0]


@dataclass(frozen=True)
class _Found:
    """A file, the corners of its tiles that lie whole in their slide, how many do not, at what magnification."""

    file: PatchFile
    corners: Int32[ndarray, "n 2"]
    overhanging: int
    magnification: float | None


def _looked_at(path: Path, slide: Path | None) -> _Found:
    with opened(path) as file:
        coords, facts = file["coords"], dict(file["coords"].attrs)
        corners = _corners(coords[()], path)
        if slide is None and len(corners):
            _refuse_images(file["imgs"], len(corners), path)
    extent_px0, size_px0 = _extent_px0(facts, path), _size_px0(facts)
    if slide is not None and extent_px0 is None:
        what = "its `coords` do not say what a tile covers (patch_size, patch_level, downsample)"
        raise UserError(what, where=path, fix=_CUT)
    if slide is not None and size_px0 is None:
        size_px0 = _measured(slide)
    inside = np.ones(len(corners), dtype=bool)
    if size_px0 is not None and len(corners):
        if (corners < 0).any() or (corners >= size_px0).any():
            at = corners[((corners < 0) | (corners >= np.array(size_px0))).any(axis=1)][0].tolist()
            what = f"a tile at {at[0]},{at[1]} lies outside its slide of {size_px0[0]}×{size_px0[1]} px"
            raise UserError(what, where=path, fix=_CUT)
        if slide is not None and extent_px0 is not None:
            inside = np.logical_and.reduce(corners + extent_px0 <= np.array(size_px0) + 1, axis=1)
    hashed = hashlib.sha256(np.ascontiguousarray(corners).tobytes()).hexdigest()
    at = facts.get("target_magnification")
    return _Found(
        PatchFile(path, slide, extent_px0, hashed),
        corners[inside],
        int((~inside).sum()),
        None if at is None else float(at),
    )


def _corners(stored: ndarray, path: Path) -> Int32[ndarray, "n 2"]:
    if stored.ndim != 2 or stored.shape[1] != 2 or stored.dtype.kind not in "iu":
        what = f"`coords` are {stored.shape} of {stored.dtype}, not n × 2 whole numbers"
        raise UserError(what, where=path, fix=_CUT)
    if len(stored) and max(int(stored.max()), -int(stored.min())) >= 2**31:
        raise UserError("`coords` are beyond any slide", where=path, fix=_CUT)
    if len(np.unique(stored, axis=0)) < len(stored):
        raise UserError("two of its tiles lie in the same place", where=path, fix=_CUT)
    return stored.astype(np.int32)


def _refuse_images(images: Any, count: int, path: Path) -> None:
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[0] != count or shape[1] != shape[2] or shape[3] != 3 or images.dtype != np.uint8:
        what = f"`imgs` are {shape} of {images.dtype}, not {count} square RGB images of 8 bits"
        raise UserError(what, where=path, fix=_CUT)


def _extent_px0(facts: Mapping[str, Any], path: Path) -> int | None:
    """Side of a tile, level-0 px: TRIDENT says it, CLAM counts in px of the level it read."""
    if "patch_size_level0" in facts:
        return max(1, round(float(facts["patch_size_level0"])))
    if "patch_size" not in facts or not ("downsample" in facts or int(facts.get("patch_level", -1)) == 0):
        return None
    across, down = (np.ravel(facts["downsample"]).astype(float).tolist() * 2)[:2] if "downsample" in facts else (1, 1)
    if abs(across - down) > 0.01 * across:
        raise UserError(f"its level is scaled by {across:g} and {down:g}, not evenly", where=path, fix=_CUT)
    return max(1, round(float(facts["patch_size"]) * across))


def _size_px0(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    """(width, height) of the slide's level 0, where it is said exactly."""
    if "level0_width" in facts and "level0_height" in facts:
        return int(facts["level0_width"]), int(facts["level0_height"])
    if "level_dim" in facts and int(facts.get("patch_level", -1)) == 0:
        width, height = np.ravel(facts["level_dim"]).tolist()
        return int(width), int(height)
    return None


def _measured(slide: Path) -> tuple[int, int]:
    with open_slide(slide) as one:
        return one.size_px0


def _by_name(paths: Sequence[str], root: Path) -> dict[str, list[str]]:
    """Paths by the file's name, whole and without its ending (both, as ids have dots in them too)."""
    found: dict[str, list[str]] = {}
    for path in paths:
        name = Path(path)
        for key in {name.name, name.stem}:
            found.setdefault(key, []).append(path)
    return found


def _notices(found: Sequence[_Found]) -> tuple[str, ...]:
    notices = []
    empty = sum(not len(one.corners) for one in found)
    if empty:
        notices.append(f"{empty} of {len(found)} slides have no tile and are left out")
    overhanging = sum(one.overhanging for one in found)
    if overhanging:
        notices.append(f"{overhanging} tiles reach beyond their slide and are left out")
    powers = sorted({one.magnification for one in found if one.magnification is not None})
    if len(powers) > 1:
        notices.append(f"tiles were cut at several magnifications: {', '.join(f'{power:g}×' for power in powers)}")
    return tuple(notices)


def _slide(table: Table, row: int) -> str:
    return table.get("slide_id", row)
