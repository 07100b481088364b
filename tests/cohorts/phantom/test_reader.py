"""Drawn tissue as slide files: what the cohort draws, at any size and resolution, in pieces; mistakes are one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlss.cohorts.phantom import PhantomSpec, reader
from hlss.cohorts.phantom.reader import FINEST_MPP, PIECE_PX, PhantomFile, PhantomSlide
from hlss.cohorts.phantom.spec import DRAWING, MPP0
from hlss.errors import Unreadable, UserError
from hlss.slides.opening import open_slide

COHORT = PhantomSpec(patients=7, slides=2, stain=2.0, organ=1, seed=5)
PATIENT, SLIDE, SIDE_PX0 = 4, 1, 20_000
IMAGE = PATIENT * 2 + SLIDE
FILE = PhantomFile(
    drawing=DRAWING,
    cohort=COHORT,
    patient=PATIENT,
    slide=SLIDE,
    width_px0=SIDE_PX0,
    height_px0=SIDE_PX0,
    mpp=MPP0,
    downsamples=(1, 4, 16, 64),
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(key=…): a file like FILE, but for these keys; None leaves a key out."""

    def made(**changes: Any) -> Path:
        tree = {**FILE.model_dump(mode="json"), **changes}
        path = tmp_path / "a.phantom"
        path.write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))
        return path

    return made


def cohort_s(xy_px0: tuple[int, int], size_px: int, mpp: float | None) -> np.ndarray:
    return np.asarray(COHORT.open().source.read(IMAGE, xy_px0, size_px, mpp))  # type: ignore[attr-defined]


def test_a_slide_of_a_centimetre_in_a_few_hundred_bytes(write: Write) -> None:
    path = write()
    assert path.stat().st_size < 1000
    with open_slide(path) as slide:
        assert isinstance(slide, PhantomSlide)
        assert (slide.size_px0, slide.mpp, slide.scales) == ((SIDE_PX0, SIDE_PX0), MPP0, (1, 4, 16, 64))
        assert (slide.facts["vendor"], slide.icc) == ("phantom", None)
        assert slide.read((SIDE_PX0 - 64, SIDE_PX0 - 64), 64, None).std() > 5


@pytest.mark.parametrize("mpp", [None, 0.25, 0.5, 0.502, 0.7, 1.0, 1.5, 1.51, 2.0, 3.3, 4.1, 8.0, 31.4159])
def test_it_is_to_the_bit_what_the_cohort_draws_there(write: Write, mpp: float | None) -> None:
    with open_slide(write()) as slide:
        for xy in ((0, 0), (12_345, 6_789)):
            np.testing.assert_array_equal(slide.read(xy, 96, mpp), cohort_s(xy, 96, mpp))


def test_levels_are_drawn_at_their_own_resolution(write: Write) -> None:
    with open_slide(write()) as slide:
        for level, scale in enumerate((1, 4, 16, 64)):
            found = slide.read_level(level, (30, 50), (120, 120))
            np.testing.assert_array_equal(found, cohort_s((30 * scale, 50 * scale), 120, MPP0 * scale))


@pytest.mark.parametrize("mpp", [0.5, 1.0, 4.0, 16.0])
def test_large_regions_are_drawn_in_pieces_that_fit(write: Write, monkeypatch: pytest.MonkeyPatch, mpp: float) -> None:
    whole = cohort_s((1000, 2000), 450, mpp)
    sides = []
    drawn = reader.draw_tile
    monkeypatch.setattr(reader, "draw_tile", lambda *at: sides.append(at[3]) or drawn(*at))
    monkeypatch.setattr(reader, "PIECE_PX", 200)
    with open_slide(write()) as slide:
        np.testing.assert_array_equal(slide.read((1000, 2000), 450, mpp), whole)
        assert sides == [150] * 9
        wide = slide.read_rectangle((1000, 2000), (450, 170), mpp)
        np.testing.assert_array_equal(wide, whole[:170])
        assert sides[9:] == [170] * 3
        high = slide.read_rectangle((1000, 2000), (3, 450), mpp)
        np.testing.assert_array_equal(high, whole[:, :3])
        assert sides[12:] == [128] * 4


def test_nothing_larger_than_a_piece_is_drawn_at_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []

    def blank(truth: object, look: object, xy_um: object, side: int, mpp: float) -> np.ndarray:
        sides.append(side)
        return np.zeros((side, side, 3), np.uint8)

    monkeypatch.setattr(reader, "draw_tile", blank)
    with open_slide(write()) as slide:
        for size in ((5000, 5000), (5000, 1), (1025, 1300), (1024, 1024), (1, 1)):
            assert slide.read_rectangle((0, 0), size, None).shape == (*size[::-1], 3)
    assert max(sides) == PIECE_PX


def test_another_mpp_of_level_0_is_another_name_for_the_same_pixels(write: Write) -> None:
    with open_slide(write(), mpp=0.25) as slide:
        assert slide.mpp == 0.25
        np.testing.assert_array_equal(slide.read((100, 200), 64, 0.25), cohort_s((100, 200), 64, 0.5))
        np.testing.assert_array_equal(slide.read((100, 200), 64, None), cohort_s((100, 200), 64, 0.5))
        np.testing.assert_array_equal(slide.read((100, 200), 64, 1.0), cohort_s((100, 200), 64, 2.0))


def test_a_finer_level_0_shows_the_same_places(write: Write) -> None:
    with open_slide(write(mpp=0.25)) as slide:
        np.testing.assert_array_equal(slide.read((800, 400), 64, 0.25), cohort_s((400, 200), 64, 0.25))
        np.testing.assert_array_equal(slide.read((800, 400), 64, 1.0), cohort_s((400, 200), 64, 1.0))


def test_what_is_finer_than_can_be_drawn_is_enlarged(write: Write) -> None:
    with open_slide(write()) as slide:
        found = slide.read((100, 200), 160, FINEST_MPP / 2)
        level0 = slide.read((100, 200), 16, None).astype(float)
    means = found.reshape(16, 10, 16, 10, 3).mean(axis=(1, 3))
    assert found.shape == (160, 160, 3)
    assert np.corrcoef(means.ravel(), level0.ravel())[0, 1] > 0.98


def test_without_a_profile_srgb_leaves_it_as_it_is_and_drawn(write: Write) -> None:
    with open_slide(write(), srgb=True) as slide:
        assert slide.facts["colour"].startswith("as stored")
        np.testing.assert_array_equal(slide.read((100, 200), 64, 0.7), cohort_s((100, 200), 64, 0.7))


MISTAKES = [
    ({"patient": 7}, r"patient 7, slide 1 is none of 7 patients of 2 slides"),
    ({"slide": 2}, r"patient 4, slide 2 is none of 7 patients of 2 slides"),
    ({"patient": -1}, "`patient`: Input should be greater"),
    ({"patient": None}, "`patient` is missing"),
    ({"patient": "first"}, "`patient`: .*integer"),
    ({"width_px0": 0}, "`width_px0`: .*greater"),
    ({"height_px0": 2**20 + 1}, "`height_px0`: .*less than or equal to 1048576"),
    ({"mpp": 0.01}, "`mpp`: .*greater than or equal to 0.1"),
    ({"mpp": float("nan")}, "`mpp`: "),
    ({"mpp": float("inf")}, "`mpp`: "),
    ({"downsamples": [1, 4, 4]}, "begin with 1 and rise"),
    ({"downsamples": [2, 4]}, "begin with 1 and rise"),
    ({"downsamples": []}, "`downsamples`: .*at least 1 item"),
    ({"downsamples": list(range(1, 99))}, "`downsamples`: .*at most 32 items"),
    ({"pixels": "a.tiff"}, "unknown key `pixels`"),
    ({"cohort": {"name": "phantom", "patient": 3}}, r"unknown key `cohort\.patient`"),
    ({"cohort": {"name": "slides", "tiles": "x"}}, r"`cohort\.name`"),
    ({"cohort": "phantom"}, "`cohort`: "),
    ({"cohort": {"name": "phantom", "patients": 7, "stain": 1e300}}, "its settings cannot be drawn"),
    ({"cohort": {"name": "phantom", "sites": 10**30}}, "its settings cannot be drawn"),
    ({"drawing": "1.0"}, rf"the file is of '1\.0', and '{DRAWING}' is drawn here; write it anew"),
    ({"drawing": None}, "`drawing` is missing"),
]


@pytest.mark.parametrize(("changes", "complaint"), MISTAKES)
def test_a_mistake_in_the_file_is_one_line(write: Write, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Unreadable, match=rf"a\.phantom: cannot be read: .*{complaint}") as caught:
        open_slide(write(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 60_000, "not valid JSON"),
        (b'{"patient": ' + b"9" * 60_000 + b"}", "not valid JSON"),
        (b"[]", "dictionary"),
        (b"null", "dictionary"),
        (FILE.text().encode() + b" " * 2**16, "larger than 65536 bytes"),
    ],
    ids=["empty", "cut short", "binary", "deep", "huge number", "list", "null", "large"],
)
def test_what_is_no_such_json_is_refused(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "A.PHANTOM"
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=rf"A\.PHANTOM: cannot be read: .*{complaint}") as caught:
        open_slide(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_reader_named_for_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UserError, match="not valid JSON"):
        open_slide(tmp_path / "a.txt", reader="phantom")
    with pytest.raises(Unreadable, match="no slide that is known"):
        open_slide(tmp_path / "a.txt")
