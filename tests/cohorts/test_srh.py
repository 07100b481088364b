"""SRH patches: the arithmetic against float64, the reader against tifffile, in every way such a file may be stored."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hlss.cohorts import srh
from hlss.cohorts.srh import SrhPatches, read_channels, to_rgb
from hlss.errors import Unreadable

SIDE = 300


def by_hand(channels: np.ndarray) -> np.ndarray:
    """The released arithmetic in float64, rounded at its end."""
    ch2, ch3 = channels.astype(np.float64) / 65536
    picture = np.stack([ch3 - ch2 + 5000 / 65536, ch2, ch3], axis=-1).clip(0, 1)
    return np.rint(picture * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def channels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 20_000, (2, SIDE, SIDE)).astype(np.uint16)


@pytest.fixture
def saved(tmp_path: Path, channels: np.ndarray):
    def save(array: np.ndarray = channels, **options: Any) -> Path:
        path = tmp_path / "patch.tif"
        tifffile.imwrite(path, array, **options)
        return path

    return save


def test_the_picture_is_that_of_float64_at_every_value_of_a_channel() -> None:
    every = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    random = np.random.default_rng(1)
    for other in (every, np.zeros_like(every), every[::-1], random.integers(0, 2**16, every.shape).astype(np.uint16)):
        for channels in (np.stack([every, other]), np.stack([other, every])):
            assert np.array_equal(to_rgb(channels), by_hand(channels))


def test_hand_computed_pixels() -> None:
    counts = {(0, 0): (19, 0, 0), (10_000, 2_000): (0, 39, 8), (2_000, 10_000): (51, 8, 39), (0, 65_535): (255, 0, 255)}
    for (ch2, ch3), rgb in counts.items():
        channels = np.array([ch2, ch3], dtype=np.uint16).reshape(2, 1, 1)
        assert tuple(to_rgb(channels)[0, 0].tolist()) == rgb


PLAIN: dict[str, dict[str, Any]] = {
    "pages": {"photometric": "minisblack", "metadata": None},
    "described": {"photometric": "minisblack"},
    "imagej": {"imagej": True},
    "big-endian": {"photometric": "minisblack", "byteorder": ">"},
    "strips": {"photometric": "minisblack", "rowsperstrip": 16},
    "planes of one page": {"photometric": "minisblack", "planarconfig": "separate"},
}
OTHER: dict[str, dict[str, Any]] = {
    "compressed": {"photometric": "minisblack", "compression": "zlib"},
    "BigTIFF": {"photometric": "minisblack", "bigtiff": True},
    "tiled": {"photometric": "minisblack", "tile": (64, 64)},
    "one page for both": {"photometric": "minisblack", "truncate": True},
}


@pytest.mark.parametrize("way", [*PLAIN, *OTHER])
def test_every_way_of_storing_gives_the_same_channels(saved, channels: np.ndarray, way: str, monkeypatch) -> None:
    path = saved(**(PLAIN | OTHER)[way])
    asked = list[str]()
    by_tifffile = srh._by_tifffile
    monkeypatch.setattr(srh, "_by_tifffile", lambda *of: asked.append("tifffile") or by_tifffile(*of))
    assert np.array_equal(read_channels(path, SIDE), channels)
    assert bool(asked) == (way in OTHER)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 300, 299), np.uint16), "2×300×299 of uint16, not 2×300×300 of uint16"),
        (np.zeros((3, 300, 300), np.uint16), "3×300×300 of uint16"),
        (np.zeros((300, 300), np.uint16), "300×300 of uint16"),
        (np.zeros((2, 300, 300), np.uint8), "2×300×300 of uint8"),
        (np.zeros((2, 300, 300), np.int16), "2×300×300 of int16"),
        (np.zeros((2, 300, 300), np.float32), "2×300×300 of float32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_shape_or_type_is_refused(saved, array: np.ndarray, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_channels(saved(array, photometric="minisblack"), SIDE)


@pytest.mark.parametrize("options", [PLAIN["pages"], PLAIN["strips"], OTHER["compressed"]], ids=str)
def test_a_file_cut_anywhere_is_unreadable(saved, options: dict[str, Any]) -> None:
    whole = saved(**options)
    data = whole.read_bytes()
    for kept in (0, 3, 7, 100, 10_000, len(data) // 2, len(data) - 4000):
        whole.write_bytes(data[:kept])
        with pytest.raises(Unreadable) as raised:
            read_channels(whole, SIDE)
        assert str(whole) in str(raised.value)


def test_no_tiff_no_file_and_a_file_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"\x89PNG and so on")
    with pytest.raises(Unreadable):
        read_channels(tmp_path / "a.tif", SIDE)
    with pytest.raises(Unreadable, match="No such file"):
        read_channels(tmp_path / "b.tif", SIDE)
    with (tmp_path / "c.tif").open("wb") as file:
        file.truncate(srh.MOST_BYTES + 1)
    with pytest.raises(Unreadable, match="16777217 bytes are no patch"):
        read_channels(tmp_path / "c.tif", SIDE)


def test_a_header_that_lies_about_where_things_are(saved) -> None:
    path = saved(**PLAIN["pages"])
    data = bytearray(path.read_bytes())
    data[4:8] = (len(data) - 1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="damaged"):
        read_channels(path, SIDE)


def test_the_source_reads_whole_patches_only(saved, channels: np.ndarray) -> None:
    path = saved()
    source = pickle.loads(pickle.dumps(SrhPatches(path.parent, [path.name], SIDE)))
    assert np.array_equal(source.read(0, (0, 0), SIDE, None), by_hand(channels))
    assert source.image_name(0) == str(path)
    for xy, side, mpp in (((1, 0), SIDE, None), ((0, 0), 224, None), ((0, 0), SIDE, 0.5)):
        with pytest.raises(ValueError, match="read whole"):
            source.read(0, xy, side, mpp)


def test_fingerprints_follow_what_is_there(saved, tmp_path: Path) -> None:
    path = saved(**PLAIN["pages"])
    source = SrhPatches(path.parent, [path.name], SIDE)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    copy = SrhPatches(tmp_path / "copy", [path.name], SIDE)
    assert copy.fingerprint == source.fingerprint
    assert copy.freshness != source.freshness
    saved(**PLAIN["described"])
    assert SrhPatches(path.parent, [path.name], SIDE).fingerprint != source.fingerprint
    with pytest.raises(Unreadable, match="No such file"):
        _ = SrhPatches(tmp_path, ["missing.tif"], SIDE).fingerprint
