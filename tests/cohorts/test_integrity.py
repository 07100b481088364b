"""Files that are alike, cut short, or larger than they should be, found without decoding."""

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hlss.cohorts.base import Cohort
from hlss.cohorts.build import ImageRow, cohort_of_tiles
from hlss.cohorts.integrity import cohort_files, damaged, duplicates, refuse_damaged, refuse_duplicates, same_content
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.slide_tiles import SlideTiles
from hlss.errors import Unreadable, UserError
from hlss.files import sampled_digest
from hlss.slides.grid import grid
from hlss.slides.tiles import GriddedTiles

MIB = 1 << 20


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    path = written(tmp_path / "a", data)
    assert sampled_digest(path) == hashlib.sha256(b"256000:" + data).hexdigest()[:24]
    path.write_bytes(data[:-1] + b"x")
    assert sampled_digest(path) != hashlib.sha256(b"256000:" + data).hexdigest()[:24]


@pytest.mark.parametrize("at", [0, MIB - 1, MIB, 20 * MIB - 1, 19 * MIB - (64 << 10), 19 * MIB])
def test_of_a_large_file_both_ends_and_stretches_between_count(tmp_path: Path, at: int) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(20 * MIB)
    before = sampled_digest(path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    assert sampled_digest(path) != before


def test_a_large_file_is_not_read_whole_and_its_size_counts(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(40 * MIB)
    before = sampled_digest(path)
    with path.open("r+b") as file:
        file.seek(MIB + (64 << 10))  # just behind the first stretch
        file.write(b"x")
    assert sampled_digest(path) == before
    with path.open("r+b") as file:
        file.truncate(40 * MIB + 1)
    assert sampled_digest(path) != before


def test_files_alike_are_grouped_whatever_their_names(tmp_path: Path) -> None:
    same, other = b"a" * 100_000, b"a" * 99_999 + b"b"  # the same size, and the same start
    paths = [written(tmp_path / name, data) for name, data in (("1", same), ("2", other), ("3", same), ("4", b"a"))]
    paths += [written(tmp_path / name, b"") for name in ("5", "6")]  # empty files are damaged, not alike
    said: list[tuple[int, int]] = []
    assert same_content(paths, lambda done, total: said.append((done, total))) == [(paths[0], paths[2])]
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_a_file_that_cannot_be_read_hides_no_others(tmp_path: Path) -> None:
    paths = [written(tmp_path / name, b"same") for name in ("1", "2", "3")]
    paths[1].unlink()
    assert same_content([*paths, tmp_path]) == [(paths[0], paths[2])]


def copy(small: Path, one: str, other: str) -> None:
    (small.parent / other).write_bytes((small.parent / one).read_bytes())


def test_a_cohort_without_copies_has_none(small: Path) -> None:
    cohort = ManifestSpec(path=small, tile_px=10).open()
    assert duplicates(cohort) == []
    assert set(cohort_files(cohort)) == set(small.parent.glob("*.png"))
    refuse_duplicates(cohort)


def test_one_content_of_two_patients_names_both(small: Path) -> None:
    copy(small, "x.png", "v.png")
    cohort = ManifestSpec(path=small, tile_px=10).open()
    (line,) = duplicates(cohort)
    for named in ("x.png", "v.png", "'007'", "'08'"):
        assert named in line


def test_two_names_of_one_patients_slide_are_an_error_too(small: Path) -> None:
    copy(small, "x.png", "z.png")
    copy(small, "v.png", "w.png")
    with pytest.raises(UserError, match=r"x.png and .*z.png .*'007', and would be each other's positives.*1 more such"):
        refuse_duplicates(ManifestSpec(path=small, tile_px=10).open())


def test_patches_alike_are_listed_and_stop_nothing(small: Path) -> None:
    copy(small, "x.png", "v.png")
    patches = ManifestSpec(path=small, tile_px=40).open()  # 70×50 px: one tile an image
    assert (patches.n_tiles, len(duplicates(patches))) == (5, 1)
    refuse_duplicates(patches)
    with pytest.raises(UserError, match=r"x.png and .*v.png hold the same, of patients '007' and '08'"):
        refuse_duplicates(ManifestSpec(path=small, tile_px=35).open())  # two


def cut(owners: str, hashes: str) -> Cohort:
    """Slides of one tile each, by the letters of their patients and of their hashes; no file is there to be read."""
    rows = [ImageRow(owner, f"{owner}-{slide}", 20, 20) for slide, owner in enumerate(owners)]
    source = SlideTiles(Path("nowhere"), [f"{slide}.svs" for slide in range(len(rows))], hashes, [1.0] * len(rows))
    tiles = GriddedTiles.of([grid(20, 20, 20)] * len(rows))
    return cohort_of_tiles("cut", source, rows, range(len(rows)), tiles, 20, 1.0, "cut")


@pytest.mark.parametrize(
    ("owners", "hashes", "says"),
    [
        ("aabc", "wxyx", r"nowhere/1.svs and nowhere/3.svs hold the same, of patients 'a' and 'c'"),
        ("aabc", "wwyz", r"nowhere/0.svs and nowhere/1.svs .* patient 'a', and would be each other's positives"),
        ("abcd", "wwww", r"nowhere/2.svs and 1 more .* patients 'a' and 'b' and 'c'"),
    ],
)
def test_slides_are_compared_by_the_hashes_they_were_cut_with(owners: str, hashes: str, says: str) -> None:
    cohort = cut(owners, hashes)
    with pytest.raises(UserError, match=says):
        refuse_duplicates(cohort)
    assert len(duplicates(cohort)) == 1
    refuse_duplicates(cohort.keep_patients([1]))  # the others are not in this cohort


def test_slides_of_other_hashes_are_no_copies() -> None:
    refuse_duplicates(cut("aabc", "wxyz"))


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def stored(path: Path, pixels: np.ndarray) -> Path:
    """An image in the format its name says; `.svs`: a tiled JPEG TIFF."""
    if path.suffix == ".svs":
        tifffile.imwrite(path, pixels, tile=(32, 32), compression="jpeg", photometric="rgb")
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels, rowsperstrip=16, photometric="rgb")
    else:
        Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.svs", "a.tif"])
def test_what_is_cut_short_is_told_wherever_it_is_cut(tmp_path: Path, noise: np.ndarray, name: str) -> None:
    path = stored(tmp_path / name, noise)
    refuse_damaged(path)
    whole = path.read_bytes()
    for part in (0.02, 0.3, 0.6, 0.9, 0.995):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(Unreadable, match=name):
            refuse_damaged(path)


def test_padding_behind_an_image_is_no_damage(tmp_path: Path, noise: np.ndarray) -> None:
    path = stored(tmp_path / "a.jpg", noise)
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    refuse_damaged(path)


def test_other_formats_and_missing_files(tmp_path: Path) -> None:
    refuse_damaged(written(tmp_path / "a.mrxs", b"something else"))
    with pytest.raises(Unreadable, match="the file is empty"):
        refuse_damaged(written(tmp_path / "a.svs", b""))
    with pytest.raises(Unreadable, match="No such file"):
        refuse_damaged(tmp_path / "none.svs")
    with pytest.raises(Unreadable, match="TIFF"):
        refuse_damaged(written(tmp_path / "b.tif", b"II*\0" + b"\xff" * 40))


def bomb(path: Path, side: int) -> Path:
    """A PNG of a few bytes that declares side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return written(path, b"\x89PNG\r\n\x1a\n" + chunks)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for side in (14_000, 200_000):  # beyond what Pillow warns of, and what it refuses
        with pytest.raises(Unreadable, match="declares"):
            refuse_damaged(bomb(tmp_path / "a.png", side), whole_px=10**8)
    refuse_damaged(bomb(tmp_path / "a.png", 10_000), whole_px=10**8)


def test_a_tiff_may_be_large_but_not_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((256, 256, 3), np.uint8)
    tifffile.imwrite(path, pixels, rowsperstrip=256, compression="zlib", photometric="rgb")
    with pytest.raises(Unreadable, match=r"pieces of 256×256 pixels, more than 65535"):
        refuse_damaged(path, segment_px=256 * 256 - 1)
    tifffile.imwrite(path, pixels, tile=(16, 16), compression="zlib", photometric="rgb")
    refuse_damaged(path, whole_px=1, segment_px=256)


def test_damaged_files_are_listed_and_the_others_looked_into(tmp_path: Path, noise: np.ndarray) -> None:
    good, bad = stored(tmp_path / "a.png", noise), written(tmp_path / "b.png", b"")
    assert damaged([bad, good]) == [(str(bad), "the file is empty")]


@pytest.mark.real_data
def test_real_slides_are_found_whole(real_data: Path) -> None:
    slides = [path for path in sorted((real_data / "wsi").iterdir()) if not path.name.startswith("corrupt")]
    if not slides:
        pytest.skip("no slides at ../shared/data/wsi")
    assert damaged(slides) == []
