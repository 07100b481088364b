"""Slides that were cut: the same tiles and pixels as were written, whose they are, and what is not gone on with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.slides import SlidesSpec
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.errors import UserError
from hlss.jobs.tile import tile_slides

RECIPE = ["mpp=1.0", "tile_px=48", "min_tissue=0"]


@pytest.fixture(scope="module")
def drawn():
    """Two patients of two slides each, 3×3 tiles of 48 px at 1 µm/px."""
    return PhantomSpec(patients=2, slides=2, side=3, tile_px=48, mpp=1.0, classes=2).open()


@pytest.fixture(scope="module")
def written(drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with slides/*.tiff and manifest.csv."""
    folder = tmp_path_factory.mktemp("written")
    write_pyramids(drawn, folder, lambda done, total: None, quality=95)
    return folder


@pytest.fixture(scope="module")
def cut(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hlss tile` makes of the manifest."""
    return tile_slides(
        written / "manifest.csv", tmp_path_factory.mktemp("cut") / "tiles", RECIPE, say=lambda text: None
    )


def test_a_cut_holds_the_tiles_and_pixels_that_were_drawn(drawn, cut: Path) -> None:
    cohort = SlidesSpec(tiles=cut).open()
    assert (cohort.patients, cohort.classes, cohort.sites) == (drawn.patients, drawn.classes, drawn.sites)
    assert cohort.slides == drawn.slides
    assert (cohort.tile_px, cohort.mpp, cohort.n_tiles) == (48, 1.0, drawn.n_tiles)
    rows = np.arange(drawn.n_tiles)
    np.testing.assert_array_equal(cohort.tile_xy_px0(rows), drawn.tile_xy_px0(rows))
    np.testing.assert_array_equal(cohort.tile_label(rows), drawn.tile_label(rows))
    for row in (0, 13, drawn.n_tiles - 1):
        difference = np.abs(cohort.read_tile(row).astype(float) - drawn.read_tile(row))
        assert difference.mean() < 3  # JPEG twice as fine as the tile


def test_a_manifest_says_anew_whose_the_slides_are(cut: Path, tmp_path: Path, drawn) -> None:
    first, second = drawn.slides[0], drawn.slides[3]
    (tmp_path / "who.csv").write_text(
        f"slide_id,patient_id,label,split\n{second},anna,lung,train\nslides/{first}.tiff,bert,,test\n"
    )
    cohort = SlidesSpec(tiles=cut, manifest=tmp_path / "who.csv").open()
    assert (cohort.patients, cohort.slides, cohort.classes) == (("anna", "bert"), (second, first), ("lung",))
    assert cohort.patient_split.tolist() == [1, 0]  # of ("test", "train")
    whole = SlidesSpec(tiles=cut).open()
    assert np.array_equal(cohort.read_tile(0), whole.read_tile(27))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("slide_id,patient_id\nnobody,p\n", "slide 'nobody' was not cut.*hlss tile"),
        ("slide_id,patient_id\nP0000-00,\n", "patient_id is empty"),
        ("slide_id,patient_id\nP0000-00,p\nP0000-00,p\n", "listed before"),
        ("slide_id,label\nP0000-00,a\n", "no column for patient_id"),
        ("patient_id\np\n", "neither slide_id nor path"),
        ("slide_id,patient_id,split\nP0000-00,p,train\nP0000-01,p,test\n", "split"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(cut: Path, tmp_path: Path, rows: str, complaint: str) -> None:
    (tmp_path / "who.csv").write_text(rows)
    with pytest.raises(UserError, match=complaint):
        SlidesSpec(tiles=cut, manifest=tmp_path / "who.csv").open()


def test_slides_that_nobody_knows_are_patients_of_their_own_and_that_is_said(written: Path, tmp_path: Path) -> None:
    cut = tile_slides(written / "slides", tmp_path / "tiles", RECIPE, say=lambda text: None)
    cohort = SlidesSpec(tiles=cut).open()
    assert cohort.patients == cohort.slides
    assert any("a patient of its own" in notice for notice in cohort.notices)


@pytest.mark.parametrize(
    ("settings", "complaint"), [({"tile_px": 64}, "48 px, not 64"), ({"mpp": 0.5}, "1 µm/px, not 0.5")]
)
def test_other_tiles_than_were_cut_are_refused(cut: Path, settings: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        SlidesSpec(tiles=cut, **settings).open()
    assert SlidesSpec(tiles=cut, tile_px=48, mpp=1.0).open().n_tiles == 36


def test_a_cut_that_is_not_finished_or_broken_is_refused(cut: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe\.json.*hlss tile"):
        SlidesSpec(tiles=tmp_path).open()
    (tmp_path / "recipe.json").write_text((cut / "recipe.json").read_text())
    with pytest.raises(UserError, match="not all slides are cut"):
        SlidesSpec(tiles=tmp_path).open()
    (tmp_path / "index.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="is broken"):
        SlidesSpec(tiles=tmp_path).open()


def test_a_slide_that_goes_away_is_unreadable_and_named(
    written: Path, tmp_path: Path, unreadable: Callable[..., str]
) -> None:
    import shutil

    shutil.copytree(written, tmp_path / "moved")
    cut = tile_slides(tmp_path / "moved" / "manifest.csv", tmp_path / "tiles", RECIPE, say=lambda text: None)
    cohort = SlidesSpec(tiles=cut).open()
    gone = tmp_path / "moved" / "slides" / "P0000-00.tiff"
    gone.rename(tmp_path / "aside.tiff")
    assert "P0000-00.tiff" in unreadable(cohort, 0)
    assert cohort.read_tile(9).shape == (48, 48, 3)
    (tmp_path / "aside.tiff").rename(gone)
    assert cohort.read_tile(0).shape == (48, 48, 3)  # opened anew


@pytest.fixture
def unreadable() -> Callable[..., str]:
    """unreadable(cohort, row): what is said of a tile that cannot be read."""
    from hlss.errors import Unreadable

    def read(cohort, row: int) -> str:
        with pytest.raises(Unreadable) as caught:
            cohort.read_tile(row)
        return str(caught.value)

    return read
