"""What marks a class, against loops over units; chance is what many looks find where nothing is."""

import json

import numpy as np
import pytest

from hlss.evaluate.units import Units
from hlss.explain.blocks import drawn
from hlss.explain.profile import profile

SETTINGS = {"resamples": 150, "permutations": 150, "seed": 0}
C, D, K = 3, 12, 7
NAMES = [f"sign {k}" for k in range(K)]


@pytest.fixture
def texts():
    rows = np.random.default_rng(5).standard_normal((K, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def naive(units, texts, repeated):
    z = units.embeddings.astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    scores = z @ texts.T.astype(np.float64)
    marks = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    marks, labels = marks[repeated], units.labels[repeated]
    inside = [labels == c for c in range(C)]
    undefined = np.full(K, np.nan)
    return np.stack(
        [marks[i].mean(axis=0) - marks[~i].mean(axis=0) if 0 < i.sum() < len(i) else undefined for i in inside]
    )


def test_marks_and_intervals_are_what_loops_find(make_units, texts):
    units = make_units(2 * texts[:C], 14, 4, 0.6)
    found = profile(units, texts, NAMES, C, **SETTINGS)
    everyone = np.arange(len(units.labels))
    np.testing.assert_allclose(found.marks, naive(units, texts, everyone), atol=1e-9)
    where = np.unique(units.patients, return_inverse=True)[1]
    resampled = np.stack([naive(units, texts, np.repeat(everyone, row)) for row in drawn(14, 150, 0)[:, where]])
    np.testing.assert_allclose(found.low, np.nanpercentile(resampled, 2.5, axis=0), atol=1e-9)
    np.testing.assert_allclose(found.high, np.nanpercentile(resampled, 97.5, axis=0), atol=1e-9)


def test_what_a_class_lies_along_stands_first_and_above_chance(make_units, texts):
    found = profile(make_units(2 * texts[:C], 18, 5, 0.3), texts, NAMES, C, **SETTINGS)
    assert [found.top(c, 1) for c in range(C)] == [[0], [1], [2]]
    assert all(found.marks[c, c] > found.chance for c in range(C))
    told = json.loads(json.dumps(found.to_json(("x", "y", "z")), allow_nan=False))
    assert told["classes"]["y"][0]["characteristic"] == "sign 1"
    assert len(told["classes"]["y"]) == K
    low, high = told["classes"]["y"][0]["interval"]
    assert low < told["classes"]["y"][0]["mark"] < high


def test_noise_seldom_passes_chance(make_units, texts):
    largest = []
    for seed in range(20):
        units = make_units(np.zeros((C, D)), 18, 5, 1.0, seed)
        found = profile(units, texts, NAMES, C, resamples=100, permutations=100, seed=seed)
        largest.append(found.marks.max() > found.chance)
    assert sum(largest) <= 4


def test_few_patients_and_a_class_without_units(make_units, texts):
    units = make_units(2 * texts[:C], 9, 5, 0.3)
    few = profile(units, texts, NAMES, C, **SETTINGS)
    assert (few.low, few.high, few.interval(0, 0)) == (None, None, None)
    assert few.chance is not None
    kept = units.labels != 1
    part = Units(units.embeddings[kept], units.labels[kept], units.patients[kept], units.names[kept], 0)
    found = profile(part, texts, NAMES, C, **SETTINGS)
    assert np.isnan(found.marks[1]).all()
    assert found.top(1, 3) == []
    assert found.to_json(("x", "y", "z"))["classes"]["y"] == []
    nothing = Units(part.embeddings[:0], part.labels[:0], part.patients[:0], part.names[:0], 0)
    assert profile(nothing, texts, NAMES, C, **SETTINGS).chance is None


def test_other_dimensions_are_refused(make_units, texts):
    with pytest.raises(ValueError, match="12 dimensions, texts 5"):
        profile(make_units(2 * texts[:C], 9, 5, 0.3), texts[:, :5], NAMES, C, **SETTINGS)
