from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from hlss.cohorts.manifest import ManifestSpec
from hlss.config import validate
from hlss.errors import UserError

Row = dict[str, object]


@pytest.fixture
def rows(tmp_path: Path, coded) -> Callable[..., list[Row]]:
    """rows(n, **fields): n patients of one image each, 40×30 px, already saved."""

    def make(n: int = 3, **fields: object) -> list[Row]:
        for i in range(n):
            Image.fromarray(coded(40, 30)).save(tmp_path / f"{i}.png")
        return [{"patient_id": f"p{i}", "path": f"{i}.png", **fields} for i in range(n)]

    return make


def test_row_order_and_format_change_nothing(small: Path, tmp_path: Path) -> None:
    expected = ManifestSpec(path=small, tile_px=20).open()
    head, *lines = small.read_text().splitlines()
    (tmp_path / "shuffled.csv").write_text("\n".join([head, *lines[::-1]]) + "\n")
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(head.split(","), "string"))
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(small, convert_options=options), tmp_path / "m.parquet")
    for name in ("shuffled.csv", "m.parquet"):
        cohort = ManifestSpec(path=tmp_path / name, tile_px=20).open()
        assert cohort.fingerprint == expected.fingerprint
        assert cohort.name == Path(name).stem


def test_pixels_of_a_tile_are_where_its_row_says(small: Path, coded) -> None:
    cohort = ManifestSpec(path=small, tile_px=20, overlap_px=5).open()
    assert cohort.tile_xy_px0(np.arange(4)).tolist() == [[0, 0], [15, 0], [30, 0], [45, 0]]
    for row in range(4):
        x, y = cohort.tile_xy_px0(np.array([row]))[0]
        assert np.array_equal(cohort.read_tile(row), coded(70, 50)[y : y + 20, x : x + 20])


def test_without_slide_id_every_image_is_a_slide(small: Path, write_csv, tmp_path: Path) -> None:
    images = ["x.png", "y.png"]
    path = write_csv([{"case_id": "1", "wsi": name} for name in images], "bare.csv")
    assert ManifestSpec(path=path, tile_px=20).open().slides == ("x", "y")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.png").write_bytes((tmp_path / "x.png").read_bytes())
    path = write_csv([{"case_id": "1", "wsi": name} for name in ("x.png", "sub/x.png")], "nested.csv")
    assert ManifestSpec(path=path, tile_px=20).open().slides == ("sub/x", "x")


def test_root_and_absolute_paths(small: Path, write_csv, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = write_csv([{"patient": "1", "file": "x.png"}], "elsewhere/m.csv")
    assert ManifestSpec(path=path, root=tmp_path, tile_px=20).open().n_tiles == 6
    absolute = write_csv([{"patient": "1", "file": tmp_path / "x.png"}], "elsewhere/a.csv")
    assert ManifestSpec(path=absolute, tile_px=20).open().n_tiles == 6


def test_where_keeps_rows_by_any_column(small: Path) -> None:
    cohort = ManifestSpec(path=small, tile_px=20, where={"label": ["lung", "kidney"], "site": ["s1"]}).open()
    assert cohort.patients == ("007",)
    assert cohort.slides == ("a", "b")


def test_target_resolution_comes_from_column_or_setting(rows, write_csv) -> None:
    by_column = ManifestSpec(path=write_csv(rows(mpp=0.25)), tile_px=10, mpp=0.5).open()
    by_setting = ManifestSpec(path=write_csv(rows()), tile_px=10, mpp=0.5, image_mpp=0.25).open()
    assert by_column.n_tiles == by_setting.n_tiles == 3 * 2 * 1
    assert np.array_equal(by_column.read_tile(1), by_setting.read_tile(1))


def test_mixed_resolutions_as_stored_are_said(rows, write_csv) -> None:
    mixed = rows()
    mixed[0]["mpp"], mixed[1]["mpp"], mixed[2]["mpp"] = "0.25", "0.5", ""
    (notice,) = ManifestSpec(path=write_csv(mixed), tile_px=10).open().notices
    assert "0.25 to 0.5" in notice


def test_sizes_in_the_table_spare_the_header(rows, write_csv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlss.cohorts.rows.read_size", lambda path: pytest.fail("read a header"))
    assert ManifestSpec(path=write_csv(rows(width=40, height=30)), tile_px=10).open().n_tiles == 36


def test_unreadable_images_are_left_out_and_listed(rows, write_csv, tmp_path: Path) -> None:
    path = write_csv(rows(5))
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(b"not an image")
    cohort = ManifestSpec(path=path, tile_px=10, max_unreadable=0.4).open()
    assert cohort.patients == ("p0", "p2", "p4")
    assert [(Path(file).name, why[:12]) for file, why in cohort.problems] == [
        ("1.png", "the file is "),
        ("3.png", "not an image"),
    ]
    with pytest.raises(UserError, match=r"2 of 5 images cannot be read.*1\.png: the file is empty"):
        ManifestSpec(path=path, tile_px=10, max_unreadable=0.3).open()


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({0: {"path": "gone.png"}, 2: {"path": "lost.png"}}, {},
         r"2 of 3 images are not below .*: gone\.png, lost\.png"),
        ({1: {"path": ""}}, {}, "m.csv line 3: path is empty"),
        ({1: {"patient_id": ""}}, {}, "m.csv line 3: patient_id is empty"),
        ({2: {"path": "./0.png"}}, {}, "m.csv line 4: image '0.png' is listed before, in .*line 2"),
        ({0: {"slide_id": "s"}, 1: {"slide_id": "s"}}, {},
         "line 3: slide 's' belongs to patient 'p1' here and to 'p0'"),
        ({0: {"split": "train"}, 1: {"split": "test", "patient_id": "p0"}}, {}, "patient 'p0' stands in two splits"),
        ({1: {"mpp": "0.25um"}}, {}, "line 3: mpp '0.25um' is no positive number"),
        ({1: {"mpp": "-1"}}, {}, "line 3: mpp '-1' is no positive number"),
        ({0: {"mpp": "0.25"}}, {"mpp": 0.5}, r"line 3: mpp is missing for 2 images.*`mpp`.*cohort\.image_mpp="),
        ({}, {"mpp": 0.25, "image_mpp": 0.5}, r"line 2: tiles at 0.25 µm/px are finer.*cohort\.mpp=0\.5"),
        ({}, {"tile_px": 31}, r"a tile of 31 px is larger than every image \(largest: 40×30\)"),
        ({}, {"where": {"organ": ["lung"]}}, r"cohort\.where names column 'organ', which it lacks\. It has: slide_id"),
        ({}, {"where": {"patient_id": ["p9"]}}, "patient_id 'p9', which no row has. Known: p0, p1, p2"),
        ({}, {"where": {"patient_id": ["p0"], "path": ["1.png"]}}, "no row is left"),
    ],
)  # fmt: skip
def test_bad_manifests_get_one_clear_line(
    rows, write_csv, change: dict[int, Row], settings: dict[str, object], message: str
) -> None:
    table = [{"slide_id": "", "split": "", "mpp": "", **row} for row in rows()]
    for i, fields in change.items():
        table[i].update(fields)
    path = write_csv(table, "m.csv")
    with pytest.raises(UserError, match=message) as caught:
        ManifestSpec(path=path, **{"tile_px": 10, **settings}).open()
    assert "m.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_upsampling_may_be_allowed(rows, write_csv) -> None:
    spec = ManifestSpec(path=write_csv(rows()), tile_px=20, mpp=0.25, image_mpp=0.5, allow_upsampling=True)
    assert spec.open().read_tile(0).shape == (20, 20, 3)
    assert ManifestSpec(path=spec.path, tile_px=20, mpp=0.49, image_mpp=0.5).open().n_tiles == 6


@pytest.mark.parametrize(("column", "rest"), [("patient_id", "path"), ("path", "patient_id")])
def test_a_needed_column_that_lacks_is_named(rows, write_csv, column: str, rest: str) -> None:
    path = write_csv([{rest: row[rest], "extra": "1"} for row in rows()])
    with pytest.raises(UserError, match=rf"no column for {column}\. It has: {rest}, extra.*cohort\.columns"):
        ManifestSpec(path=path).open()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile_px": 0}, "tile_px"),
        ({"tile_px": "many"}, "tile_px"),
        ({"mpp": -0.5}, "mpp"),
        ({"overlap_px": 224}, "overlap_px=224 must be smaller than tile_px=224"),
        ({"columns": {"slide": "block"}}, "'slide' is no field"),
        ({"where": {"label": "lung"}}, "where.label"),
        ({"tile": 3}, "unknown key `tile`"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate({"path": "m.csv", **settings}, ManifestSpec, where="cohort")


@pytest.mark.real_data
def test_tcga_organs_is_counted_as_described(real_data: Path) -> None:
    manifest = real_data / "tcga_organs" / "manifest.csv"
    everything = ManifestSpec(path=manifest).open()
    assert (len(everything.patients), len(everything.slides), everything.n_images) == (58, 58, 86)
    assert everything.n_tiles == 1117
    four = {"label": ["lung", "kidney", "brca", "prad"], "preparation": ["ffpe"]}
    cohort = ManifestSpec(path=manifest, where=four).open()
    assert (len(cohort.patients), cohort.n_images, cohort.n_tiles) == (40, 68, 829)
    counts = np.bincount(cohort.patient_label)
    assert dict(zip(cohort.classes, counts.tolist(), strict=True)) == {"brca": 8, "kidney": 12, "lung": 13, "prad": 7}
    assert cohort.read_tile(400).std() > 10


@pytest.mark.real_data
def test_osteosarcomas_mixed_slides_and_patients_have_no_label(real_data: Path) -> None:
    cohort = ManifestSpec(path=real_data / "osteosarcoma" / "manifest.csv", tile_px=256).open()
    assert (len(cohort.patients), len(cohort.slides), cohort.n_images, cohort.n_tiles) == (4, 26, 60, 960)
    assert int((cohort.slide_label < 0).sum()) == 7
    assert int((cohort.patient_label < 0).sum()) == 3
