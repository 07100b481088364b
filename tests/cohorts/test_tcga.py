"""A download folder of the GDC, written here as its client writes it, and cut."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hlss.cohorts.barcode import Barcode, barcode_of, patient_of
from hlss.cohorts.splits import SplitSpec, split
from hlss.cohorts.tcga import TcgaSpec
from hlss.errors import UserError
from hlss.jobs.tile import tile_slides

UUID = "83fce43e-42ac-4dcd-b156-2908e75f2e{:02d}"
CODES = [
    "TCGA-02-0001-01Z-00-DX1",
    "TCGA-02-0001-01Z-00-DX2",
    "TCGA-02-0001-01A-01-TS1",
    "TCGA-06-0125-11A-01-BS1",
    "TCGA-06-0125-01Z-00-DX1",
    "TCGA-HT-7470-01Z-00-DX1",
]
Put = Callable[..., Path]


def uuid(number: int) -> str:
    return UUID.format(number)


def file_name(number: int) -> str:
    return f"{CODES[number]}.{uuid(50 + number)}.tif"


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `gdc` (a UUID folder for each slide, logs and annotations), its manifest, and `tiles`."""
    folder = tmp_path_factory.mktemp("tcga")
    lines = ["id\tfilename\tmd5\tsize\tstate"]
    for number in range(len(CODES)):
        place = folder / "gdc" / uuid(number)
        (place / "logs").mkdir(parents=True)
        (place / "logs" / f"{file_name(number)}.parcel").write_bytes(b"log")
        (place / "annotations.txt").write_text("id\tsubmitter_id\n")
        random = np.random.default_rng(number)
        Image.fromarray(random.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(place / file_name(number))
        size = (place / file_name(number)).stat().st_size
        lines.append(f"{uuid(number)}\t{file_name(number)}\t{'0' * 32}\t{size}\treleased")
    (folder / "gdc_manifest.2024-01-01.txt").write_text("\n".join(lines) + "\n")
    tile_slides(folder / "gdc", folder / "tiles", ["tile_px=32", "mpp=0.5", "slide_mpp=0.5", "min_tissue=0"])
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Put:
    def write(text: str) -> Path:
        (tmp_path / "labels.csv").write_text(text)
        return tmp_path / "labels.csv"

    return write


def opened(cut: Path, **settings: Any) -> Any:
    return TcgaSpec(tiles=cut / "tiles", **settings).open()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TCGA-02-0001-01Z-00-DX1.83fc.svs", ("TCGA-02-0001", "02", "tumour", "DX")),
        ("TCGA-HT-A4DS-10A-01-TSA.x.svs", ("TCGA-HT-A4DS", "HT", "normal", "TS")),
        ("TCGA-06-0125-09A-01-BS12.svs", ("TCGA-06-0125", "06", "tumour", "BS")),
        ("TCGA-06-0125-20A-01-MS1", ("TCGA-06-0125", "06", "control", "MS")),
    ],
)
def test_a_barcode_says_patient_site_sample_and_kind(name: str, expected: tuple[str, ...]) -> None:
    slide = name.partition(".")[0]
    assert barcode_of(name) == Barcode(slide, *expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        *("", "slide.svs", "TCGA-02-0001.svs", "TCGA-02-0001-01A-01R-1.svs", "TCGA-02-0001-00Z-00-DX1.svs"),
        *("xTCGA-02-0001-01Z-00-DX1.svs", "TCGA-02-0001-01Z-00-DX1-2.svs", "tcga-02-0001-01z-00-dx1.svs"),
    ],
)
def test_what_is_no_barcode_of_a_slide(name: str) -> None:
    assert barcode_of(name) is None


def test_the_patient_of_any_barcode() -> None:
    for code in ("TCGA-02-0001", "TCGA-02-0001-01Z", "TCGA-02-0001-01Z-00-DX1"):
        assert patient_of(code) == "TCGA-02-0001"
    assert patient_of("TCGA-02-00012") == "TCGA-02-00012"
    assert patient_of("P7") == "P7"


def test_diagnostic_slides_of_tumours_by_default(cut: Path) -> None:
    cohort = opened(cut)
    assert cohort.patients == ("TCGA-02-0001", "TCGA-06-0125", "TCGA-HT-7470")
    assert cohort.slides == tuple(code for code in CODES if "DX" in code)
    assert [cohort.sites[site] for site in cohort.patient_site] == ["02", "06", "HT"]
    assert (cohort.tile_px, cohort.mpp, cohort.n_tiles) == (32, 0.5, 4 * 6)
    assert cohort.notices == ("2 slides are of other kinds or samples than asked for",)
    assert cohort.problems == ()
    path = cut / "gdc" / uuid(0) / file_name(0)
    with Image.open(path) as image:
        assert np.array_equal(cohort.read_tile(1), np.asarray(image)[:32, 32:64])
    cohort.source._handles.drop(path, 0.5)  # a slide stays open until its place is wanted


def test_other_kinds_and_samples(cut: Path) -> None:
    assert opened(cut, kinds=["TS", "BS"]).slides == (CODES[2],)
    assert opened(cut, kinds=["TS", "BS"], sample=["normal"]).slides == (CODES[3],)
    assert len(opened(cut, kinds=["DX", "TS", "BS"], sample=["normal", "tumour"]).slides) == 6
    with pytest.raises(UserError, match="none of 6 slides is one of MS of tumour"):
        opened(cut, kinds=["MS"])


def test_labels_by_patient_and_by_slide(cut: Path, labels: Put) -> None:
    by_patient = labels("patient,label\nTCGA-02-0001-01Z,gbm\nTCGA-06-0125,gbm\nTCGA-06-0125,gbm\n")
    cohort = opened(cut, labels=by_patient)
    assert [cohort.classes[label] if label >= 0 else None for label in cohort.patient_label] == ["gbm", "gbm", None]
    assert cohort.notices[-1] == "1 patients have no label, as TCGA-HT-7470"
    by_slide = labels(f"slide_id,label,split\n{file_name(0)},a,train\n{CODES[1]},b,train\n{CODES[4]},a,test\n")
    cohort = opened(cut, labels=by_slide)
    assert [cohort.classes[label] if label >= 0 else None for label in cohort.slide_label] == ["a", "b", "a", None]


def test_the_gdc_s_clinical_table_by_its_columns(cut: Path, labels: Put) -> None:
    text = "case_id\tcase_submitter_id\tproject_id\n"
    text += "u1\tTCGA-02-0001\tTCGA-GBM\nu2\tTCGA-06-0125\tTCGA-GBM\nu3\tTCGA-HT-7470\tTCGA-LGG\n"
    columns = {"patient_id": "case_submitter_id", "label": "project_id"}
    cohort = opened(cut, labels=labels(text), columns=columns)
    assert cohort.classes == ("TCGA-GBM", "TCGA-LGG")
    sides = split(cohort, SplitSpec(kind="kfold", folds=3, by_site=True))
    assert not set(sides["train"].patient_site.tolist()) & set(sides["test"].patient_site.tolist())


def test_labels_that_contradict_each_other(cut: Path, labels: Put) -> None:
    table = labels("patient,label\nTCGA-02-0001,a\nTCGA-02-0001-01A,b\n")
    with pytest.raises(UserError, match=r"labels\.csv line 3: TCGA-02-0001 is 'b' here and 'a' in a row before"):
        opened(cut, labels=table)
    with pytest.raises(UserError, match="has no column for patient_id"):
        opened(cut, labels=labels("barcode,label\nTCGA-02-0001,a\n"))


@pytest.fixture
def changed(cut: Path, tmp_path: Path) -> Path:
    """A copy of the download folder and its manifest, to be spoilt; give it as `root`."""
    import shutil

    shutil.copytree(cut / "gdc", tmp_path / "copy" / "gdc")
    shutil.copy(cut / "gdc_manifest.2024-01-01.txt", tmp_path / "copy")
    return tmp_path / "copy" / "gdc"


def test_incomplete_downloads_are_named_and_left_out(cut: Path, changed: Path) -> None:
    short, half, gone = (changed / uuid(number) / file_name(number) for number in (0, 4, 5))
    short.write_bytes(short.read_bytes()[:-7])
    half.rename(half.with_name(f"{half.name}.partial"))
    gone.unlink()
    with pytest.raises(UserError, match=r"3 of 4 images cannot be read.*DX1.*bytes, the GDC's manifest says"):
        opened(cut, root=changed)
    cohort = opened(cut, root=changed, max_unreadable=0.75)
    assert cohort.slides == (CODES[1],)
    size = short.stat().st_size
    assert cohort.problems == (
        (str(short), f"it has {size} bytes, the GDC's manifest says {size + 7}"),
        (str(half), "its download stopped half way"),
        (str(gone), "it was not downloaded"),
    )


def test_a_slide_of_the_manifest_that_was_not_cut_is_named(cut: Path, changed: Path) -> None:
    manifest = changed.parent / "gdc_manifest.2024-01-01.txt"
    new = "TCGA-02-0003-01Z-00-DX1.tif"
    (changed / new).write_bytes(b"1234")
    manifest.write_text(manifest.read_text() + f"u\t{new}\t0\t4\treleased\n")
    cohort = opened(cut, root=changed, max_unreadable=0.5)
    assert [(path, reason.split(";")[0]) for path, reason in cohort.problems] == [(new, "it was not cut")]


def test_manifests_that_are_none_or_several(cut: Path, changed: Path) -> None:
    other = changed / "gdc_manifest_2.txt"
    other.write_text("id\tfilename\nu\tx\n")
    with pytest.raises(UserError, match="there are several manifests here"):
        opened(cut, root=changed)
    with pytest.raises(UserError, match=r"gdc_manifest_2\.txt: is no manifest of the GDC: it has no column 'size'"):
        opened(cut, root=changed, manifest=other)
    for one in (other, changed.parent / "gdc_manifest.2024-01-01.txt"):
        one.unlink()
    assert opened(cut, root=changed).problems == ()


def test_names_without_barcode_and_slides_twice(cut: Path, tmp_path: Path) -> None:
    root = tmp_path / "flat"
    root.mkdir()
    for name, number in (("other.tif", 1), ("TCGA-02-0001-01Z-00-DX1.a.tif", 2), ("TCGA-02-0002-01Z-00-DX1.b.tif", 3)):
        Image.fromarray(np.full((64, 64, 3), number, np.uint8)).save(root / name)
    settings = ["tile_px=32", "mpp=0.5", "slide_mpp=0.5", "min_tissue=0"]
    cohort = TcgaSpec(tiles=tile_slides(root, tmp_path / "tiles", settings)).open()
    assert cohort.patients == ("TCGA-02-0001", "TCGA-02-0002")
    assert cohort.notices == ("1 slides are not named by a TCGA barcode and are left out, as other.tif",)
    Image.fromarray(np.full((64, 64, 3), 9, np.uint8)).save(root / "TCGA-02-0001-01Z-00-DX1.c.tif")
    with pytest.raises(UserError, match=r"slide TCGA-02-0001-01Z-00-DX1 is there twice: .*\.a\.tif and .*\.c\.tif"):
        TcgaSpec(tiles=tile_slides(root, tmp_path / "again", settings)).open()


def test_tiles_of_other_settings_or_none(cut: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds tiles of 32 px, not 224"):
        opened(cut, tile_px=224)
    with pytest.raises(UserError, match=r"there is no recipe\.json"):
        opened(tmp_path)
    assert json.loads((cut / "tiles/recipe.json").read_text())["mpp"] == 0.5
