"""What a cohort holds: counts by class, site and side, tiles a slide, resolutions; and what is odd about them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.paths import case_clashes
from hlss.cohorts.slide_tiles import SlideTiles
from hlss.errors import Unreadable
from hlss.jobs.setup import evenly
from hlss.slides.opening import open_slide

NONE = "(none)"
Facts = dict[str, Any]


def counts(cohort: Cohort) -> Facts:
    """Patients, slides, images, tiles; the same by class and by site; tiles a slide; patients of given splits."""
    per_slide = np.bincount(cohort.image_slide, np.diff(cohort.tiles.starts), len(cohort.slides))
    given = [cohort.splits[number] if number >= 0 else NONE for number in cohort.patient_split.tolist()]
    return {
        "cohort": cohort.name,
        "patients": len(cohort.patients),
        "slides": len(cohort.slides),
        "images": cohort.n_images,
        "tiles": cohort.n_tiles,
        "tile_px": cohort.tile_px,
        "mpp": cohort.mpp,
        "tiles_per_slide": {
            "least": int(per_slide.min()),
            "median": float(np.median(per_slide)),
            "most": int(per_slide.max()),
        },
        "classes": by_name(cohort, cohort.image_label, cohort.classes),
        "sites": by_name(cohort, cohort.image_site, cohort.sites),
        "given_splits": {name: given.count(name) for name in sorted(set(given))} if cohort.splits else {},
    }


def by_name(cohort: Cohort, number: Int64[ndarray, " n_images"], names: tuple[str, ...]) -> dict[str, Facts]:
    """Patients, slides, images and tiles of each name that images have; a patient of two counts in both."""
    tiles = np.diff(cohort.tiles.starts)
    found = {}
    for value in np.unique(number).tolist():
        images = np.flatnonzero(number == value)
        slides = np.unique(cohort.image_slide[images])
        found[names[value] if value >= 0 else NONE] = {
            "patients": len(np.unique(cohort.slide_patient[slides])),
            "slides": len(slides),
            "images": len(images),
            "tiles": int(tiles[images].sum()),
        }
    return found


def sides_of(sides: Mapping[str, Cohort]) -> dict[str, Facts]:
    """Patients, slides, tiles of each side, and its patients by class."""
    return {
        side: {
            "patients": len(part.patients),
            "slides": len(part.slides),
            "tiles": part.n_tiles,
            "classes": {name: row["patients"] for name, row in by_name(part, part.image_label, part.classes).items()},
        }
        for side, part in sides.items()
    }


def sites_on_both_sides(sides: Mapping[str, Cohort]) -> list[str]:
    """Sites of training patients that test or validation patients come from too."""
    at = {side: {part.sites[site] for site in part.image_site.tolist() if site >= 0} for side, part in sides.items()}
    return sorted(at.get("train", set()) & (at.get("test", set()) | at.get("val", set())))


def of_several(cohort: Cohort, number: Int64[ndarray, " n_images"]) -> list[str]:
    """Patients whose images have several classes (or sites)."""
    patient = cohort.slide_patient[cohort.image_slide]
    pairs = np.unique(np.stack([patient, number], axis=1)[number >= 0], axis=0)
    times = np.bincount(pairs[:, 0], minlength=len(cohort.patients))
    return [cohort.patients[p] for p in np.flatnonzero(times > 1).tolist()]


def resolutions(cohort: Cohort, most_opened: int) -> Facts:
    """µm/px of the images' own pixels: least, most, of how many it is known, of how many it was asked. Slides that are
    to tell it themselves are opened, at most so many, evenly spread.
    """
    numbers, mpps = cohort.image_number.tolist(), getattr(cohort.source, "mpps", None)
    said: list[float | None] = [] if mpps is None else [mpps[number] for number in numbers]
    if isinstance(cohort.source, SlideTiles):
        silent = [number for number, mpp in zip(numbers, said, strict=True) if mpp is None]
        opened = [silent[i] for i in evenly(len(silent), most_opened)]
        said = [mpp for mpp in said if mpp is not None]
        said.extend(_own_mpp(cohort.source, number) for number in opened)
    known = [mpp for mpp in said if mpp is not None]
    return {
        "least": min(known, default=None),
        "most": max(known, default=None),
        "known": len(known),
        "asked": len(said),
    }


def oddities(cohort: Cohort, sides: Mapping[str, Cohort]) -> list[str]:
    """What hinders no training, and should be known: one line each."""
    found = []
    for what, names in (("patients", cohort.patients), ("slides", cohort.slides), ("classes", cohort.classes)):
        pairs = case_clashes(names)
        if pairs:
            found.append(f"{what} {pairs[0][0]!r} and {pairs[0][1]!r} differ by case or spelling only{_more(pairs)}")
    several = of_several(cohort, cohort.image_label)
    if several:
        found.append(f"{len(several)} patients have images of several classes: {_listed(several)}")
    unlabelled = int((cohort.image_label < 0).sum())
    if cohort.classes and unlabelled:
        found.append(f"{unlabelled} of {cohort.n_images} images have no class")
    shared = sites_on_both_sides(sides)
    if shared:
        found.append(
            f"{len(shared)} sites are on both sides of the split: {_listed(shared)} (split.by_site=true parts)"
        )
    if "train" in sides:
        learnt = sides_of(sides)["train"]["classes"]
        for name, row in by_name(cohort, cohort.image_label, cohort.classes).items():
            if name != NONE and name not in learnt:
                found.append(f"class {name!r} ({row['patients']} patients) has none on the train side")
    return found


def _own_mpp(source: SlideTiles, image: int) -> float | None:
    try:
        with open_slide(source.root / source.paths[image]) as slide:
            return slide.mpp
    except Unreadable:
        return None  # counted as unreadable where its tiles are read


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _more(pairs: list[Any]) -> str:
    return f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
