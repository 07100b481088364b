"""Tiles of a pyramid over a slide, against the slide itself."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from slide_files import scene

from hlss.cohorts.packed import decode_tile
from hlss.cohorts.write.frame import Frame
from hlss.errors import Unreadable
from hlss.jobs.view_slides import OpenSlides, ViewImage
from hlss.jobs.view_tiles import NoTileError, Pyramid, TileServer, tile_cache
from hlss.slides.base import Slide

SIZE = 5000, 3100


class Held(Slide):
    """Pixels in memory, with one level; counts what is read of it."""

    def __init__(self, pixels: np.ndarray, mpp: float | None = None) -> None:
        super().__init__(Path("held"), (pixels.shape[1], pixels.shape[0]), mpp)
        self.pixels, self.n_read, self.closed = pixels, 0, False

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Any:
        (x, y), (width, height) = xy_px, size_px
        self.n_read += width * height
        return self.pixels[y : y + height, x : x + width].copy()

    def close(self) -> None:
        self.closed = True


def shown(slide: Slide, id_: str = "0" * 12) -> ViewImage:
    return ViewImage(id_, "P", "S", "held", "", "", lambda: slide)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return scene(*SIZE)


@pytest.fixture
def held(pixels: np.ndarray) -> Held:
    return Held(pixels)


def put_together(server: TileServer, image: ViewImage, z: int) -> np.ndarray:
    """A whole level."""
    pyramid = Pyramid(server.frame(image))
    across, down = (-(-side // (256 * pyramid.scale(z))) for side in SIZE)
    lines = [
        np.concatenate([decode_tile(server.tile(image, z, x, y)) for x in range(across)], axis=1) for y in range(down)
    ]
    return np.concatenate(lines, axis=0)


@pytest.mark.parametrize("z", range(6))
@pytest.mark.parametrize("mpp", [None, 0.25])
def test_every_level_is_the_slide(held: Held, z: int, mpp: float | None) -> None:
    held.mpp = mpp
    server, image = TileServer(tile_cache()), shown(held)
    assert server.frame(image) == Frame(*SIZE, mpp)
    assert Pyramid(server.frame(image)).deepest == 5  # 20 tiles across
    found = put_together(server, image, z)
    scale = 2 ** (5 - z)
    assert found.shape[:2] == tuple(round(side / scale) for side in reversed(SIZE))
    expected = cv2.resize(held.pixels, found.shape[1::-1], interpolation=cv2.INTER_AREA)
    away = found.astype(int) - expected
    assert np.abs(away).mean() < 3  # JPEG
    assert np.abs(away.mean(axis=(0, 1))).max() < 0.5  # half a px of the coarsest level would show


def test_coarse_tiles_of_a_slide_without_levels_read_each_pixel_once(held: Held) -> None:
    server = TileServer(tile_cache())
    server.tile(shown(held), 0, 0, 0)
    assert held.n_read == pytest.approx(SIZE[0] * SIZE[1], rel=0.01)
    server.tile(shown(held), 1, 0, 0)
    assert held.n_read == pytest.approx(SIZE[0] * SIZE[1], rel=0.01)


@pytest.mark.parametrize("place", [(6, 0, 0), (-1, 0, 0), (5, 20, 0), (5, 0, 13), (0, 1, 0), (5, -1, 0)])
def test_there_are_no_tiles_outside(held: Held, place: tuple[int, int, int]) -> None:
    with pytest.raises(NoTileError):
        TileServer(tile_cache()).tile(shown(held), *place)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (256, 256), (257, 1), (4097, 300), (513, 70_000)])
def test_the_pyramid_of_any_frame_has_one_tile_at_its_top_and_none_is_empty(width: int, height: int) -> None:
    pyramid = Pyramid(Frame(width, height, None))
    for z in range(pyramid.deepest + 1):
        scale = pyramid.scale(z)
        for x in range(-(-width // (256 * scale))):
            for y in range(-(-height // (256 * scale))):
                (left, top), (wide, high) = pyramid.place(z, x, y)
                assert 0 <= left < width
                assert 0 <= top < height
                assert 1 <= wide <= 256
                assert 1 <= high <= 256
                assert left + wide * scale <= width + max(1, scale / 2)
                assert top + high * scale <= height + max(1, scale / 2)
    with pytest.raises(NoTileError):
        pyramid.place(0, 1, 0)


def test_a_square_at_the_edge_stays_inside(held: Held) -> None:
    server = TileServer(tile_cache())
    for corner in ((4900, 3000), (0, 0), (-30, 3099)):
        square = decode_tile(server.square(shown(held), corner, 400, 128))
        assert square.shape == (128, 128, 3)
    assert decode_tile(server.square(shown(held), (0, 0), 9000, 128)).shape[1] == 71  # all there is of it


def test_a_thread_keeps_few_slides_open() -> None:
    slides = [Held(scene(30, 20)) for _ in range(3)]
    images = [shown(slide, f"{number:012x}") for number, slide in enumerate(slides)]
    kept = OpenSlides(most=2)
    for image in (images[0], images[1], images[0], images[2]):
        kept.get(image)
    assert [slide.closed for slide in slides] == [False, True, False]


def test_a_slide_that_cannot_be_opened() -> None:
    def broken() -> Slide:
        raise Unreadable("x.svs", "cut short")

    with pytest.raises(Unreadable, match="cut short"):
        TileServer(tile_cache()).tile(ViewImage("0" * 12, "", "", "", "", "", broken), 0, 0, 0)
