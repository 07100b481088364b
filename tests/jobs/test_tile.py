"""What `hlss tile` leaves of slides whose tissue is known, and what it says of those it cannot cut."""

import json
import shutil
from base64 import b64decode
from pathlib import Path

import cv2
import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_slides

from hlss.errors import UserError
from hlss.jobs.tile import tile_slides
from hlss.jobs.tile_cut import cut, thumbnail, tissue_share
from hlss.jobs.tile_recipe import TileRecipe
from hlss.jobs.tile_slides import slides_of
from hlss.slides.grid import grid
from hlss.slides.opening import open_slide

SETTINGS = ("mpp=4", "tile_px=32")  # a tile covers 64 × 64 px of level 0


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    for seed in range(3):
        small_slides.write_slide(folder / f"s{seed}.tiff", seed)
    return folder


def tiled(slides: Path, out: Path, *settings: str, **options: object) -> list[str]:
    """What it said."""
    said: list[str] = []
    tile_slides(slides, out, settings or SETTINGS, say=said.append, **options)
    return said


def files(folder: Path) -> dict[str, bytes]:
    """All that must be the same again, by path."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.parent.name != "done"}


def done(folder: Path, name: str) -> dict:
    return json.loads((folder / "done" / f"{name}.json").read_text())


def disc() -> np.ndarray:
    width, height = small_slides.SIZE_PX0
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, small_slides.CENTRE_PX0, small_slides.RADIUS_PX0, 1, -1)
    return mask


def test_tiles_are_the_cells_of_the_grid_that_hold_enough_tissue(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tiled(slides, out)
    table, truth = pq.read_table(out / "tiles" / "s0.parquet").to_pydict(), disc()
    share = {(x, y): truth[y : y + 64, x : x + 64].mean() for x in range(0, 768, 64) for y in range(0, 640, 64)}
    found = dict(zip(zip(table["x_px0"], table["y_px0"], strict=True), table["tissue"], strict=True))
    assert all(found[place] == pytest.approx(share[place], abs=0.12) for place in found)
    assert set(found) >= {place for place in share if share[place] > 0.37}
    assert not {place for place in found if share[place] < 0.13}
    assert [(x // 64, y // 64) for x, y in found] == list(zip(table["column"], table["line"], strict=True))
    assert list(found) == sorted(found, key=lambda place: place[::-1])


def test_every_file_tells_the_same_tiles(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tiled(slides, out)
    table, record = pq.read_table(out / "tiles" / "s1.parquet"), done(out, "s1")
    xy = np.stack([table["x_px0"].to_numpy(), table["y_px0"].to_numpy()], axis=1)
    with h5py.File(out / "patches" / "s1_patches.h5") as file:
        assert file["coords"][:].tolist() == xy.tolist()
        facts = dict(file["coords"].attrs)
    assert {key: facts[key] for key in ("patch_size", "patch_size_level0", "overlap", "name")} == {
        "patch_size": 32,
        "patch_size_level0": 64,
        "overlap": 0,
        "name": "s1",
    }
    assert facts["level0_magnification"] == 5
    assert facts["target_magnification"] == 2.5
    assert (record["columns"], record["lines"], record["step_px0"], record["tile_px0"]) == (12, 10, 64, 64)
    bits = np.unpackbits(np.frombuffer(b64decode(record["bits"]), np.uint8), count=120).reshape(10, 12)
    assert (np.argwhere(bits)[:, ::-1] * 64).tolist() == xy.tolist()
    index = pq.read_table(out / "index.parquet").to_pylist()
    assert [row["name"] for row in index] == ["s0", "s1", "s2"]
    assert index[1]["bits"] == b64decode(record["bits"])
    assert index[1]["n_tiles"] == record["n_tiles"] == len(xy)
    assert (index[1]["width_px0"], index[1]["height_px0"], index[1]["mpp"]) == (768, 640, pytest.approx(2.0))
    assert cv2.imread(str(out / "pictures" / "s1.jpg")).shape == (160, 192, 3)
    assert json.loads((out / "problems.json").read_text()) == []


def test_again_it_does_nothing_and_elsewhere_the_same_bytes(slides: Path, tmp_path: Path) -> None:
    tiled(slides, tmp_path / "one")
    before = files(tmp_path / "one")
    assert "cut 0 slides, 3 were done before" in tiled(slides, tmp_path / "one")
    tiled(slides, tmp_path / "two")
    assert before == files(tmp_path / "one") == files(tmp_path / "two")


def test_a_slide_that_changed_is_cut_again_and_only_that(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tiled(slides, out)
    small_slides.write_slide(slides / "s1.tiff", seed=9)
    assert "cut 1 slides, 2 were done before" in tiled(slides, out)
    small_slides.write_slide(tmp_path / "fresh" / "s1.tiff", seed=9)
    tiled(tmp_path / "fresh", tmp_path / "alone")
    name = "patches/s1_patches.h5"
    assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_tile_um_decides_the_resolution_as_well_as_mpp(slides: Path, tmp_path: Path) -> None:
    tiled(slides, tmp_path / "one")
    assert "cut 0 slides" in tiled(slides, tmp_path / "one", "tile_um=128", "tile_px=32")[-1]


def test_another_recipe_is_refused_and_named(slides: Path, tmp_path: Path) -> None:
    tiled(slides, tmp_path / "out")
    with pytest.raises(UserError, match=r"another recipe \(tile_px was 32, now 64\)"):
        tiled(slides, tmp_path / "out", "mpp=4", "tile_px=64")
    with pytest.raises(UserError, match=r"tissue.holes_um2 was 40000.0, now 0.0"):
        tiled(slides, tmp_path / "out", *SETTINGS, "tissue.holes_um2=0")


def test_a_folder_of_something_else_is_refused(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds something else"):
        tiled(slides, slides)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ((), "nothing says the resolution"),
        (("mpp=1", "tile_um=100"), "both say the resolution"),
        (("mpp=1", "overlap_px=256"), "overlap_px must be less"),
        (("mpp=1", "tile=3"), "unknown key `tile`"),
        (("mpp=1", "tissue.method=hue"), "tissue.method"),
    ],
)
def test_a_wrong_setting_is_one_line(slides: Path, tmp_path: Path, settings: tuple[str, ...], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        tile_slides(slides, tmp_path / "out", settings, say=lambda _: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_reader_that_there_is_not_stops_everything(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown slide reader 'magic'"):
        tiled(slides, tmp_path / "out", *SETTINGS, "reader=magic")


def test_what_cannot_be_read_is_named_and_the_others_go_on(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (slides / "empty.svs").write_bytes(b"")
    (slides / "text.svs").write_text("no slide")
    with pytest.raises(UserError, match=r"2 of 5 slides have no tiles; empty.svs"):
        tiled(slides, out)
    problems = json.loads((out / "problems.json").read_text())
    assert [(one["slide"], bool(one["reason"])) for one in problems] == [("empty", True), ("text", True)]
    assert [row["name"] for row in pq.read_table(out / "index.parquet").to_pylist()] == ["s0", "s1", "s2"]
    for name in ("empty", "text"):
        small_slides.write_slide(slides / f"{name}.svs", seed=len(name))
    assert "cut 2 slides, 3 were done before" in tiled(slides, out)
    assert json.loads((out / "problems.json").read_text()) == []
    assert not list((out / "problems").iterdir())
    assert pq.read_table(out / "index.parquet").num_rows == 5


def test_a_slide_that_is_spoilt_after_it_was_cut_is_not_done(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tiled(slides, out)
    (slides / "s0.tiff").write_bytes(b"II*\0")
    with pytest.raises(UserError, match=r"1 of 3 slides have no tiles; s0.tiff"):
        tiled(slides, out)
    assert not (out / "done" / "s0.json").exists()
    assert [row["name"] for row in pq.read_table(out / "index.parquet").to_pylist()] == ["s1", "s2"]


def test_a_slide_without_mpp_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    cv2.imwrite(str(tmp_path / "slides" / "a.tif"), small_slides.pixels()[..., ::-1])
    with pytest.raises(UserError, match="set slide_mpp="):
        tiled(tmp_path / "slides", tmp_path / "out")
    tiled(tmp_path / "slides", tmp_path / "given", *SETTINGS, "slide_mpp=2")
    assert done(tmp_path / "given", "a")["mpp"] == 2


def test_a_slide_of_glass_or_smaller_than_a_tile_is_done_without_tiles(tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    for name, size in (("glass", (300, 300)), ("small", (40, 30)), ("tiny", (1, 1))):
        cv2.imwrite(str(tmp_path / "slides" / f"{name}.tif"), np.full((*size, 3), 241, np.uint8))
    out = tmp_path / "out"
    tiled(tmp_path / "slides", out, *SETTINGS, "slide_mpp=2")
    assert [row["n_tiles"] for row in pq.read_table(out / "index.parquet").to_pylist()] == [0, 0, 0]
    assert pq.read_table(out / "tiles" / "tiny.parquet").num_rows == 0
    tiled(tmp_path / "slides", tmp_path / "all", *SETTINGS, "slide_mpp=2", "min_tissue=0")
    assert done(tmp_path / "all", "glass")["n_tiles"] == 16


def test_the_same_slide_under_two_names_is_refused_before_anything_is_cut(slides: Path, tmp_path: Path) -> None:
    shutil.copy(slides / "s1.tiff", slides / "other.tiff")
    with pytest.raises(UserError, match=r"s1.tiff: holds the same as .*other.tiff"):
        tiled(slides, tmp_path / "out")
    with pytest.raises(UserError, match="holds the same"):  # whichever shard they are in
        tiled(slides, tmp_path / "out", shard="2/4")
    assert not (tmp_path / "out").exists()


def test_names(tmp_path: Path) -> None:
    def names(*paths: str, listed: str = "") -> list[tuple[str, str]]:
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        for path in paths:
            (tmp_path / "x" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "x" / path).write_text("")
        if listed:
            (tmp_path / "x" / "list.csv").write_text(listed)
        root, found = slides_of(tmp_path / "x" / "list.csv" if listed else tmp_path / "x")
        assert root == tmp_path / "x"
        return [(one.name, one.path) for one in found]

    assert names("b.svs", "a/c.ndpi", ".hidden.svs", "notes.txt", ".h/d.svs") == [("b", "b.svs"), ("c", "a/c.ndpi")]
    assert names("a/s.svs", "b/s.svs") == [("a__s", "a/s.svs"), ("b__s", "b/s.svs")]
    assert names("s.svs", "s.tiff") == [("s.svs", "s.svs"), ("s.tiff", "s.tiff")]
    with pytest.raises(UserError, match=r"S.svs and s.tiff would both be called 's'"):
        names("S.svs", "s.tiff")
    with pytest.raises(UserError, match="no slide in this folder"):
        names("a.txt")
    assert names("a/1.dcm", "b/1.dcm") == [("a__1", "a/1.dcm"), ("b__1", "b/1.dcm")]
    with pytest.raises(UserError, match="2 DICOM files, perhaps parts of one slide"):
        names("a/1.dcm", "a/2.dcm")
    assert names("p/1.svs", listed="path,slide_id\np/1.svs,007\n") == [("007", "p/1.svs")]
    assert names("1.svs", "2.svs", listed="path,slide_id\n1.svs,A\n2.svs,A\n") == [("1", "1.svs"), ("2", "2.svs")]
    with pytest.raises(UserError, match="listed twice"):
        names("1.svs", listed="path\n1.svs\n1.svs\n")
    with pytest.raises(UserError, match="no column `path`"):
        names("1.svs", listed="slide_id\nA\n")
    with pytest.raises(UserError, match=r"line 2: mpp 'x' is no number"):
        names("1.svs", listed="path,mpp\n1.svs,x\n")


def test_a_manifest_tells_who_and_how_large_and_what_is_missing(slides: Path, tmp_path: Path) -> None:
    manifest, out = slides / "list.csv", tmp_path / "out"
    manifest.write_text("path,slide_id,patient_id,label,mpp\ns0.tiff,S-0,007,x,1\ns1.tiff,S-1,,y,\n")
    tiled(manifest, out)
    rows = pq.read_table(out / "index.parquet").to_pylist()
    assert [(row["name"], row["patient_id"], row["label"]) for row in rows] == [("S-0", "007", "x"), ("S-1", "", "y")]
    assert [row["mpp"] for row in rows] == [1, pytest.approx(2)]
    assert [row["tile_px0"] for row in rows] == [128, 64]
    manifest.write_text("path,slide_id,patient_id,label,mpp\ns0.tiff,S-0,008,x,1\ns1.tiff,S-1,,y,\n")
    assert "cut 0 slides, 2 were done before" in tiled(manifest, out)  # who it is of has changed, not the slide
    assert pq.read_table(out / "index.parquet").to_pylist()[0]["patient_id"] == "008"
    manifest.write_text("path,slide_id,patient_id,label,mpp\ns0.tiff,S-0,008,x,2\ngone.tiff,S-9,,y,\n")
    with pytest.raises(UserError, match=r"1 of 2 slides have no tiles; gone.tiff: there is no such file"):
        tiled(manifest, out)
    assert done(out, "S-0")["tile_px0"] == 64  # the manifest's mpp is part of how it is cut


def test_share_is_the_mean_of_the_mask_over_a_cell_also_between_its_pixels() -> None:
    mask = np.random.default_rng(0).uniform(size=(13, 17)) < 0.4
    fine = np.kron(mask, np.ones((6, 6)))  # 6 px of level 0 a pixel
    cells = grid(17 * 6, 13 * 6, 10, 1.0, 3)
    share = tissue_share(mask, cells, 10, 6.0)
    for line in range(cells.lines):
        for column in range(cells.columns):
            x, y = column * cells.step_px0, line * cells.step_px0
            assert share[line, column] == pytest.approx(fine[y : y + 10, x : x + 10].mean(), abs=1e-12)


def test_a_thumbnail_read_in_blocks_is_that_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small_slides.write_slide(tmp_path / "s.tiff")
    with open_slide(path) as slide:
        whole, scale = thumbnail(slide, 8.0)
        assert scale == pytest.approx(4)
        monkeypatch.setattr("hlss.jobs.tile_cut.BLOCK_PX", 50)
        assert np.abs(thumbnail(slide, 8.0)[0].astype(int) - whole).max() <= 2
        coarse, scale = thumbnail(slide, 1.0)
    assert scale == 1
    assert coarse.shape == (640, 768, 3)


def test_overlap_and_scale_between_levels(tmp_path: Path) -> None:
    recipe = TileRecipe(mpp=3.0, tile_px=32, overlap_px=8, min_tissue=0)
    with open_slide(small_slides.write_slide(tmp_path / "s.tiff")) as slide:
        found = cut(slide, recipe)
    assert (found.tile_px0, found.grid.step_px0) == (48, 36)
    assert found.grid.bits is None
    assert found.grid.n == ((768 - 48) // 36 + 1) * ((640 - 48) // 36 + 1)


def test_a_slide_coarser_than_the_tiles_is_named_and_not_enlarged(slides: Path, tmp_path: Path) -> None:
    coarse = ("mpp=0.5", "tile_px=32", "min_tissue=0")  # of slides at 2 µm/px
    with pytest.raises(UserError, match=r"3 of 3 slides have no tiles.*finer than the slide, 2.*allow_upsampling"):
        tile_slides(slides, tmp_path / "out", coarse, say=lambda text: None)
    tile_slides(slides, tmp_path / "enlarged", (*coarse, "allow_upsampling=true"), say=lambda text: None)
    assert all(pq.read_table(tmp_path / "enlarged" / "index.parquet")["n_tiles"].to_pylist())
