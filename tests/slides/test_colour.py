"""Colour profiles: a profile that is sRGB changes nothing; one of another gamma does what its curve says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colour_profiles import as_pil_converts, linear, srgb
from PIL import Image
from slide_files import tissue

from hlss.errors import Unreadable
from hlss.slides.colour import SrgbSlide
from hlss.slides.opening import open_slide

Saved = Callable[[bytes | None], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    def save(icc: bytes | None) -> Path:
        Image.fromarray(tissue(64, 48)).save(tmp_path / "a.tif", **({} if icc is None else {"icc_profile": icc}))
        return tmp_path / "a.tif"

    return save


def test_srgb_stays_and_the_slide_says_so(saved: Saved) -> None:
    with open_slide(saved(srgb()), srgb=True) as slide, open_slide(slide.path) as stored:
        assert slide.facts["colour"] == "sRGB, by the file's profile"
        assert np.abs(slide.read((0, 0), 48, None).astype(int) - stored.read((0, 0), 48, None)).max() <= 1
        assert (slide.size_px0, slide.scales, slide.size_px(0)) == (stored.size_px0, stored.scales, stored.size_px(0))


def test_straight_curves_become_srgbs(saved: Saved) -> None:
    with open_slide(saved(linear()), srgb=True) as slide, open_slide(slide.path) as stored:
        light = stored.read((0, 0), 48, None) / 255.0
        truth = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        assert np.abs(slide.read((0, 0), 48, None) - truth).max() <= 2
        assert np.abs(truth - 255 * light).mean() > 20


def test_the_profile_is_of_the_reduced_pixels(saved: Saved) -> None:
    """As PIL converts what the slide gives without it: a mean of light, brought to sRGB, is no mean of sRGB."""
    with open_slide(saved(linear()), mpp=0.5, srgb=True) as slide, open_slide(slide.path, mpp=0.5) as stored:
        for mpp in (0.5, 1.0, 1.6):
            truth = as_pil_converts(stored.read((0, 0), 14, mpp), linear())
            np.testing.assert_array_equal(slide.read((0, 0), 14, mpp), truth)
        level = stored.read_level(0, (3, 4), (20, 10))
        np.testing.assert_array_equal(slide.read_level(0, (3, 4), (20, 10)), as_pil_converts(level, linear()))


def test_a_resolution_that_is_told_late_is_the_slides_own(tmp_path: Path) -> None:
    Image.fromarray(tissue(64, 48)).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", srgb=True) as slide:
        assert slide.mpp is None
        slide.mpp = 0.5
        assert slide.read((0, 0), 24, 1.0).shape == (24, 24, 3)


def test_a_slide_without_a_profile_is_left_as_it_is_and_says_so(saved: Saved) -> None:
    with open_slide(saved(None), srgb=True) as slide, open_slide(slide.path) as stored:
        assert slide.facts["colour"].startswith("as stored: the file has no colour profile")
        np.testing.assert_array_equal(slide.read((0, 0), 48, None), stored.read((0, 0), 48, None))
        assert "colour" not in stored.facts


def test_a_damaged_profile_is_named_only_where_it_is_used(saved: Saved) -> None:
    path = saved(b"no profile at all" * 20)
    with pytest.raises(Unreadable, match="its colour profile cannot be used"):
        open_slide(path, srgb=True)
    open_slide(path).close()


def test_the_profile_of_a_scanner_is_read_once(saved: Saved) -> None:
    path = saved(linear())
    with open_slide(path, srgb=True) as one, open_slide(path, srgb=True) as other:
        assert isinstance(one, SrgbSlide)
        assert isinstance(other, SrgbSlide)
        assert one._transform is other._transform
