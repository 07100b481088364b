"""What the page is told, as plain data. Names and labels stay text: the page never reads them as HTML."""

from collections import Counter
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.cohorts.write.frame import Frame
from hlss.jobs.view import Patches, Viewed
from hlss.jobs.view_features import first_of
from hlss.jobs.view_map import COLOURS, HIGH, LOW, stops_of
from hlss.jobs.view_slides import ViewImage
from hlss.jobs.view_tiles import Pyramid
from hlss.jobs.view_words import Saying

NEIGHBOURS, MATCHES, OF_A_SLIDE, BEST = 8, 12, 2, 4  # shown; at most so many of one slide; characteristics a level
Answer = dict[str, Any]


def cohort(viewed: Viewed) -> Answer:
    """Patients, their slides and these slides' images; the characteristics; what must be said."""
    patients: dict[str, list[Answer]] = {}
    of_slide = Counter((image.patient, image.slide) for image in viewed.images)
    for image in viewed.images:
        several = of_slide[image.patient, image.slide] > 1
        name = f"{image.slide} · {image.file}" if several else image.slide
        patients.setdefault(image.patient, []).append({"id": image.id, "name": name, "label": image.label})
    words = None if viewed.patches is None else viewed.patches.words
    return {
        "title": viewed.title,
        "notices": list(viewed.notices),
        "patients": [{"name": name, "images": images} for name, images in patients.items()],
        "bank": "" if words is None else words.title,
        "sayings": [] if words is None else [_saying(one) for one in words.sayings],
        "colours": {name: stops_of(name) for name in COLOURS},
        "sigma": [LOW, HIGH],
    }


def image(viewed: Viewed, place: int, frame: Frame) -> Answer:
    """An image and its frame."""
    one, patches = viewed.images[place], viewed.patches
    rows = np.empty(0, np.int64) if patches is None else patches.rows(place)
    sides = [] if patches is None else sorted(set(patches.features.table["side"][rows].tolist()))
    return {
        "id": one.id,
        "patient": one.patient,
        "slide": one.slide,
        "file": one.file,
        "label": one.label,
        "site": one.site,
        "side": ", ".join(sides),
        "width": frame.width_px0,
        "height": frame.height_px0,
        "mpp": frame.mpp0,
        "deepest": Pyramid(frame).deepest,
        "patches": len(rows),
    }


def patch(viewed: Viewed, patches: Patches, row: int, frame: Frame) -> Answer:
    """A patch: where it lies, what it is most like, what describes it best, and what its neighbours vote for."""
    nearness = patches.features.nearness(row)
    near = first_of(nearness, patches.features.table["slide"], NEIGHBOURS, OF_A_SLIDE)
    x, y = patches.xy_px0[row].tolist()
    protocol = patches.features.protocol
    return {
        "row": row,
        "x": x,
        "y": y,
        "extent": patches.extent_px0(frame.mpp0),
        "label": str(patches.features.table["label"][row]),
        "side": str(patches.features.table["side"][row]),
        "neighbours": _found(viewed, patches, near, nearness),
        "votes": [vote._asdict() for vote in patches.features.votes(row, nearness)[:3]],
        "voters": f"{protocol.k} nearest of the train side, T = {protocol.temperature:g}",
        "best": _best(patches, row),
    }


def matches(viewed: Viewed, patches: Patches, saying: Saying, place: int | None) -> Answer:
    """Where a saying stands out most, over all images and (place) in one."""
    sigma = patches.sigma(saying.key)
    best = first_of(sigma, patches.features.table["slide"], MATCHES, OF_A_SLIDE)
    rows = np.empty(0, np.int64) if place is None else patches.rows(place)
    here = [float(sigma[rows].min()), float(np.median(sigma[rows])), float(sigma[rows].max())] if len(rows) else []
    return {"saying": _saying(saying), "here": here, "matches": _found(viewed, patches, best, sigma)}


def _best(patches: Patches, row: int) -> list[Answer]:
    """The characteristics of each level with the highest σ, level by level."""
    words = patches.words
    if words is None:
        return []
    sigma = patches.features.sigma_of(row, words.rows, patches.moments)
    found: list[Answer] = []
    for level in dict.fromkeys(one.level for one in words.sayings):
        places = [place for place, one in enumerate(words.sayings) if one.level == level]
        places.sort(key=lambda place: -sigma[place])
        found += [{**_saying(words.sayings[place]), "sigma": float(sigma[place])} for place in places[:BEST]]
    return found


def _found(viewed: Viewed, patches: Patches, rows: list[int], scores: Float32[ndarray, " n"]) -> list[Answer]:
    """Patches as links to their places."""
    return [
        {
            "row": row,
            "image": one.id,
            "slide": one.slide,
            "label": str(patches.features.table["label"][row]),
            "x": int(patches.xy_px0[row, 0]),
            "y": int(patches.xy_px0[row, 1]),
            "score": float(scores[row]),
        }
        for row in rows
        if (one := _of(viewed, patches, row)) is not None
    ]


def _of(viewed: Viewed, patches: Patches, row: int) -> ViewImage | None:
    place = int(patches.image[row])
    return viewed.images[place] if place >= 0 else None


def _saying(one: Saying) -> Answer:
    return {"key": one.key, "level": one.level, "name": one.name, "descriptions": list(one.descriptions)}
