"""Every file is read correctly or refused with a reason: real ones, ones cut short, and ones that are no slides."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_files import jpeg_tiff, pyramid, scene, tissue

from hlss.errors import Unreadable, UserError
from hlss.slides.base import Slide, scale_between
from hlss.slides.opening import open_slide

openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")

READ = {  # by which reader
    "aperio_CMU-1-Small-Region.svs": "JpegTiff",
    "aperio_small.svs": "JpegTiff",
    "dicom_ezwsi_multiframe_camelyon.dcm": "OpenSlideFile",
    "generic_boxes.tiff": "OpenSlideFile",
    "hamamatsu_test3-DAPI-2-387.ndpi": "OpenSlideFile",
    "tiff_small_HE_levels.tiff": "OpenSlideFile",
}
REFUSED = {"corrupt_broken.svs": "no slide that is known", "corrupt_unopenable.tiff": "52479"}


@pytest.mark.real_data
def test_every_real_file_is_read_as_openslide_reads_it_or_refused(real_data: Path) -> None:
    files = sorted((real_data / "wsi").iterdir())
    assert {file.name for file in files} == {*READ, *REFUSED}
    for file in files:
        if file.name in REFUSED:
            with pytest.raises(Unreadable, match=REFUSED[file.name]):
                open_slide(file)
            continue
        with open_slide(file) as slide, openslide.OpenSlide(file) as truth:
            assert type(slide).__name__ == READ[file.name]
            assert [slide.size_px(level) for level in range(len(slide.scales))] == list(truth.level_dimensions)
            for level in range(len(slide.scales)):
                size = tuple(min(600, side) for side in slide.size_px(level))
                oracle = np.asarray(truth.read_region((0, 0), level, size))
                difference = np.abs(slide.read_level(level, (0, 0), size).astype(int) - oracle[..., :3])
                assert difference.max() <= 2
                assert difference.mean() <= 0.1


@pytest.mark.real_data
def test_real_resolutions(real_data: Path) -> None:
    found = {}
    for name in READ:
        with open_slide(real_data / "wsi" / name) as slide:
            found[name.split("_")[0]] = slide.mpp
    assert found.pop("hamamatsu") == pytest.approx(0.22818, rel=1e-4)
    assert found == {"aperio": 0.499, "dicom": pytest.approx(28.97, rel=0.01), "generic": None, "tiff": None}


def right_or_refused(path: Path, truth: np.ndarray) -> bool:
    """Whether it was read, correctly, in part at least."""
    try:
        slide = open_slide(path)
    except Unreadable:
        return False
    height, width = truth.shape[:2]
    read = 0
    with slide:
        if slide.size_px0 != (width, height):
            return pytest.fail(f"{slide.size_px0} for {(width, height)} px")
        for x, y in ((0, 0), (width // 2, height // 2), (width - 64, height - 64)):
            try:
                found = slide.read((x, y), 64, None).astype(int)
            except Unreadable:
                continue
            assert np.abs(found - truth[y : y + 64, x : x + 64]).max() <= 2
            read += 1
    return read > 0


def cut(path: Path, copy: Path, parts: int = 11) -> list[bool]:
    data, truth = path.read_bytes(), whole(path)
    results = []
    for part in range(1, parts):
        copy.write_bytes(data[: len(data) * part // parts])
        results.append(right_or_refused(copy, truth))
    copy.write_bytes(data)
    assert right_or_refused(copy, truth)
    return results


def whole(path: Path) -> np.ndarray:
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3].astype(int)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["aperio_CMU-1-Small-Region.svs", "tiff_small_HE_levels.tiff"])
def test_real_slides_cut_short_are_refused(real_data: Path, tmp_path: Path, name: str) -> None:
    assert not any(cut(real_data / "wsi" / name, tmp_path / f"cut{Path(name).suffix}"))


def test_slides_cut_short_show_no_wrong_pixels(tmp_path: Path) -> None:
    levels = [tissue(700, 530), tissue(350, 265), tissue(175, 132)]
    svs = jpeg_tiff(tmp_path / "a.svs", levels, aperio=True, tables=True)
    assert not any(cut(svs, tmp_path / "cut.svs"))
    cut(pyramid(tmp_path / "a.tif", levels[0], 0.5), tmp_path / "cut.tif")
    for codec in ("deflate", None):
        tifffile.imwrite(tmp_path / "b.tif", levels[0], photometric="rgb", tile=(128, 128), compression=codec)
        cut(tmp_path / "b.tif", tmp_path / "cut.tif")


@pytest.mark.parametrize("name", ["slide.svs", "slide.tif", "slide.ndpi", "slide.png"])
@pytest.mark.parametrize(
    "data", [b"", b"This is a letter.\n" * 40, b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"\x89PNG\r\n"]
)
def test_what_is_no_slide_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=f"{name}: cannot be read: .+"):
        open_slide(path)


def test_a_folder_and_a_name_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no slide that is known"):
        open_slide(tmp_path)
    with pytest.raises(Unreadable, match="there is no such file"):
        open_slide(tmp_path / "none.svs")


def test_readers_of_two_rooms_are_found_when_one_is_asked_for_and_not_before() -> None:
    code = (
        "import sys; import hlss.slides.opening as o; print('hlss.cohorts' in sys.modules); "
        "from hlss.registry import SLIDES; print(*SLIDES)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["False", "flat", "jpeg_tiff", "openslide", "phantom", "tiff"]


def test_an_unknown_reader_is_an_error_that_lists_them(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"unknown slide reader 'vips'.*flat, jpeg_tiff, openslide, phantom, tiff"):
        open_slide(tmp_path / "a.png", reader="vips")


@pytest.mark.parametrize(
    ("size", "scale"),
    [((500, 301), 2), ((334, 200), 3), ((125, 75), 8), ((1001, 601), 1), ((400, 300), (1001 / 400 + 601 / 300) / 2)],
)
def test_levels_are_whole_numbers_of_times_smaller_where_rounding_explains_it(
    size: tuple[int, int], scale: float
) -> None:
    assert scale_between((1001, 601), size) == pytest.approx(scale, rel=1e-9)


class Wide(Slide):
    """One level in memory, which counts what is read of it at once."""

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__(Path("wide"), (pixels.shape[1], pixels.shape[0]), 0.5)
        self.pixels, self.most = pixels, 0

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> np.ndarray:
        self.most = max(self.most, size_px[0] * size_px[1])
        (x, y), (width, height) = xy_px, size_px
        return self.pixels[y : y + height, x : x + width].copy()

    def close(self) -> None:
        """Nothing to give back."""


def test_a_slide_without_levels_is_seen_whole_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = Wide(scene(1111, 903))
    size = (69, 56)
    at_once = slide.read_rectangle((0, 0), size, 8.0)
    assert slide.most > 900 * 1000
    monkeypatch.setattr("hlss.slides.base.PIECE_PX", 2**16)
    slide.most = 0
    in_pieces = slide.read_rectangle((0, 0), size, 8.0)
    assert slide.most < 2**16 * 1.3
    assert np.abs(in_pieces.astype(int) - at_once).max() <= 1
