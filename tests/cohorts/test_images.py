import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hlss.cohorts import images
from hlss.cohorts.images import FlatImages
from hlss.errors import Unreadable


@pytest.fixture
def folder(tmp_path: Path, coded) -> Path:
    for name, (width, height) in {"a.png": (300, 200), "b.png": (90, 60)}.items():
        Image.fromarray(coded(width, height)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def source(folder: Path) -> FlatImages:
    return FlatImages(folder, ["a.png", "b.png"], [(300, 200), (90, 60)], [0.25, None])


def test_native_tiles_are_the_stored_pixels(source: FlatImages, coded) -> None:
    tile = source.read(0, (261, 7), 32, None)
    assert np.array_equal(tile, coded(300, 200)[7:39, 261:293])
    assert source.read(1, (58, 28), 32, None)[-1, -1].tolist() == [89, 59, 0]


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_downscaling_averages_what_a_pixel_covers(source: FlatImages, coded, factor: int) -> None:
    side = 16 * factor
    tile = source.read(0, (10, 20), 16, 0.25 * factor)
    area = coded(300, 200)[20 : 20 + side, 10 : 10 + side].astype(np.float64)
    naive = area.reshape(16, factor, 16, factor, 3).mean(axis=(1, 3))
    assert np.abs(tile - naive).max() <= 0.5 + 1e-6


def test_a_fractional_scale_covers_the_rounded_extent(source: FlatImages) -> None:
    tile = source.read(0, (0, 0), 16, 0.25 * 1.6)  # covers round(25.6) = 26 px
    assert tile.shape == (16, 16, 3)
    assert tile[..., 0].mean() == pytest.approx((26 - 1) / 2, abs=0.5)


def test_reading_twice_is_equal_and_decodes_once(source: FlatImages, monkeypatch: pytest.MonkeyPatch) -> None:
    first = source.read(0, (0, 0), 64, 0.5)
    monkeypatch.setattr(images, "decode", lambda path: pytest.fail("decoded again"))
    assert np.array_equal(source.read(0, (0, 0), 64, 0.5), first)


def test_the_cache_forgets_the_least_recently_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    original = images.decode
    monkeypatch.setattr(images, "decode", lambda path: decoded.append(path.name) or original(path))
    source = FlatImages(folder, ["a.png", "b.png"], [(300, 200), (90, 60)], [None, None], cache_bytes=180_001)
    for image in (0, 0, 1, 0, 1):
        source.read(image, (0, 0), 8, None)
    assert decoded == ["a.png", "b.png", "a.png", "b.png"]


def test_pickling_leaves_decoded_images_behind(source: FlatImages) -> None:
    source.read(0, (0, 0), 8, None)
    assert len(pickle.dumps(source)) < 2000
    assert np.array_equal(pickle.loads(pickle.dumps(source)).read(0, (3, 4), 8, None), source.read(0, (3, 4), 8, None))


def test_a_tile_outside_its_image_is_a_programming_error(source: FlatImages) -> None:
    with pytest.raises(ValueError, match="leaves"):
        source.read(1, (80, 0), 32, None)


def test_a_size_other_than_said_is_unreadable(folder: Path) -> None:
    source = FlatImages(folder, ["a.png"], [(299, 200)], [None])
    with pytest.raises(Unreadable, match="300×200 px, not 299×200"):
        source.read(0, (0, 0), 8, None)


def test_rewriting_a_file_in_place_changes_freshness_not_fingerprint(folder: Path, source: FlatImages) -> None:
    before = source.freshness
    os.utime(folder / "a.png", ns=(1, 1))
    after = FlatImages(folder, source.paths, source.sizes_px0, source.mpps)
    assert after.fingerprint == source.fingerprint
    assert after.freshness != before


def test_a_file_gone_meanwhile_is_named(folder: Path, source: FlatImages) -> None:
    (folder / "a.png").unlink()
    with pytest.raises(Unreadable, match=r"a\.png"):
        _ = source.fingerprint
