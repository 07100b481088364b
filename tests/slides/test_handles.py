"""Slides that a process keeps open."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hlss.errors import Unreadable
from hlss.slides.base import Slide
from hlss.slides.flat import FlatSlide
from hlss.slides.handles import Handles


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(made):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
    return made


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the slides closed, in order."""
    names: list[str] = []
    monkeypatch.setattr(FlatSlide, "close", lambda slide: names.append(slide.path.stem))
    return names


def first_red(slide: Slide) -> int:
    return int(slide.read((0, 0), 5, None)[0, 0, 0])


def test_what_was_not_used_for_longest_is_closed_first(paths: list[Path], closed: list[str]) -> None:
    handles = Handles(2)
    zero, one = handles.get(paths[0]), handles.get(paths[1])
    assert handles.get(paths[0]) is zero
    handles.get(paths[2])
    assert closed == ["1"]
    assert handles.get(paths[0]) is zero
    assert handles.get(paths[1]) is not one
    assert closed == ["1", "2"]
    assert [first_red(handles.get(path)) for path in paths] == [0, 1, 2, 3]


def test_a_slide_at_another_mpp_is_another(paths: list[Path]) -> None:
    handles = Handles()
    assert handles.get(paths[0], 0.5).mpp == 0.5
    assert handles.get(paths[0], 0.25).mpp == 0.25
    assert handles.get(paths[0]).mpp is None


def test_handles_travel_empty_and_open_anew(paths: list[Path]) -> None:
    handles = Handles(3, "flat", srgb=True)
    handles.get(paths[1])
    again = pickle.loads(pickle.dumps(handles))
    assert (again._most, again._reader, again._srgb, len(again._open)) == (3, "flat", True, 0)
    assert first_red(again.get(paths[1])) == 1


def test_a_slide_that_failed_is_opened_anew(paths: list[Path], closed: list[str]) -> None:
    handles, whole = Handles(), paths[3].read_bytes()
    paths[3].write_bytes(whole[:50])
    with pytest.raises(Unreadable):
        handles.get(paths[3]).read((0, 0), 5, None)
    handles.drop(paths[3])
    handles.drop(paths[3])  # is not there any more: nothing to do
    assert closed == ["3"]
    paths[3].write_bytes(whole)
    assert first_red(handles.get(paths[3])) == 3


def test_a_file_that_cannot_be_opened_takes_no_place(paths: list[Path], tmp_path: Path) -> None:
    handles = Handles(2)
    with pytest.raises(Unreadable, match="no such file"):
        handles.get(tmp_path / "none.svs")
    kept = [handles.get(path) for path in paths[:2]]
    assert np.all([handles.get(path) is slide for path, slide in zip(paths[:2], kept, strict=True)])


def test_handles_that_go_away_close_their_slides(paths: list[Path], closed: list[str]) -> None:
    handles = Handles()
    handles.get(paths[0]), handles.get(paths[3])
    del handles
    assert sorted(closed) == ["0", "3"]
