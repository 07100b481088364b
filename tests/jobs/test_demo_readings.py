"""Words beside the truth: marks, the choice of patches, and the pictures' layout, on constructed cases."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from hlss.cohorts.phantom.factors import FACTORS, INDEX
from hlss.cohorts.phantom.nuisance import look_of
from hlss.cohorts.phantom.spec import PhantomSpec, drawn_slides
from hlss.explain import cards, pictures
from hlss.explain.cards import BETWEEN, DISTRACTOR, FALSE, MARKS, TRUE, UNKNOWN, Reading, Word, show_readings
from hlss.explain.pictures import SlideMap, show_map
from hlss.jobs.demo_pictures import _Ground, most_varying
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


def test_the_three_panels_lie_on_the_same_millimetres(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _figure_of(monkeypatch, pictures)
    tiles = np.arange(16).reshape(4, 4) / 16
    shown = SlideMap(np.zeros((80, 80, 3), np.uint8), tiles, tiles, 1.9)
    show_map(shown, ("slide", "read", "drawn"), "a note", Path("map.png"))
    kept[0].draw_without_rendering()
    panels = [axes for axes in kept[0].axes if axes.get_title(loc="left")]
    boxes = np.array([axes.get_window_extent().bounds for axes in panels])
    assert len(panels) == 3
    np.testing.assert_allclose(boxes[:, 1:], boxes[[0, 0, 0], 1:], atol=0.01)
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in panels} == {((0, 1.9), (1.9, 0))}
    every = [axes.get_tightbbox().extents for axes in kept[0].axes]
    assert min(box[0] for box in every) >= 0
    assert max(box[2] for box in every) <= kept[0].bbox.width


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


def test_what_was_never_told_is_not_mapped() -> None:
    rng = np.random.default_rng(0)
    truths = {name: 0.1 * rng.random(50) for name in FACTORS}
    truths["haemorrhage"] = np.repeat([0.0, 1.0], 25)  # never told
    truths["density"] = np.repeat([0.0, 1.0], 25)  # no structure
    truths["vessels"] = np.repeat([0.0, 0.8], 25)
    assert most_varying(truths) == "vessels"


def test_the_nuisances_named_are_those_of_the_slide() -> None:
    """Bands by their definition: places nearer to a line than half its width."""
    spec = PhantomSpec(patients=40, slides=1, tile_px=64, mpp=1.0, seed=3)
    source = drawn_slides(spec.open())
    x, y = np.meshgrid(np.arange(0, 1280, 4), np.arange(0, 1280, 4))
    seen = Counter()
    for image in range(40):
        look = look_of(spec.seed, image, 0, source.site(image), spec.stain)
        named = _Ground(source, image, 64, 1.0).nuisances()
        for name, band in (("a pen mark", look.pen and look.pen[1]), ("a fold", look.fold)):
            inside = False
            for k in range(-3, 4) if band is not None else ():
                away = np.abs(band.normal[0] * x + band.normal[1] * y - band.offset_um - k * band.every_um)
                inside = inside or bool((away < band.half_um - 2).any())
            assert (name in named) == inside
            seen[name, inside] += 1
    assert len(seen) == 4
