from contextlib import suppress
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from hlss.errors import Unreadable
from hlss.slides.decode import decode, read_size


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.tiff", "PNG_IN_DISGUISE.jpg"])
def test_lossless_files_come_back_exactly(tmp_path: Path, pixels: np.ndarray, name: str) -> None:
    kind = "TIFF" if ".tif" in name else "PNG"
    path = saved(tmp_path, name, Image.fromarray(pixels), format=kind)
    assert read_size(path) == (40, 30)
    assert np.array_equal(decode(path), pixels)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiffs_of_other_writers_come_back_exactly(
    tmp_path: Path, pixels: np.ndarray, compression: str | None, tile: tuple[int, int] | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression=compression, tile=tile)
    assert np.array_equal(decode(tmp_path / "a.tif"), pixels)


def test_jpeg_equals_opencvs_decoder(tmp_path: Path, coded) -> None:
    path = saved(tmp_path, "a.jpg", Image.fromarray(coded(64, 48)), quality=90, subsampling=0)
    oracle = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert np.abs(decode(path).astype(int) - oracle).max() <= 2


def test_palette_keeps_its_colours(tmp_path: Path, pixels: np.ndarray) -> None:
    palette = Image.fromarray(pixels).quantize(16)
    assert np.array_equal(decode(saved(tmp_path, "a.png", palette)), np.asarray(palette.convert("RGB")))


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, 3] = 255, 0, 51
    assert decode(saved(tmp_path, "a.png", Image.fromarray(rgba)))[0].tolist() == [[0] * 3, [255] * 3, [204] * 3]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for name in ("a.tif", "a.jpg"):
        assert np.abs(decode(saved(tmp_path, name, cyan)).astype(int) - [0, 255, 255]).max() <= 3


def many_channels(channels: int, **options: object) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8, channels), np.uint8), planarconfig="contig", **options)
    return file.getvalue()


def deep(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


REFUSED = {
    "two channels": (many_channels(2, photometric="minisblack"), "2 channels of uint8"),
    "five channels": (many_channels(5, photometric="minisblack"), "5 channels of uint8"),
    "five, first three RGB": (many_channels(5, photometric="rgb"), "5 channels"),
    "grey png": (deep(np.zeros((8, 8), np.uint8)), "grey"),
    "grey 16-bit png": (deep(np.zeros((8, 8), np.uint16)), "16 bits"),
    "16-bit colour png": (deep(np.zeros((8, 8, 3), np.uint16)), "16 bits"),
    "16-bit colour tiff": (tiff(np.zeros((8, 8, 3), np.uint16), photometric="rgb"), "16 bits"),
    "16-bit colour lzw": (tiff(np.zeros((8, 8, 3), np.uint16), photometric="rgb", compression="lzw"), "16 bits"),
    "float tiff": (tiff(np.zeros((8, 8), np.float32)), "grey"),
    "float colour tiff": (tiff(np.zeros((8, 8, 3), np.float32), photometric="rgb"), "float32"),
    "empty": (b"", "the file is empty"),
    "text": (b"patient_id,path\n", "not an image"),
    "tiff head alone": (b"II*\0\x08\0\0\0", "damaged TIFF|Corrupt"),
    "bmp": (cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "only 8-bit colour PNG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_8_bit_colour_is_refused_by_header_and_by_pixels(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "a.img"
    path.write_bytes(data)
    for read in (read_size, decode):
        with pytest.raises(Unreadable, match=reason) as caught:
            read(path)
        assert caught.value.path == str(path)
        assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"gone\.png: cannot be read: the file is missing"):
        decode(tmp_path / "gone.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.8, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, pixels: np.ndarray, name: str, share: float) -> None:
    path = saved(tmp_path, name, Image.fromarray(pixels))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Unreadable):
        decode(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_damaged_bytes_raise_nothing_else(tmp_path: Path, pixels: np.ndarray, name: str) -> None:
    path = saved(tmp_path, name, Image.fromarray(pixels))
    data = np.frombuffer(path.read_bytes(), np.uint8)
    random = np.random.default_rng(1)
    for _ in range(60):
        broken = data.copy()
        broken[random.integers(0, min(len(data), 400), 8)] = random.integers(0, 256, 8)
        path.write_bytes(broken.tobytes())
        with suppress(Unreadable):
            assert decode(path).dtype == np.uint8
