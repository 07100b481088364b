import json
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts import pack as pack_module
from hlss.cohorts.base import Cohort
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.pack import PackRecipe, packed, packed_already
from hlss.errors import Unreadable, UserError

LOSSLESS = PackRecipe(lossless=True, part_tiles=8)


@pytest.fixture
def cohort(small: Path) -> Cohort:
    return ManifestSpec(path=small, tile_px=20).open()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/part-*.arrow"))


def same_pixels(one: Cohort, other: Cohort) -> bool:
    return one.n_tiles == other.n_tiles and all(
        np.array_equal(one.read_tile(row), other.read_tile(row)) for row in range(one.n_tiles)
    )


def test_lossless_tiles_are_equal_in_any_order_and_sub_cohort(cohort: Cohort, folder: Path) -> None:
    whole = packed(cohort, folder, LOSSLESS)
    assert len(parts(folder)) == 4
    assert same_pixels(whole, cohort)
    assert same_pixels(whole.keep_patients([1, 2]), cohort.keep_patients([1, 2]))
    assert (whole.patients, whole.slides, whole.classes) == (cohort.patients, cohort.slides, cohort.classes)


def test_jpeg_tiles_are_close_and_full_chroma(cohort: Cohort, folder: Path) -> None:
    whole = packed(cohort, folder, PackRecipe(quality=95))
    difference = np.abs(whole.read_tile(9).astype(int) - cohort.read_tile(9))
    assert 0 < difference.mean() < 3
    halved = packed(cohort, folder, PackRecipe(quality=95, chroma="420"))
    assert np.abs(halved.read_tile(9).astype(int) - cohort.read_tile(9)).mean() > difference.mean()


def test_travels_between_processes_without_its_map(cohort: Cohort, folder: Path) -> None:
    whole = packed(cohort, folder, LOSSLESS)
    whole.read_tile(0)
    assert same_pixels(pickle.loads(pickle.dumps(whole)), cohort)


def test_fingerprint_names_data_and_recipe(cohort: Cohort, folder: Path) -> None:
    recipes = [LOSSLESS, PackRecipe(), PackRecipe(quality=90), PackRecipe(chroma="420")]
    fingerprints = [packed(cohort, folder, recipe).fingerprint for recipe in recipes]
    assert len({cohort.fingerprint, *fingerprints}) == 5
    assert packed(cohort, folder, LOSSLESS).fingerprint == fingerprints[0]


def test_a_pack_that_stands_is_used_and_none_is_built(cohort: Cohort, folder: Path) -> None:
    assert packed_already(cohort, folder, LOSSLESS) is None
    assert not folder.exists()
    packed(cohort, folder, LOSSLESS)
    found = packed_already(cohort, folder, LOSSLESS)
    assert found is not None
    assert same_pixels(found, cohort)
    assert packed_already(cohort, folder, PackRecipe()) is None


def test_built_once(cohort: Cohort, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(cohort, folder, LOSSLESS)
    monkeypatch.setattr(pack_module, "encode_png", lambda *_: pytest.fail("built again"))
    assert same_pixels(packed(cohort, folder, LOSSLESS), cohort)


def test_a_changed_image_makes_another_pack(cohort: Cohort, folder: Path, small: Path) -> None:
    packed(cohort, folder, LOSSLESS)
    image = small.parent / "x.png"
    image.write_bytes((small.parent / "y.png").read_bytes())
    fresh = ManifestSpec(path=small, tile_px=20).open()
    assert same_pixels(packed(fresh, folder, LOSSLESS), fresh)
    assert len(list(folder.iterdir())) == 2


def test_several_processes_report_progress_and_write_the_same_bytes(
    cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    whole = packed(cohort, folder, LOSSLESS, workers=3, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(8, 30), (16, 30), (24, 30), (30, 30)]
    assert same_pixels(whole, cohort)
    packed(cohort, tmp_path / "alone", LOSSLESS)
    assert [part.read_bytes() for part in parts(folder)] == [part.read_bytes() for part in parts(tmp_path / "alone")]


def test_an_interrupted_pack_goes_on_where_it_stopped(
    cohort: Cohort, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(cohort, folder, LOSSLESS, progress=stop)
    written = {path: path.stat().st_mtime_ns for path in parts(folder)}
    assert written
    assert not list(folder.glob("*/pack.json"))
    assert same_pixels(packed(cohort, folder, LOSSLESS), cohort)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())


@pytest.mark.parametrize("damage", ["truncate", "remove", "empty", "summary"])
def test_a_damaged_pack_is_rebuilt(cohort: Cohort, folder: Path, damage: str) -> None:
    packed(cohort, folder, LOSSLESS)
    part = parts(folder)[1]
    if damage == "truncate":
        part.write_bytes(part.read_bytes()[:-50])
    elif damage == "remove":
        part.unlink()
    elif damage == "empty":
        part.write_bytes(b"")
    else:
        (part.parent / "pack.json").write_text('{"bytes": [1')
    assert same_pixels(packed(cohort, folder, LOSSLESS), cohort)


def test_a_flipped_byte_is_found_when_read(cohort: Cohort, folder: Path) -> None:
    packed(cohort, folder, LOSSLESS)
    part = parts(folder)[0]
    data = bytearray(part.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 1
    part.write_bytes(data)
    with pytest.raises(Unreadable, match=r"tile 0 of the pack is damaged; delete .* to rebuild"):
        packed(cohort, folder, LOSSLESS).read_tile(0)


def test_unreadable_images_are_dropped_and_listed(cohort: Cohort, folder: Path, small: Path) -> None:
    image = small.parent / "y.png"
    image.write_bytes(image.read_bytes()[:-60])
    recipe = PackRecipe(part_tiles=8, lossless=True, max_unreadable=0.2)
    for _ in range(2):  # built, then found
        whole = packed(cohort, folder, recipe)
        assert [Path(path).name for path, _ in whole.problems] == ["y.png"]
        assert whole.n_tiles == 24
        assert np.array_equal(whole.read_tile(6), cohort.read_tile(12))
    with pytest.raises(UserError, match=r"1 of 5 images cannot be read, more than max_unreadable=0\.1"):
        packed(cohort, folder, recipe.model_copy(update={"max_unreadable": 0.1}))


def test_what_could_not_be_read_is_tried_again_after_an_error(cohort: Cohort, folder: Path, small: Path) -> None:
    image = small.parent / "y.png"
    assert cohort.fingerprint != cohort.source.freshness  # both are known before the disk goes away
    image.rename(small.parent / "away.png")
    with pytest.raises(UserError, match=r"y\.png: the file is missing"):
        packed(cohort, folder, LOSSLESS)
    (small.parent / "away.png").rename(image)
    assert same_pixels(packed(cohort, folder, LOSSLESS), cohort)


def test_nothing_readable_is_an_error_whatever_is_allowed(cohort: Cohort, folder: Path, small: Path) -> None:
    for image in small.parent.glob("*.png"):
        image.write_bytes(image.read_bytes()[:-60])
    with pytest.raises(UserError, match="5 of 5 images cannot be read"):
        packed(cohort, folder, PackRecipe(max_unreadable=1))


def test_other_tiles_than_packed_are_a_programming_error(cohort: Cohort, folder: Path) -> None:
    source = packed(cohort, folder, LOSSLESS).source
    with pytest.raises(ValueError, match="no tile at"):
        source.read(0, (1, 0), 20, None)
    with pytest.raises(ValueError, match="19 px"):
        source.read(0, (0, 0), 19, None)
    assert source.image_name(0).endswith("x.png")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.pack import PackRecipe, packed, packed_already
from hlss.errors import Unreadable, UserError
cohort = ManifestSpec(path=Path(sys.argv[1]), tile_px=20).open()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    packed(cohort, Path(sys.argv[2]), PackRecipe(lossless=True, part_tiles=8))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file-size limits on this system")
def test_a_full_disk_is_said_in_one_line_and_leaves_no_half_pack(small: Path, folder: Path, cohort: Cohort) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(small), str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot write: the file-size limit is reached" in said
    assert said.count("\n") == 1
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert same_pixels(packed(cohort, folder, LOSSLESS), cohort)


def test_summary_is_readable_json(cohort: Cohort, folder: Path) -> None:
    packed(cohort, folder, LOSSLESS)
    summary = json.loads(next(folder.glob("*/pack.json")).read_text())
    assert (summary["tiles"], summary["problems"], summary["dropped"]) == (30, {}, [])


@pytest.mark.real_data
def test_tissue_keeps_its_colours_by_default(real_data: Path, folder: Path) -> None:
    manifest = real_data / "tcga_organs" / "manifest.csv"
    cohort = ManifestSpec(path=manifest, where={"patient_id": ["TCGA-18-5592"]}).open()
    whole = packed(cohort, folder)
    for row in (0, 7):
        difference = np.abs(whole.read_tile(row).astype(int) - cohort.read_tile(row))
        assert difference.mean() < 1.5
