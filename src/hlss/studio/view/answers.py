"""What the page is told, as plain data. Names and labels stay text: the page never reads them as HTML."""

from collections import Counter
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.cohorts.write.frame import Frame
from hlss.explain.faithfulness import CHANCE, Faithfulness
from hlss.jobs.map_drawn import TrueMap
from hlss.jobs.map_texts import Asked
from hlss.jobs.view import Viewed
from hlss.jobs.view_features import first_of
from hlss.jobs.view_map import COLOURS, HIGH, LOW, WEAK, stops_of
from hlss.jobs.view_patches import Patches
from hlss.jobs.view_slides import ViewImage
from hlss.jobs.view_tiles import Pyramid

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
        "texts": [] if words is None else [_text(key, one) for key, one in words.known.items()],
        "colours": {name: stops_of(name) for name in COLOURS},
        "weak": stops_of(WEAK),
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


def patch(viewed: Viewed, patches: Patches, row: int) -> Answer:
    """A patch: where it lies, what it is most like, what describes it best, and what its neighbours vote for."""
    nearness = patches.features.nearness(row)
    near = first_of(nearness, patches.features.table["slide"], NEIGHBOURS, OF_A_SLIDE)
    x, y = patches.xy_px0[row].tolist()
    protocol = patches.features.protocol
    return {
        "row": row,
        "x": x,
        "y": y,
        "extent": patches.extent_px0(int(patches.image[row])),
        "label": str(patches.features.table["label"][row]),
        "side": str(patches.features.table["side"][row]),
        "neighbours": _found(viewed, patches, near, nearness),
        "votes": [vote._asdict() for vote in patches.features.votes(row, nearness)[:3]],
        "voters": f"{protocol.k} nearest of the train side, T = {protocol.temperature:g}",
        "best": _best(patches, row),
    }


def matches(viewed: Viewed, patches: Patches, key: str, place: int | None) -> Answer:
    """Where a text stands out most, over all images and (place) in one. Raises KeyError where there is no such text."""
    if patches.words is None:
        raise KeyError(key)
    asked, sigma = patches.words.get(key), patches.sigma(key)
    best = first_of(sigma, patches.features.table["slide"], MATCHES, OF_A_SLIDE)
    rows = np.empty(0, np.int64) if place is None else patches.rows(place)
    here = [float(sigma[rows].min()), float(np.median(sigma[rows])), float(sigma[rows].max())] if len(rows) else []
    return {"text": _text(key, asked), "here": here, "matches": _found(viewed, patches, best, sigma)}


def faithfulness(found: Faithfulness | None) -> Answer | None:
    """What must be said beside a map: its figure, what chance gives, and what that means."""
    if found is None:
        return None
    figure, _, compared = found.figures.partition(" (")
    return {
        **found.to_json(),
        "figure": figure,
        "compared": compared.removesuffix(")"),
        "doubtful": not found.above_chance or found.above_random_text is False,
        "chance": CHANCE,
    }


def truth(found: TrueMap | None) -> Answer | None:
    """What is said of a true map."""
    return None if found is None else {"title": found.title, "figures": found.figures, **found.to_json()}


def _best(patches: Patches, row: int) -> list[Answer]:
    """The characteristics of each level with the highest σ, level by level."""
    if patches.words is None:
        return []
    sigma, known = patches.sigma_of(row), list(patches.words.known.items())
    found: list[Answer] = []
    for level in dict.fromkeys(one.level for _, one in known):
        places = [place for place, (_, one) in enumerate(known) if one.level == level]
        places.sort(key=lambda place: -sigma[place])
        found += [{**_text(*known[place]), "sigma": float(sigma[place])} for place in places[:BEST]]
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


def _text(key: str, one: Asked) -> Answer:
    """level: "" of a bank of one list, and of a sentence that was typed."""
    return {"key": key, "level": str(one.level or ""), "name": one.name, "descriptions": list(one.descriptions)}
