"""Files that say which slide they are: one a slide, the manifest of pyramids, and what they cannot hold."""

import json
from pathlib import Path

import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write.drawn import write_drawn
from hlss.cohorts.write.frame import frame_of
from hlss.errors import UserError
from hlss.slides.opening import open_slide


def silent(done: int, of: int) -> None: ...


def test_a_file_a_slide_as_large_as_in_the_cohort(tmp_path: Path, drawn: Cohort) -> None:
    seen: list[tuple[int, int]] = []
    write_drawn(drawn, tmp_path / "out", lambda done, of: seen.append((done, of)))
    assert seen == [(tiles, 24) for tiles in range(4, 25, 4)]
    paths = sorted((tmp_path / "out" / "slides").iterdir())
    assert [path.name for path in paths] == [f"{slide}.phantom" for slide in drawn.slides]
    for image, path in enumerate(paths):
        said = json.loads(path.read_text())
        assert (said["patient"], said["slide"]) == divmod(image, 2)
        with open_slide(path) as slide:
            frame = frame_of(drawn, image)
            assert (slide.size_px0, slide.mpp, slide.scales) == ((frame.width_px0, frame.height_px0), 0.5, (1,))


def test_some_patients_of_a_cohort_keep_their_slides(tmp_path: Path, drawn: Cohort) -> None:
    write_drawn(drawn.keep_patients([2]), tmp_path / "out", silent)
    (first, second) = sorted((tmp_path / "out" / "slides").iterdir())
    assert (first.name, json.loads(first.read_text())["patient"]) == ("P0002-00.phantom", 2)
    with open_slide(second) as slide:
        assert (slide.read((8, 8), 32, 1.0) == drawn.source.read(5, (8, 8), 32, 1.0)).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("side", "scales"), [(2, (1,)), (4, (1, 4)), (78, (1, 4, 16, 64, 256))])
def test_levels_go_down_until_one_tile_is_enough(tmp_path: Path, side: int, scales: tuple[int, ...]) -> None:
    cohort = PhantomSpec(patients=1, slides=1, side=side, tile_px=256 if side > 2 else 128).open()
    write_drawn(cohort, tmp_path / "out", silent)
    with open_slide(tmp_path / "out/slides/P0000-00.phantom") as slide:
        assert slide.scales == scales


def test_what_is_not_drawn_or_too_large_is_refused(tmp_path: Path, stored: Cohort) -> None:
    with pytest.raises(UserError, match="only drawn tissue"):
        write_drawn(stored, tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()
    vast = PhantomSpec(patients=1, slides=1, side=5000, tile_px=256).open()
    with pytest.raises(UserError, match=r"P0000-00: `width_px0`: .*less than or equal to 1048576"):
        write_drawn(vast, tmp_path / "out", silent)
