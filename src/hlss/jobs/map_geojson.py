"""A map as GeoJSON that QuPath (0.4 or later) opens: what is marked as an annotation, every tile as a tile object.

QuPath's reader was gone through field by field. It takes places in pixels of level 0, `objectType`, a `classification`
of name *and* colour, a `color` of the object, and `measurements` as a mapping of numbers. Files are plain ASCII (σ as
an escape), since versions that run on Java 17 read them in the system's own encoding.
"""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.explain.faithfulness import Faithfulness
from hlss.explain.regions import polygons
from hlss.explain.score_map import ScoreMap, coloured
from hlss.jobs.map_ground import Ground

MARKED = (214, 39, 40)  # colour of the class of what is marked
_ROUND = 4  # digits of a measurement
_BLOCK = 4096  # tiles at a time


def write_geojson(
    path: Path,
    ground: Ground,
    name: str,
    score_map: ScoreMap,
    scores: tuple[Float32[ndarray, " n"], Float32[ndarray, " n"]],
    faithfulness: Faithfulness,
    threshold: float,
    facts: dict[str, Any],
) -> None:
    """A FeatureCollection, a feature a line. scores: (cosine, σ) of each tile; threshold: σ of the map from which a
    place is marked, and its tiles are of the class `name`. facts: of the map, beside the features.
    """
    with path.open("w", encoding="ascii") as file:
        head = _text({"type": "FeatureCollection", "hlss": facts})
        file.write(head[:-1] + ', "features": [')
        features = chain(
            _marked(ground, name, score_map, faithfulness, threshold),
            _tiles(ground, name, scores, not faithfulness.above_chance, threshold),
        )
        for number, feature in enumerate(features):
            file.write(("," if number else "") + "\n" + feature)
        file.write("\n]}\n")


def _tiles(
    ground: Ground,
    name: str,
    scores: tuple[Float32[ndarray, " n"], Float32[ndarray, " n"]],
    weak: bool,
    threshold: float,
) -> Iterator[str]:
    side = ground.lattice.side_px0
    for start in range(0, len(ground.rows), _BLOCK):
        block = np.s_[start : start + _BLOCK]
        cosine, sigma = (one[block] for one in scores)
        colours, corners = coloured(sigma, weak=weak).tolist(), ground.lattice.xy_px0[block].tolist()
        for (x, y), one, value, colour in zip(corners, cosine.tolist(), sigma.tolist(), colours, strict=True):
            ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
            marked = {"classification": _class(name)} if value >= threshold else {}
            measured = _rounded({f"{name}: cosine": one, f"{name}: σ": value})
            properties = {"objectType": "tile", "color": colour, **marked, "measurements": measured}
            yield _feature("Polygon", [ring], properties)


def _marked(
    ground: Ground, name: str, score_map: ScoreMap, faithfulness: Faithfulness, threshold: float
) -> Iterator[str]:
    """All that is marked as one annotation; none where nothing is."""
    marked = np.nan_to_num(score_map.values, nan=-np.inf) >= threshold
    if not marked.any():
        return
    step, (left, top) = score_map.step_px0, score_map.origin_px0
    places = [
        [[[left + x * step, top + y * step] for x, y in ring] for ring in polygon] for polygon in polygons(marked)
    ]
    measured = {
        f"{name}: mean σ": float(score_map.values[marked].mean()),
        f"{name}: share of the tissue": float(marked.sum() / score_map.there.sum()),
    }
    if ground.mpp0 is not None:
        measured[f"{name}: area µm²"] = float(marked.sum()) * (step * ground.mpp0) ** 2
    null, text, span = faithfulness.random_maps, faithfulness.random_texts, faithfulness.interval
    known = (
        ("faithfulness (0.5: chance)", faithfulness.auroc),
        ("faithfulness, low", None if span is None else span.low),
        ("faithfulness, high", None if span is None else span.high),
        ("faithfulness, p of random maps", None if null is None else null.p),
        ("faithfulness, p of random text", None if text is None else text.p),
    )
    measured |= {key: value for key, value in known if value is not None}
    properties = {
        "objectType": "annotation",
        "name": f"{name} ≥ {threshold:g} σ; faithfulness {faithfulness.figures}: {faithfulness.verdict}",
        "classification": _class(name),
        "measurements": _rounded(measured),
    }
    yield (
        _feature("MultiPolygon", places, properties) if len(places) > 1 else _feature("Polygon", places[0], properties)
    )


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> str:
    geometry = {"type": kind, "coordinates": coordinates}
    return _text({"type": "Feature", "geometry": geometry, "properties": properties})


def _class(name: str) -> dict[str, Any]:
    """QuPath parts the name of a class at colons, and refuses line breaks."""
    return {"name": " ".join(name.replace(":", ",").split()), "color": list(MARKED)}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, _ROUND) for name, value in values.items()}


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, default=str)
