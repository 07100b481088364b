"""What QuPath (since 0.4) takes of a GeoJSON file, written down from its reader's rules: an object a feature, or why
it would be refused, changed or lost.
"""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

TYPES = ("annotation", "detection", "tile", "cell", "tmaCore", "root")
_PROPERTIES = {"objectType", "name", "color", "classification", "isLocked", "measurements", "metadata"}
_SHAPES = {"Polygon": 1, "MultiPolygon": 2}  # how deep rings lie


def objects_of(path: Path) -> list[dict[str, Any]]:
    """Features of the file, as QuPath would have them. Raises AssertionError."""
    raw = path.read_bytes()
    assert path.suffix in (".geojson", ".json"), "QuPath goes by the ending"
    assert raw.isascii(), "on Java 17 the file is read in the system's own encoding"
    tree = json.loads(raw, parse_constant=_no_number)
    assert tree["type"] == "FeatureCollection"
    return [_object(feature) for feature in tree["features"]]


def _object(feature: dict[str, Any]) -> dict[str, Any]:
    assert feature["type"] == "Feature"
    assert "id" not in feature or re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", feature["id"])
    polygons = _polygons(feature["geometry"])
    properties = feature["properties"]
    lost = set(properties) - _PROPERTIES
    assert not lost, f"QuPath would leave out {lost}"
    assert properties["objectType"] in TYPES, "it would become an annotation, with a warning"
    if "name" in properties:
        assert isinstance(properties["name"], str)
    if "color" in properties:
        _colour(properties["color"], 3)
    if "classification" in properties:
        _class(properties["classification"])
    assert isinstance(properties.get("isLocked", False), bool)
    for name, value in _measured(properties.get("measurements", {})):
        assert isinstance(name, str)
        assert name
        assert isinstance(value, float | int)
        assert not isinstance(value, bool)
    return {**properties, "polygons": polygons}


def _polygons(geometry: dict[str, Any]) -> list[list[list[list[int]]]]:
    """Rings as JTS makes them of coordinates: closed, of four places or more, and here of whole pixels."""
    assert set(geometry) <= {"type", "coordinates", "plane", "isEllipse"}
    found = [geometry["coordinates"]] if _SHAPES[geometry["type"]] == 1 else geometry["coordinates"]
    assert found, "an empty geometry becomes an empty ROI"
    for rings in found:
        for number, ring in enumerate(rings):
            assert len(ring) >= 4, "JTS refuses so short a ring"
            assert ring[0] == ring[-1], "JTS refuses a ring that is not closed"
            assert all(len(place) == 2 and all(type(one) is int and one >= 0 for one in place) for place in ring)
            area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
            assert (area > 0) == (number == 0), "holes go round the other way"
    return found


def _class(value: Any) -> None:
    """An object has name (or names) and colour; a name is parted at colons, and line breaks are refused."""
    assert isinstance(value, dict)
    assert "color" in value
    assert "name" in value or "names" in value
    assert not {"colorRGB", "parentClass"} & set(value), "read in the way of versions before 0.4"
    name = value["name"]
    assert name == name.strip()
    assert name
    assert not re.search(r"[:\n\r]", name)
    _colour(value["color"], 3, 4)


def _colour(value: Any, *lengths: int) -> None:
    assert isinstance(value, list), "another colour is left out"
    assert len(value) in lengths, "another colour is left out"
    assert all(type(one) is int and 0 <= one <= 255 for one in value)


def _measured(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(one["name"], one["value"]) for one in value]


def _no_number(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")
