"""The maps' GeoJSON against what QuPath's reader takes, object by object, also of odd names."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qupath import objects_of

from hlss.evaluate.intervals import Interval
from hlss.explain.alignment_matrix import Null
from hlss.explain.faithfulness import Faithfulness
from hlss.explain.lattice import Lattice
from hlss.explain.score_map import ScoreMap
from hlss.jobs.map_geojson import write_geojson
from hlss.jobs.map_ground import Ground

SIDE, STEP, CORNER, MPP0 = 100, 50, (340, 1010), 0.25
TESTED = Faithfulness(0.8, Interval(0.7, 0.9), 0.1, 300, Null((0.3, 0.5, 0.7), 0.01, 99), None)


def ground(corners: np.ndarray, mpp0: float | None = MPP0) -> Ground:
    lattice = Lattice.of(corners, SIDE)
    return Ground("S-1", "S-1", "S-1.svs", np.arange(len(corners)), lattice, mpp0, (9000, 8000), ())


def patchy(share: float = 0.8) -> np.ndarray:
    y, x = np.mgrid[:40, :30]
    corners = np.stack([x.ravel(), y.ravel()], axis=1) * STEP + CORNER
    return corners[np.random.default_rng(0).random(len(corners)) < share]


def written(path: Path, place: Ground, name: str, sigma: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    score_map = ScoreMap.of(place.lattice, sigma)
    scores = (sigma.astype(np.float32) / 10, sigma.astype(np.float32))
    given = {"faithfulness": TESTED, "threshold": 0.5, "facts": {"σ": "µm"}, **more}
    write_geojson(path, place, name, score_map, scores, **given)
    return objects_of(path)


def test_qupath_takes_every_object(tmp_path: Path) -> None:
    place, rng = ground(patchy()), np.random.default_rng(1)
    sigma = rng.standard_normal(len(place.rows)) * 2
    marked, *tiles = written(tmp_path / "a.geojson", place, "necrosis", sigma)
    assert marked["objectType"] == "annotation"
    assert marked["name"].startswith("necrosis ≥ 0.5 σ; faithfulness 0.80 [0.70, 0.90]")
    assert marked["measurements"]["faithfulness, p of random maps"] == 0.01
    score_map = ScoreMap.of(place.lattice, sigma)
    count = int((np.nan_to_num(score_map.values, nan=-9) >= 0.5).sum())
    assert marked["measurements"]["necrosis: area µm²"] == pytest.approx(count * (STEP * MPP0) ** 2)
    area = sum(
        a[0] * b[1] - b[0] * a[1] for rings in marked["polygons"] for ring in rings for a, b in itertools.pairwise(ring)
    )
    assert area / 2 == count * STEP**2
    assert len(tiles) == len(place.rows)
    for tile, (x, y), value in zip(tiles, place.lattice.xy_px0.tolist(), sigma.tolist(), strict=True):
        assert tile["objectType"] == "tile"
        assert tile["polygons"] == [[[[x, y], [x + SIDE, y], [x + SIDE, y + SIDE], [x, y + SIDE], [x, y]]]]
        assert tile["measurements"] == {"necrosis: cosine": pytest.approx(value / 10, abs=1e-4)} | {
            "necrosis: σ": pytest.approx(value, abs=1e-4)
        }
        assert ("classification" in tile) == (np.float32(value) >= 0.5)
    tree = json.loads((tmp_path / "a.geojson").read_bytes())
    assert tree["hlss"] == {"σ": "µm"}


def test_one_place_is_a_polygon_that_can_be_edited_and_many_tiles_are_more_than_a_block(tmp_path: Path) -> None:
    y, x = np.mgrid[:70, :70]
    place = ground(np.stack([x.ravel(), y.ravel()], axis=1) * SIDE)
    sigma = np.where(x.ravel() < 35, 1.0, -1.0)
    path = tmp_path / "b.geojson"
    marked, *tiles = written(path, place, "necrosis", sigma)
    assert len(tiles) == 4900
    assert marked["polygons"] == [[[[0, 0], [3500, 0], [3500, 7000], [0, 7000], [0, 0]]]]
    assert json.loads(path.read_bytes())["features"][0]["geometry"]["type"] == "Polygon"


@pytest.mark.parametrize("name", ["pink: fibres\nbetween nests", "  naïve “quotes” — µ", 'a "b" \\ {c}', "x" * 300])
def test_any_sentence_is_a_class_that_qupath_takes(tmp_path: Path, name: str) -> None:
    place = ground(patchy(0.1))
    marked, *_ = written(tmp_path / "c.geojson", place, name, np.linspace(-1, 1, len(place.rows)))
    assert marked["classification"]["name"] == " ".join(name.replace(":", ",").split())


def test_nothing_marked_nothing_known_and_no_scale(tmp_path: Path) -> None:
    place = ground(patchy(), mpp0=None)
    unknown = Faithfulness(None, why="2 tiles are too few (of 40)")
    tiles = written(tmp_path / "d.geojson", place, "a", np.zeros(len(place.rows)), faithfulness=unknown)
    assert {tile["objectType"] for tile in tiles} == {"tile"}
    marked, *_ = written(tmp_path / "e.geojson", place, "a", np.ones(len(place.rows)), faithfulness=unknown)
    assert set(marked["measurements"]) == {"a: mean σ", "a: share of the tissue"}
    assert "not known" in marked["name"]
