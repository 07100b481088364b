"""Words beside the truth: marks, the choice of patches, and the pictures' layout, on constructed cases."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from hlss.cohorts.phantom.factors import FACTORS, INDEX
from hlss.explain import cards
from hlss.explain.cards import BETWEEN, DISTRACTOR, FALSE, MARKS, TRUE, UNKNOWN, Reading, Word, show_readings
from hlss.jobs.demo_maps import characteristics_of
from hlss.jobs.demo_readings import Read, mark_of, one_of_each, truth_in_words
from hlss.jobs.truth import Asked, Words
from hlss.language.factors import Truth
from hlss.types import Level

HIGH, LOW, NOTHING = Truth("nuclear_size", "high"), Truth("nuclear_size", "low"), Truth(None, None)


@pytest.mark.parametrize(
    ("truth", "value", "mark"),
    [
        (HIGH, 0.6, TRUE),
        (HIGH, 0.5, BETWEEN),
        (HIGH, 0.4, FALSE),
        (LOW, 0.4, TRUE),
        (LOW, 0.41, BETWEEN),
        (LOW, 0.9, FALSE),
        (HIGH, float("nan"), UNKNOWN),
        (NOTHING, float("nan"), DISTRACTOR),
    ],
)
def test_a_mark_says_whether_the_word_is_true(truth: Truth, value: float, mark: str) -> None:
    assert mark_of(truth, value) == mark


def test_the_truth_is_written_without_underscores_and_says_what_was_never_told() -> None:
    assert truth_in_words(HIGH, 0.256) == "true nuclear size: 0.26"
    assert truth_in_words(Truth("membrane", "low"), float("nan")) == "true membrane: unknown (never told)"
    assert truth_in_words(NOTHING, float("nan")) == "distractor: names nothing drawn"


@pytest.mark.parametrize("count", [1, 3, 5, 7, 9])
def test_no_class_stands_twice_before_all_stand_once(count: int) -> None:
    labels = np.array(list("aaaaaaabbbbc"), dtype=object)
    chosen = one_of_each(labels, count)
    assert len(set(chosen.tolist())) == len(chosen) <= count
    of_first = Counter(labels[chosen[:3]].tolist())
    assert max(of_first.values()) == 1
    assert len(of_first) == min(count, 3)
    if count == 5:
        assert labels[chosen].tolist() == ["a", "b", "c", "a", "b"]


@pytest.fixture
def read() -> Read:
    """Two patches and orthogonal words: each patch says one word of each level louder than the next."""
    names = {
        Level.PATCH: ["large", "small", "pearls"],
        Level.SLIDE: ["glands", "solid", "bleeding"],
        Level.PATIENT: ["x", "y", "z"],
    }
    meant = {
        Level.PATCH: [HIGH, LOW, NOTHING],
        Level.SLIDE: [Truth("glands", "high"), Truth("glands", "low"), Truth("haemorrhage", "high")],
        Level.PATIENT: [NOTHING] * 3,
    }
    rows = {Level.PATCH: np.eye(6)[:3], Level.SLIDE: np.eye(6)[3:], Level.PATIENT: np.eye(6)[:3]}
    words = Words(rows, names, {level: dict(zip(names[level], meant[level], strict=True)) for level in names})
    features = np.array([[9, 1, 5, 9, 5, 1], [1, 9, 5, 1, 5, 9]], dtype=np.float32)
    truth = np.zeros((2, len(FACTORS)))
    truth[:, INDEX["nuclear_size"]] = 0.9, np.nan
    truth[:, INDEX["glands"]] = 0.5, 0.1
    return Read.of(Asked(features, np.array(["P0", "P1"]), truth), words)


def test_each_word_is_judged_by_its_own_factor(read: Read) -> None:
    first, second = ([(word.name, word.mark) for word in read.of_patch(row)] for row in (0, 1))
    assert first == [("large", TRUE), ("pearls", DISTRACTOR), ("glands", BETWEEN), ("solid", BETWEEN)]
    assert second == [("small", UNKNOWN), ("pearls", DISTRACTOR), ("bleeding", FALSE), ("solid", TRUE)]
    assert read.of_patch(0)[0].standing == pytest.approx(1)
    assert read.share_true() == 2 / 8


def test_the_share_at_random_is_that_of_all_words(read: Read) -> None:
    """Patch level: large of the first patch, 1 of 6; slide level: solid of the second, 1 of 6."""
    assert read.share_true_at_random() == pytest.approx(1 / 6)


def test_marks_can_be_drawn() -> None:
    known = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight="bold"))).get_charmap()
    assert all(ord(mark) in known for mark in (*MARKS, "σ", "“", "”"))


def _figure_of(monkeypatch: pytest.MonkeyPatch, module: object) -> list[Figure]:
    kept: list[Figure] = []
    monkeypatch.setattr(module, "save", lambda figure, path: kept.append(figure))
    return kept


def test_no_card_runs_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the longest words of the bank, and the longest truths."""
    kept = _figure_of(monkeypatch, cards)
    word = Word("abundant eosinophilic cytoplasm", -1.5, UNKNOWN, "true size variation: unknown (never told)")
    reading = Reading(np.zeros((96, 96, 3), np.uint8), "desmoplastic", [word] * 4)
    show_readings([reading] * 7, ("title", "subtitle"), [(TRUE, "true " * 30), ("", "a line " * 20)], Path("r.png"))
    kept[0].draw_without_rendering()
    boxes = [text.get_window_extent() for text in kept[0].texts if text.get_text()]
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.padded(-1).overlaps(b.padded(-1))]
    assert not overlaps
    assert max(box.x1 for box in boxes) <= kept[0].bbox.width
    assert min(box.y0 for box in boxes) >= 0


def test_what_is_mapped_varies_most_and_was_told() -> None:
    truth = 0.1 * np.random.default_rng(0).random((50, len(FACTORS)))
    truth[:, INDEX["haemorrhage"]] = np.repeat([0.0, 1.0], 25)  # never told
    truth[:, INDEX["density"]] = np.repeat([0.0, 1.0], 25)  # no structure
    truth[:, INDEX["vessels"]] = np.repeat([0.0, 0.8], 25)
    truth[:, INDEX["glands"]] = np.repeat([0.0, 0.7], 25)
    names = ["solid", "glands", "tubules", "vessels", "bleeding"]
    meant = [("glands", "low"), ("glands", "high"), ("glands", "high"), ("vessels", "high"), ("haemorrhage", "high")]
    truths = {Level.SLIDE: {name: Truth(*one) for name, one in zip(names, meant, strict=True)}}
    assert characteristics_of(truth, Words({}, {Level.SLIDE: names}, truths)) == ["vessels", "glands"]
