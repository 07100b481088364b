"""Best and worst matches against a plain search through all scores."""

import numpy as np
import pytest

from hlss.embedding_table import EmbeddingTable
from hlss.explain import extremes
from hlss.explain.extremes import Search
from hlss.explain.match import match, standing
from hlss.types import LEVELS, Level


def table_of(patients: int, slides: int, patches: int, dimensions: int = 6, seed: int = 0) -> EmbeddingTable:
    """Rows shuffled; every slide has another number of patches, features share a mean far from 0."""
    rng = np.random.default_rng(seed)
    rows = [(f"P{p}", f"P{p}-{s}") for p in range(patients) for s in range(slides) for _ in range(patches + p + s)]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    features = (3 + rng.standard_normal((len(rows), dimensions))) * rng.uniform(0.1, 9, (len(rows), 1))
    names = {
        "patient": np.array([patient for patient, _ in rows], dtype=object),
        "slide": np.array([slide for _, slide in rows], dtype=object),
    }
    blank = {name: np.full(len(rows), "", dtype=object) for name in ("site", "image", "label", "side")}
    places = {name: np.arange(len(rows)) for name in ("x_px0", "y_px0")}
    return EmbeddingTable(features.astype(np.float32), {**names, **blank, **places}, {})


def texts_of(count: int, dimensions: int = 6) -> np.ndarray:
    rows = np.random.default_rng(9).standard_normal((count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1, 7, 8192])
def test_peaks_are_those_of_all_scores_whatever_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extremes, "_BLOCK", block)
    table, texts = table_of(4, 2, 5), texts_of(11)
    found = Search(table).peaks(texts)
    sigma = standing(match(table.features, texts))
    for number, slide in enumerate(sorted(set(table["slide"]))):
        of_slide = sigma[table["slide"] == slide]
        np.testing.assert_allclose(found.high[:, number], of_slide.max(axis=0), atol=1e-4)
        np.testing.assert_allclose(found.low[:, number], of_slide.min(axis=0), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_patches_are_the_outermost_of_different_patients(seed: int) -> None:
    table, (text,) = table_of(9, 2, 4, seed=seed), texts_of(1)
    sigma = standing(match(table.features, text[None]))[:, 0]
    found = Search(table).extremes(text, Level.PATCH, 4)
    used: set[str] = set()
    for sign, side in ((1, found.best), (-1, found.worst)):
        expected, owners = [], set()
        for row in np.argsort(-sign * sigma):
            patient, slide = table["patient"][row], table["slide"][row]
            if len(expected) < 4 and patient not in owners and slide not in used:
                expected.append(int(row))
                owners.add(patient)
        used |= {table["slide"][row] for row in expected}
        assert [one.row for one in side] == expected
        np.testing.assert_allclose([one.sigma for one in side], sigma[expected], atol=1e-4)


@pytest.mark.parametrize(("level", "column"), [(Level.SLIDE, "slide"), (Level.PATIENT, "patient")])
def test_slides_and_patients_by_the_mean_of_their_unit_features(level: Level, column: str) -> None:
    table, (text,) = table_of(9, 1, 4), texts_of(1)
    cosines = match(table.features, text[None])[:, 0]
    z = table.features / np.linalg.norm(table.features, axis=1, keepdims=True)
    names = sorted(set(table[column]))
    means = np.stack([z[table[column] == name].mean(axis=0) for name in names])
    sigma = standing(match(means, text[None]))[:, 0]
    found = Search(table).extremes(text, level, 3)
    for side, order in ((found.best, np.argsort(-sigma)), (found.worst, np.argsort(sigma))):
        assert [table[column][one.row] for one in side] == [names[i] for i in order[:3]]
        np.testing.assert_allclose([one.sigma for one in side], sigma[order[:3]], atol=1e-4)
        for one in side:  # also of the worst, the patch that comes nearest
            mates = np.flatnonzero(table[column] == table[column][one.row])
            assert one.row == mates[cosines[mates].argmax()]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("patients", "slides"), [(1, 1), (1, 3), (2, 2), (3, 1)])
def test_few_slides_or_patients_are_shown_once(level: Level, patients: int, slides: int) -> None:
    table, (text,) = table_of(patients, slides, 1), texts_of(1)
    best, worst = Search(table).extremes(text, level, 4)
    column = "patient" if level is Level.PATIENT else "slide"
    shown = [table[column][one.row] for one in (*best, *worst)]
    assert len(set(shown)) == len(shown)
    units = len(set(table[column]))
    assert (len(best), len(worst)) == ((1, 0) if units == 1 else (units // 2, units // 2))


def test_features_of_zero_or_all_alike_stand_nowhere() -> None:
    table, (text,) = table_of(3, 1, 2), texts_of(1)
    for features in (np.zeros_like(table.features), np.ones_like(table.features)):
        flat = EmbeddingTable(features, table.columns, {})
        for level in LEVELS:
            best, worst = Search(flat).extremes(text, level, 4)
            assert [one.sigma for one in (*best, *worst)] == pytest.approx([0, 0], abs=1e-3)
