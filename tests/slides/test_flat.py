"""Flat images as slides of one level."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_files import tissue

from hlss.errors import Unreadable, UserError
from hlss.slides import flat
from hlss.slides.opening import open_slide


def test_a_png_is_a_slide_whose_mpp_must_be_given(tmp_path: Path) -> None:
    pixels = tissue(120, 90)
    Image.fromarray(pixels).save(tmp_path / "a.png", dpi=(300, 300))
    with open_slide(tmp_path / "a.png") as slide:
        assert isinstance(slide, flat.FlatSlide)
        assert (slide.size_px0, slide.mpp, slide.scales) == ((120, 90), None, (1.0,))
        found = slide.read((20, 10), 50, None)
        np.testing.assert_array_equal(found, pixels[10:60, 20:70])
        found[:] = 0  # an array of one's own
        np.testing.assert_array_equal(slide.read((20, 10), 50, None), pixels[10:60, 20:70])
        with pytest.raises(UserError, match="how many µm"):
            slide.read((0, 0), 10, 1.0)
    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        assert slide.read((0, 0), 45, 1.0).shape == (45, 45, 3)


def test_pictures_of_other_programs_are_converted(tmp_path: Path) -> None:
    palette = Image.fromarray(tissue(40, 30)).quantize(16)
    palette.save(tmp_path / "a.tif")
    with open_slide(tmp_path / "a.tif") as slide:
        np.testing.assert_array_equal(slide.read((0, 0), 30, None), np.asarray(palette.convert("RGB"))[:, :30])


def test_grey_and_16_bits_are_refused_with_the_reason(tmp_path: Path) -> None:
    Image.new("L", (30, 30)).save(tmp_path / "grey.png")
    Image.fromarray(np.zeros((30, 30), np.uint16)).save(tmp_path / "sixteen.png")
    with pytest.raises(Unreadable, match="grey, not colour"):
        open_slide(tmp_path / "grey.png")
    with pytest.raises(Unreadable, match=r"grey, not colour|16 bits"):
        open_slide(tmp_path / "sixteen.png")


def test_a_truncated_image_is_refused_when_it_is_read(tmp_path: Path) -> None:
    Image.fromarray(tissue(120, 90)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with open_slide(tmp_path / "a.png") as slide, pytest.raises(Unreadable):
        slide.read((0, 0), 10, None)


def test_images_too_large_for_one_piece_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 12_000, 12_000)  # what its header claims
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(Unreadable, match="12000×12000 px in one piece; store it as a tiled"):
        open_slide(tmp_path / "a.png")
