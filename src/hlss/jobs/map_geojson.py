"""A map as GeoJSON that QuPath opens: what is marked as an annotation, every tile as a tile, with measurements.

QuPath takes places in pixels of level 0, `objectType`, a `classification` of name and colour, a `color` of the object,
and `measurements` as a list of name and value: versions before 0.4 want the list, later ones take it or a mapping.
"""

import json
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
    cosine, sigma = scores
    colours = coloured(sigma, weak=not faithfulness.above_chance).tolist()
    corners, side = ground.lattice.xy_px0.tolist(), ground.lattice.side_px0
    with path.open("w", encoding="utf-8") as file:
        head = {"type": "FeatureCollection", "hlss": facts}
        file.write(json.dumps(head, ensure_ascii=False, allow_nan=False, default=str)[:-1] + ', "features": [')
        features = chain(
            _marked(ground, name, score_map, faithfulness, threshold),
            (
                _tile(x, y, side, name, values, colour, threshold)
                for (x, y), values, colour in zip(
                    corners, zip(cosine.tolist(), sigma.tolist(), strict=True), colours, strict=True
                )
            ),
        )
        for number, feature in enumerate(features):
            file.write(("," if number else "") + "\n" + json.dumps(feature, ensure_ascii=False, allow_nan=False))
        file.write("\n]}\n")


def _tile(
    x: int, y: int, side: int, name: str, values: tuple[float, float], colour: list[int], threshold: float
) -> dict[str, Any]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    marked = {"classification": _class(name)} if values[1] >= threshold else {}
    measured = _measurements({f"{name}: cosine": values[0], f"{name}: σ": values[1]})
    properties = {"objectType": "tile", "color": colour, **marked, "measurements": measured}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def _marked(
    ground: Ground, name: str, score_map: ScoreMap, faithfulness: Faithfulness, threshold: float
) -> list[dict[str, Any]]:
    """All that is marked as one annotation; none where nothing is."""
    marked = np.nan_to_num(score_map.values, nan=-np.inf) >= threshold
    if not marked.any():
        return []
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
        "measurements": _measurements(measured),
    }
    return [{"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": places}, "properties": properties}]


def _class(name: str) -> dict[str, Any]:
    """QuPath parts the name of a class at colons."""
    return {"name": name.replace(":", ","), "color": list(MARKED)}


def _measurements(values: dict[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "value": round(value, _ROUND)} for name, value in values.items()]
