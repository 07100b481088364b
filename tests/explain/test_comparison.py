"""Comparisons whose answer is known: a difference that was put in, noise, and sides that are too small."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from explained_table import moved, table_of, wordings
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.explain.comparison import Comparison, auroc, comparison
from hlss.explain.comparison_picture import show_comparison
from hlss.explain.gauge import Gauge
from hlss.explain.match import match, standing
from hlss.explain.sides import of_classes, of_patients, rows_named, rows_on_sides, too_few
from hlss.types import LEVELS, Level

SETTINGS = {"resamples": 200, "permutations": 200, "seed": 0}


def classes(gauge: Gauge, level: Level, words, names: tuple[str, str] = ("a", "b")) -> Comparison:
    halves, _ = rows_named(gauge, names)
    found = comparison(of_classes(gauge, halves, level), words, **SETTINGS)
    assert found is not None
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_a_characteristic_that_was_put_into_a_class_separates_it(level: Level) -> None:
    words = wordings(12, 32)
    table = moved(table_of(16, 2, 8, 32, labels=("a", "b")), "label", "a", 2 * words.rows[5])
    found = classes(Gauge(table), level, words)
    assert found.order(3)[0] == 5
    assert found.verdict(5) == "yes"
    assert found.difference[5] > 0
    assert found.low[5] < found.difference[5] < found.high[5]
    assert found.low[5] > 0.5
    assert found.p_images[5] == pytest.approx(1 / 201)
    assert found.blocks == (8, 8)
    turned = classes(Gauge(table), level, words, ("b", "a"))
    np.testing.assert_allclose(turned.difference, -found.difference, atol=1e-9)


def test_differences_are_those_of_mean_standings() -> None:
    table, words = table_of(12, 2, 5, 8, labels=("a", "b", "c")), wordings(6, 8)
    gauge = Gauge(table)
    sigma = standing(match(table.features, words.rows))
    labels = table["label"]
    plain = sigma[labels == "a"].mean(axis=0) - sigma[labels == "b"].mean(axis=0)
    np.testing.assert_allclose(classes(gauge, Level.PATCH, words).difference, plain, atol=1e-4)
    means = standing(gauge.means(Level.SLIDE) @ words.rows.astype(np.float64).T)
    of_slide = np.array([set(labels[gauge.rows(Level.SLIDE, s)]).pop() for s in range(len(means))])
    plain = means[of_slide == "a"].mean(axis=0) - means[of_slide == "b"].mean(axis=0)
    np.testing.assert_allclose(classes(gauge, Level.SLIDE, words).difference, plain, atol=1e-4)


def test_of_classes_without_a_difference_none_separates_but_at_the_nominal_rate() -> None:
    draws, surely, images = 200, 0, 0
    for draw in range(draws):
        table, words = table_of(10, 1, 4, 12, seed=draw, labels=("a", "b")), wordings(10, 12, seed=draw)
        found = classes(Gauge(table), Level.PATCH, words)
        surely += any(found.verdict(k) == "yes" for k in range(10))
        images += found.p_images.min() <= 0.05
    assert surely <= images <= binom.ppf(0.999, draws, 0.05)
    assert images > 0


def test_intervals_hold_the_true_difference_where_patients_differ() -> None:
    """Patients with effects of their own; the truth is the difference of the classes they were drawn from."""
    held, n, words = 0, 60, wordings(1, 6, draws=2)
    for draw in range(n):
        rng = np.random.default_rng(5000 + draw)
        table = table_of(30, 1, 4, 6, seed=draw, labels=("a", "b"))
        own = rng.standard_normal((30, 1)) * words.rows[0]
        patient = np.array([int(name[1:]) for name in table["patient"]])
        gauge = Gauge(EmbeddingTable(table.features + own[patient].astype(np.float32), table.columns, {}))
        found = classes(gauge, Level.PATCH, words)
        held += found.low[0] <= 0 <= found.high[0]
    assert held >= binom.ppf(0.001, n, 0.93)


def test_units_of_several_labels_and_of_a_third_class_are_on_neither_side() -> None:
    table = table_of(4, 2, 4, 5, labels=("a", "b", "c"))
    labels = table["label"].copy()
    labels[np.flatnonzero(table["slide"] == "s000")[0]] = "b"
    labels[np.flatnonzero(table["slide"] == "s002")[0]] = "c"
    labels[np.flatnonzero(table["slide"] == "s006")[0]] = ""
    gauge = Gauge(EmbeddingTable(table.features, {**table.columns, "label": labels}, {}))
    halves, _ = rows_named(gauge, ("a", "b"))
    slides = [gauge.names(Level.SLIDE)[rows].tolist() for rows in rows_on_sides(gauge, halves, Level.SLIDE)]
    assert slides == [["s001", "s006", "s007"], ["s003"]]
    patients = [gauge.names(Level.PATIENT)[rows].tolist() for rows in rows_on_sides(gauge, halves, Level.PATIENT)]
    assert patients == [["p003"], []]
    assert comparison(of_classes(gauge, halves, Level.PATIENT), wordings(3, 5), **SETTINGS) is None


def test_a_class_with_one_patient_has_no_interval_and_says_so() -> None:
    labels = ("a", *["b"] * 11)
    gauge, words = Gauge(table_of(12, 1, 6, 8, labels=labels)), wordings(4, 8)
    halves, _ = rows_named(gauge, ("a", "b"))
    sides = of_classes(gauge, halves, Level.PATCH)
    found = comparison(sides, words, **SETTINGS)
    assert found is not None
    assert np.isnan(found.low).all()
    assert np.isfinite(found.difference).all()
    said = too_few(sides, "patients")
    assert said == "no intervals: 1 and 11 patients, 5 on either side and 10 in all are needed"
    assert too_few(replace(sides, second=np.arange(12) % 2 == 0), "patients") is None


def test_two_patients_are_resampled_by_parts_and_neighbours_do_not_count_twice() -> None:
    """A wave over each slide: patches side by side are alike, so the interval is wider than of patches apart."""
    table, words = table_of(2, 1, 240, 6), wordings(3, 6)
    wave = np.sin(table["y_px0"] / 500)[:, None] * words.rows[0] * 3
    gauge = Gauge(EmbeddingTable((table.features + wave).astype(np.float32), table.columns, {}))
    halves, are_classes = rows_named(gauge, ("p000", "p001"))
    sides = of_patients(gauge, halves)
    assert not are_classes
    assert too_few(sides, "parts of slides") is None
    assert all(10 <= count <= 60 for count in sides.blocks)
    assert sides.units == (240, 241)
    found = comparison(sides, words, **SETTINGS)
    z, every = gauge.z(np.arange(481)).astype(np.float64), np.arange(481)
    each = replace(sides, sums=z, sizes=np.ones(481, np.int64), second=halves[1], owners=every)
    naive = comparison(each, words, **SETTINGS)
    assert found is not None
    assert naive is not None
    np.testing.assert_allclose(found.difference, naive.difference, atol=1e-6)
    assert (found.high - found.low)[0] > 1.5 * (naive.high - naive.low)[0]


def test_ten_slides_of_a_patient_are_its_parts() -> None:
    gauge = Gauge(table_of(2, 10, 3, 4))
    halves, _ = rows_named(gauge, ("p000", "p001"))
    assert of_patients(gauge, halves).blocks == (10, 10)


def test_auroc_is_the_area_with_ties() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 30).astype(float), rng.integers(1, 6, 40).astype(float)
    assert auroc(a, b) == pytest.approx(roc_auc_score([1] * 30 + [0] * 40, np.r_[a, b]))


def test_names_that_cannot_be_compared_are_one_line() -> None:
    gauge = Gauge(table_of(4, 1, 3, 4, labels=("a", "b")))
    for names, said in (
        (("a", "a"), "compared with itself"),
        (("a", "nobody"), "neither a class nor a patient: nobody. Classes here: a, b"),
        (("a", "p001"), "a class and a patient"),
    ):
        with pytest.raises(UserError, match=said):
            rows_named(gauge, names)


def test_the_picture_shows_every_bank_and_stands_without_intervals(tmp_path: Path) -> None:
    table = table_of(6, 1, 6, 8, labels=("a", "b"))
    words = wordings(4, 8)
    found = {level: classes(Gauge(table), level, words) for level in (Level.PATCH, Level.SLIDE)}
    show_comparison("a against b", found, 3, {"text 1"}, tmp_path / "compare.png")
    image = cv2.imread(str(tmp_path / "compare.png"))
    assert image is not None
    assert image.std() > 5
