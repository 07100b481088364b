"""OpenSRH (Jiang et al. 2022): patches of stimulated Raman histology below one folder, and two JSON files over them.

PATIENT/SLIDE/patches/*.tif     (2, 300, 300) uint16: the channels CH2 and CH3 (pixels: `srh.py`)
meta/opensrh.json               patient → class, slides → tumor_patches, normal_patches
meta/train_val_split.json       train, val: patients
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import model_validator

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow, cohort_of_tiles
from hlss.cohorts.srh import SrhPatches
from hlss.errors import UserError
from hlss.registry import COHORTS
from hlss.slides.grid import grid
from hlss.slides.tiles import GriddedTiles

PATCH_PX = 300
NORMAL = "normal"  # the one class whose patches are listed as normal
SIDES = {"train": "train", "val": "test"}  # the papers report OpenSRH's val; patients to tune on come from split.val


@COHORTS.register("opensrh")
class OpenSrhSpec(CohortSpec):
    """The folder as it is unpacked. Each patch is one tile, read whole; views resize it. Patients of class `normal`
    have their normal patches, all others their tumour patches. Its `val` side is called `test` here.

    root: the folder that holds `meta`.
    """

    name: Literal["opensrh"] = "opensrh"
    root: Path
    tile_px: int = PATCH_PX

    @model_validator(mode="after")
    def _fits(self) -> "OpenSrhSpec":
        if self.tile_px != PATCH_PX or self.mpp is not None:
            raise ValueError(f"patches are read whole, {PATCH_PX} px: leave tile_px and mpp out, views resize")
        return self

    def open(self) -> Cohort:
        """Read the two JSON files and look which patches are there; no patch is opened. Raises UserError for files that
        are missing or of another form, patients on both sides, and patches listed twice or missing.
        """
        meta, where = self.root / "meta" / "opensrh.json", self.root
        patients = _read_json(meta)
        sides = _sides(self.root / "meta" / "train_val_split.json")
        rows, paths, without = _listed(patients, sides, meta)
        _refuse_twice_or_outside(paths, meta)
        _refuse_missing(self.root, paths, meta)
        notices = []
        if without:
            notices.append(f"{len(without)} slides have no patch of their patient's class and are left out")
        unknown = sorted(sides.keys() - patients.keys())
        if unknown:
            notices.append(f"{len(unknown)} patients of the split are not in opensrh.json, as {unknown[0]!r}")
        tiles = GriddedTiles.of([grid(PATCH_PX, PATCH_PX, PATCH_PX)] * len(rows))
        source = SrhPatches(self.root, paths, PATCH_PX)
        return cohort_of_tiles(
            "opensrh", source, rows, range(len(rows)), tiles, PATCH_PX, None, where, notices=tuple(notices)
        )


def _listed(
    patients: Mapping[str, Any], sides: Mapping[str, str], where: Path
) -> tuple[list[ImageRow], list[str], list[str]]:
    """A row (shared by the patches of a slide) and a path for each patch; and slides that have none."""
    rows, paths, without = list[ImageRow](), list[str](), list[str]()
    for patient in sorted(patients):
        entry = patients[patient]
        try:
            label, slides = str(entry["class"]), dict(entry["slides"])
            kind = "normal_patches" if label == NORMAL else "tumor_patches"
            listed = {slide: [str(path) for path in slides[slide][kind]] for slide in sorted(slides)}
        except (KeyError, TypeError, ValueError) as error:
            what = f"patient {patient!r} lacks `class`, or `slides` with their lists of patches ({error!s:.60})"
            raise UserError(what, where=where, fix="Take the file as it was published.") from error
        for slide, found in listed.items():
            if not found:
                without.append(slide)
            row = ImageRow(patient, slide, PATCH_PX, PATCH_PX, label=label, split=sides.get(patient))
            rows += [row] * len(found)
            paths += sorted(found)
    if not rows:
        raise UserError("no patch is listed", where=where, fix="Take the file as it was published.")
    return rows, paths, without


def _sides(path: Path) -> dict[str, str]:
    """The side of each patient. Raises UserError for a patient on both."""
    sides: dict[str, str] = {}
    found = _read_json(path)
    for name, side in SIDES.items():
        listed = found.get(name)
        if not isinstance(listed, list):
            raise UserError(f"has no list {name!r}", where=path, fix="Take the file as it was published.")
        for patient in map(str, listed):
            if sides.setdefault(patient, side) != side:
                fix = "Keep the patient on one side only."
                raise UserError(f"patient {patient!r} stands in train and in val", where=path, fix=fix)
    return sides


def _read_json(path: Path) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise UserError(f"{twice[0]!r} stands there twice", where=path, fix="Take the file as it was published.")
        return dict(pairs)

    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except OSError as error:
        fix = "cohort.root must be the folder that holds `meta`, as OpenSRH is unpacked."
        raise UserError(f"cannot be read: {error.strerror}", where=path, fix=fix) from error
    except ValueError as error:
        raise UserError(f"is no JSON: {error}", where=path, fix="Take the file as it was published.") from error
    if not isinstance(found, dict):
        raise UserError("is no JSON object", where=path, fix="Take the file as it was published.")
    return found


def _refuse_twice_or_outside(paths: Sequence[str], where: Path) -> None:
    seen = set[str]()
    for path in paths:
        plain = PurePosixPath(path)
        if plain.is_absolute() or ".." in plain.parts:
            fix = "Paths start at the root, as in patient/slide/patches/x.tif."
            raise UserError(f"patch {path!r} leads out of the root", where=where, fix=fix)
        if path in seen:
            fix = "Take the file as it was published."
            raise UserError(f"patch {path!r} is listed twice", where=where, fix=fix)
        seen.add(path)


def _refuse_missing(root: Path, paths: Sequence[str], where: Path) -> None:
    """Looked up folder by folder: a million single questions would take a disk on the network minutes."""
    there: dict[str, set[str]] = {}
    missing = list[str]()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in there:
            place = root / folder
            there[folder] = set(os.listdir(place)) if place.is_dir() else set()  # noqa: PTH208 — names alone are wanted
        if name not in there[folder]:
            missing.append(path)
    if missing:
        what = f"{len(missing)} of {len(paths)} listed patches are missing, the first {missing[0]}"
        raise UserError(what, where=where, fix=f"Unpack all of OpenSRH below {root}.")
