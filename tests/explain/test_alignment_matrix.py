"""Class × marker alignment against loops over units, on features whose truth is known."""

import json

import numpy as np
import pytest

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.units import Units
from hlss.explain.alignment_matrix import alignment
from hlss.explain.blocks import Blocks, drawn, units_at
from hlss.types import Level

SETTINGS = {"resamples": 200, "permutations": 200, "seed": 0}
C, D = 3, 12


def unit_rows(rng, count):
    rows = rng.standard_normal((count, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rows():
    """Marker rows of three classes: 2, 3 and 4 markers about an axis each."""
    rng = np.random.default_rng(5)
    axes = np.eye(D)[:C] * 3
    found = [axis + 0.3 * rng.standard_normal((k + 2, D)) for k, axis in enumerate(axes)]
    return [(part / np.linalg.norm(part, axis=1, keepdims=True)).astype(np.float32) for part in found]


def naive(units, rows, weights=None):
    """Matrix, difference and effect by loops in float64; weights: how often each unit stands."""
    n = len(units.labels)
    weights = np.ones(n) if weights is None else weights
    score = np.zeros((n, len(rows)))
    for i in range(n):
        z = units.embeddings[i].astype(np.float64)
        for c, texts in enumerate(rows):
            cosines = [float(z @ t.astype(np.float64)) / np.linalg.norm(z) for t in texts]
            score[i, c] = sum(cosines) / len(cosines)
    repeated = np.repeat(np.arange(n), weights.astype(int))
    score, labels = score[repeated], units.labels[repeated]
    score = score - score.mean(axis=0)
    matrix = np.stack([score[labels == k].mean(axis=0) if (labels == k).any() else [np.nan] * C for k in range(C)])
    own = np.array([score[i, labels[i]] for i in range(len(labels))])
    other = np.array([np.mean([score[i, c] for c in range(C) if c != labels[i]]) for i in range(len(labels))])
    pooled = np.sqrt((own.var(ddof=1) + other.var(ddof=1)) / 2)
    return matrix, own.mean() - other.mean(), (own.mean() - other.mean()) / pooled


def test_images_along_their_markers_have_a_huge_effect(make_units, rows):
    axes = np.stack([part.mean(axis=0) for part in rows])
    found = alignment(make_units(axes, 18, 5, 0.05), rows, [], **SETTINGS)
    assert found.effect > 5
    assert found.effect_interval.low > 4
    assert found.permuted.p == pytest.approx(1 / 201)
    assert found.permuted.quantiles[2] < 1
    assert (found.centred.argmax(axis=1) == np.arange(C)).all()


def test_images_along_others_markers_have_the_opposite(make_units, rows):
    axes = np.stack([rows[(k + 1) % C].mean(axis=0) for k in range(C)])
    found = alignment(make_units(axes, 18, 5, 0.05), rows, [], **SETTINGS)
    assert found.effect < -1
    assert found.permuted.p > 0.9


def test_noise_is_null(make_units, rows):
    ps = []
    for seed in range(8):
        found = alignment(make_units(np.zeros((C, D)), 18, 5, 1.0, seed), rows, [], **SETTINGS)
        ps.append(found.permuted.p)
        assert abs(found.effect) < 0.6
    assert 0.15 < np.mean(ps) < 0.85


def test_all_is_what_loops_find(make_units, rows):
    axes = np.stack([part.mean(axis=0) for part in rows])
    units = make_units(axes, 13, 4, 0.8)
    found = alignment(units, rows, [], **SETTINGS)
    matrix, difference, effect = naive(units, rows)
    np.testing.assert_allclose(found.centred, matrix, atol=1e-9)
    assert (found.difference, found.effect) == pytest.approx((difference, effect))
    counts = drawn(13, 200, 0)[:, np.unique(units.patients, return_inverse=True)[1]]
    resampled = [naive(units, rows, weights) for weights in counts[:25]]
    np.testing.assert_allclose(found.resampled[:25], [each[2] for each in resampled], rtol=1e-8)


def test_intervals_are_percentiles_of_resamples(make_units, rows):
    units = make_units(np.stack([part.mean(axis=0) for part in rows]), 12, 2, 0.8)
    found = alignment(units, rows, [], resamples=100, permutations=100, seed=4)
    counts = drawn(12, 100, 4)[:, np.unique(units.patients, return_inverse=True)[1]]
    resampled = [naive(units, rows, weights) for weights in counts]
    low, high = np.percentile([each[1] for each in resampled], [2.5, 97.5])
    assert (found.difference_interval.low, found.difference_interval.high) == pytest.approx((low, high))
    cells = np.stack([each[0] for each in resampled])
    np.testing.assert_allclose(found.low, np.nanpercentile(cells, 2.5, axis=0), atol=1e-9)
    np.testing.assert_allclose(found.high, np.nanpercentile(cells, 97.5, axis=0), atol=1e-9)


def test_permuted_labels_are_those_of_whole_patients(make_units, rows):
    units = make_units(np.stack([part.mean(axis=0) for part in rows]), 13, 4, 0.8)
    blocks = Blocks.of(units, C)
    weights = blocks.permuted(20, 7)
    effects = []
    for row in weights:
        assert (row.sum(axis=0) == np.bincount(blocks.labels)).all()
        labels = row.argmax(axis=1)[blocks.member]
        effects.append(naive(Units(units.embeddings, labels, units.patients, units.names, 0), rows)[2])
    found = alignment(units, rows, [], resamples=100, permutations=20, seed=7)
    expected = np.quantile(effects, [0.025, 0.5, 0.975])
    assert found.permuted.quantiles == pytest.approx(tuple(expected))
    assert found.permuted.p == pytest.approx((1 + sum(e >= found.effect for e in effects)) / 21)


def test_random_text_is_scored_alike(make_units, rows):
    rng = np.random.default_rng(8)
    units = make_units(np.stack([part.mean(axis=0) for part in rows]), 13, 4, 0.3)
    draws = [[unit_rows(rng, len(part)) for part in rows] for _ in range(6)]
    found = alignment(units, rows, draws, **SETTINGS)
    effects = [naive(units, texts)[2] for texts in draws]
    assert found.random_text.quantiles == pytest.approx(tuple(np.quantile(effects, [0.025, 0.5, 0.975])))
    assert (found.random_text.draws, found.random_text.p) == (6, pytest.approx(1 / 7))


def test_what_is_near_everything_does_not_count(make_units, rows):
    """One class's markers all lie along what every image has: columns shift, differences do not."""
    rng = np.random.default_rng(9)
    common = np.zeros(D)
    common[-1] = 4
    axes = 0.5 * np.stack([part.mean(axis=0) for part in rows]) + common
    near = [rows[0], rows[1], unit_rows(rng, 3) * 0 + np.eye(D)[-1].astype(np.float32)]
    found = alignment(make_units(axes, 18, 5, 0.02), near, [], **SETTINGS)
    assert (found.cosines[:, 2] > 0.9).all()
    assert np.abs(found.centred[:, 2]).max() < 0.02
    assert found.effect > 0.5


def test_too_few_patients_have_no_interval_but_a_null(make_units, rows):
    found = alignment(make_units(np.stack([part.mean(axis=0) for part in rows]), 9, 5, 0.1), rows, [], **SETTINGS)
    assert found.effect > 1
    assert found.permuted.p < 0.05
    assert (found.low, found.high, found.effect_interval, found.difference_interval, found.resampled) == (None,) * 5
    assert found.random_text is None


def test_a_class_without_units_is_undefined_and_json_says_null(make_units, rows):
    axes = np.stack([part.mean(axis=0) for part in rows])
    units = make_units(axes, 12, 5, 0.1)
    kept = units.labels != 1
    part = Units(units.embeddings[kept], units.labels[kept], units.patients[kept], units.names[kept], 4)
    found = alignment(part, rows, [], **SETTINGS)
    assert np.isnan(found.centred[1]).all()
    assert found.effect > 1
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["centred"][1] == [None] * C
    assert (told["n"], told["patients"], told["left_out"]) == (len(part.labels), 8, 4)
    nothing = alignment(Units(part.embeddings[:0], part.labels[:0], part.patients[:0], part.names[:0], 0), rows, [],
                        **SETTINGS)  # fmt: skip
    assert (nothing.n, nothing.effect, nothing.permuted) == (0, None, None)
    json.dumps(nothing.to_json(), allow_nan=False)


def test_equal_images_have_no_effect_size(make_units, rows):
    found = alignment(make_units(np.ones((C, D)), 12, 3, 0.0), rows, [], **SETTINGS)
    assert (found.effect, found.permuted) == (None, None)
    assert found.difference == pytest.approx(0)


def test_other_dimensions_are_refused(make_units, rows):
    with pytest.raises(ValueError, match="12 dimensions, texts 5"):
        alignment(make_units(np.ones((C, D)), 3, 1, 0.1), [part[:, :5] for part in rows], [], **SETTINGS)


def test_units_of_each_level():
    """Patches at length 1; slides and patients the mean of these; mixed labels left out; unlabelled patches too."""
    features = np.array([[2, 0], [0, 3], [5, 0], [0, 1], [1, 0]], dtype=np.float32)
    columns = {
        "patient": ["a", "a", "b", "b", "c"],
        "slide": ["a1", "a1", "b1", "b2", "c1"],
        "label": ["x", "x", "y", "x", ""],
        **{name: ["."] * 5 for name in ("site", "image", "side")},
    }
    table = EmbeddingTable(
        features,
        {name: np.array(values, dtype=object) for name, values in columns.items()}
        | {"x_px0": np.arange(5), "y_px0": np.arange(5)},
        {},
    )
    patches, slides, patients = (units_at(table, ("x", "y"), level) for level in Level)
    np.testing.assert_allclose(patches.embeddings, [[1, 0], [0, 1], [1, 0], [0, 1]])
    assert patches.labels.tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(slides.embeddings, [[0.5, 0.5], [1, 0], [0, 1]])
    assert (slides.labels.tolist(), slides.left_out) == ([0, 1, 0], 0)
    np.testing.assert_allclose(patients.embeddings, [[0.5, 0.5]])
    assert (patients.labels.tolist(), patients.left_out) == ([0], 1)
    assert len(Blocks.of(patches, 2).labels) == 3  # patient b has patches of two classes
