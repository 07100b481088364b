"""`hlss map` as a user runs it: drawn tissue whose true map is known, read back by the libraries that others use."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
import yaml
from drawn_run import noise, towards, write_run
from qupath import objects_of
from typer.testing import CliRunner

from hlss.cli import app, main
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.tiny import TinyText
from hlss.errors import UserError
from hlss.explain.score_map import coloured
from hlss.jobs import map_drawn
from hlss.jobs.map_slide import MapSettings
from hlss.jobs.map_slides import map_slides
from hlss.jobs.map_truth import map_truth
from hlss.language.bank import read_bank

SIDE, PX0 = 10, 128  # tiles along a slide's side; px of level 0 along a tile's: 32 px at 2 µm/px
DRAWN = {
    "name": "drawn",
    "cohort": {
        "name": "phantom", "patients": 3, "slides": 1, "side": SIDE, "tile_px": 32, "mpp": 2.0, "classes": 1, "seed": 1,
    },
    "loader": {"workers": 0, "pack": None},
    "encoder": "tiny",
    "language": {"bank": "phantom"},
    "objective": "hidisc",
}  # fmt: skip
GLANDS, SLIDE = "gland formation", "P0001-00"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "run"
    return write_run(folder, DRAWN, {"start": noise(128), "last": towards(GLANDS, "slide", "glands")})


@pytest.fixture(scope="module")
def mapped(run: Path) -> Path:
    """A map of glands and of a sentence over one slide, in every format."""
    arguments = ["map", str(run), "--characteristic", "Gland formation", "--text", "melanin pigment", "--slide", SLIDE]
    arguments += ["--threshold", "0.4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Output:" in result.output
    assert "p map" in result.output
    return run / "maps" / "last"


def found(folder: Path, number: int = 0) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "maps.json").read_text())["maps"][number]
    return result


def tiles(folder: Path) -> list[dict[str, str]]:
    with (folder / SLIDE / "tiles.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_map_agrees_with_what_was_drawn_and_its_faithfulness_is_said(mapped: Path) -> None:
    glands, text = found(mapped), found(mapped, 1)
    assert (glands["characteristic"], glands["level"], glands["tiles"]) == (GLANDS, "slide", SIDE**2)
    assert glands["truth"]["auroc"] > 0.9
    assert glands["truth"]["factor"] == "glands"
    assert glands["faithfulness"]["auroc"] > 0.6
    assert glands["faithfulness"]["random_maps"]["p"] <= 0.05
    assert glands["faithfulness"]["random_texts"]["draws"] == 99
    assert (text["characteristic"], text["level"], text["truth"]) == ("melanin pigment", None, None)
    names = ("geojson", "tiff", "sigma.tiff", "png")
    assert glands["files"] == [f"{SLIDE}/gland_formation.{ending}" for ending in names]
    for one in (glands, text):
        assert all((mapped / file).is_file() for file in one["files"])


def test_noise_is_not_above_chance_and_looks_weak(run: Path, tmp_path: Path) -> None:
    kinds = ("tiff", "png")
    out = map_slides(
        run / "embeddings" / "start",
        [GLANDS],
        [],
        slides=[SLIDE],
        out=tmp_path / "o",
        settings=MapSettings(kinds=kinds),
    )
    one = found(out)
    assert not one["faithfulness"]["above_chance"]
    assert "do not bear this map out" in one["faithfulness"]["verdict"]
    assert one["truth"]["auroc"] == pytest.approx(0.5, abs=0.2)
    colours = tifffile.imread(out / SLIDE / "gland_formation.tiff", key=0)
    assert (np.ptp(colours.astype(int), axis=-1) == 0).all()
    assert sorted(path.name for path in (out / SLIDE).iterdir()) == [
        "gland_formation.png",
        "gland_formation.sigma.tiff",
        "gland_formation.tiff",
    ]


def test_csv_and_parquet_say_the_same_of_each_tile_and_it_is_the_tables_cosine(run: Path, mapped: Path) -> None:
    rows, parquet = tiles(mapped), pq.read_table(mapped / SLIDE / "tiles.parquet")
    table = EmbeddingTable.read(run / "embeddings" / "last")
    own = np.flatnonzero(table["slide"] == SLIDE)
    bank, tower = read_bank("phantom"), TinyText().build()
    words = tower.encode(dict(zip(bank.names("slide"), bank.texts("slide"), strict=True))[GLANDS]).numpy()
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    text = words.mean(axis=0) / np.linalg.norm(words.mean(axis=0))
    z = table.features / np.linalg.norm(table.features, axis=1, keepdims=True)
    cosine = z @ text
    sigma = (cosine - cosine.mean()) / cosine.std()  # over the patches of all slides
    np.testing.assert_allclose([float(row[f"{GLANDS}: cosine"]) for row in rows], cosine[own], atol=1e-5)
    np.testing.assert_allclose(parquet[f"{GLANDS}: sigma"].to_numpy(), sigma[own], atol=1e-3)
    assert parquet["x_px0"].to_pylist() == [int(row["x_px0"]) for row in rows] == table["x_px0"][own].tolist()
    assert set(parquet["tile_px0"].to_pylist()) == {PX0}
    facts = json.loads(parquet.schema.metadata[b"hlss"])
    assert facts["maps"][0]["faithfulness"] == found(mapped)["faithfulness"]


def test_geojson_has_each_tile_where_it_lies_and_what_is_marked(mapped: Path) -> None:
    tree = json.loads((mapped / SLIDE / "gland_formation.geojson").read_text(encoding="utf-8"))
    assert tree["type"] == "FeatureCollection"
    assert tree["hlss"]["faithfulness"] == found(mapped)["faithfulness"]
    marked, *squares = tree["features"]
    rows = tiles(mapped)
    assert len(squares) == len(rows) == SIDE**2
    for square, row in zip(squares, rows, strict=True):
        x, y = int(row["x_px0"]), int(row["y_px0"])
        ring = [[x, y], [x + PX0, y], [x + PX0, y + PX0], [x, y + PX0], [x, y]]
        assert square["type"] == "Feature"
        assert square["geometry"] == {"type": "Polygon", "coordinates": [ring]}
        properties, sigma = square["properties"], float(row[f"{GLANDS}: sigma"])
        assert properties["objectType"] == "tile"
        assert ("classification" in properties) == (sigma >= 0.4)
        assert properties["measurements"][f"{GLANDS}: σ"] == round(sigma, 4)
        assert len(properties["color"]) == 3
    properties = marked["properties"]
    assert properties["objectType"] == "annotation"
    assert properties["classification"] == {"name": GLANDS, "color": [214, 39, 40]}
    assert "faithfulness" in properties["name"]
    measured = properties["measurements"]
    count = sum(float(row[f"{GLANDS}: sigma"]) >= 0.4 for row in rows)
    area = 0.0
    for polygon in marked["geometry"]["coordinates"]:
        for ring in polygon:
            assert ring[0] == ring[-1]
            x, y = np.array(ring, dtype=np.float64).T
            area += float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)
    assert area == count * PX0**2
    assert measured[f"{GLANDS}: area µm²"] == pytest.approx(count * (PX0 * 0.5) ** 2)
    assert measured["faithfulness (0.5: chance)"] == round(found(mapped)["faithfulness"]["auroc"], 4)


def test_tiffs_lie_over_the_slide_pixel_for_tile(mapped: Path) -> None:
    openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")
    path, rows = mapped / SLIDE / "gland_formation.tiff", tiles(mapped)
    with tifffile.TiffFile(path) as tiff:
        side = json.loads(tiff.pages[0].description)["downsample"]
        assert all(page.is_tiled for page in tiff.pages)
        assert [page.is_reduced for page in tiff.pages] == [False, *[True] * (len(tiff.pages) - 1)]
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (SIDE * PX0 // side,) * 2
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5 * side)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5 * side)
        for row in rows:
            corner = [int(row[axis]) // side for axis in ("x_px0", "y_px0")]
            pixels = np.asarray(slide.read_region(corner, 0, (PX0 // side,) * 2))[..., :3]
            colour = coloured(np.float32([row[f"{GLANDS}: sigma"]]), weak=False)[0]
            assert (np.abs(pixels.astype(int) - colour) <= 1).all()  # σ was rounded for the CSV
    values = tifffile.imread(mapped / SLIDE / "gland_formation.sigma.tiff", key=0)
    assert values.dtype == np.float32
    for row in rows:
        x, y = (int(row[axis]) // side for axis in ("x_px0", "y_px0"))
        own = values[y : y + PX0 // side, x : x + PX0 // side]
        np.testing.assert_allclose(own, float(row[f"{GLANDS}: sigma"]), rtol=1e-5)


def test_anndata_is_what_scanpy_and_squidpy_expect(mapped: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="the extra `anndata` is not installed")
    made, rows = anndata.read_h5ad(mapped / SLIDE / "tiles.h5ad"), tiles(mapped)
    assert made.var_names.tolist() == [GLANDS, "melanin pigment"]
    np.testing.assert_allclose(made.X[:, 0], [float(row[f"{GLANDS}: sigma"]) for row in rows], rtol=1e-5)
    np.testing.assert_allclose(
        made.layers["cosine"][:, 0], [float(row[f"{GLANDS}: cosine"]) for row in rows], rtol=1e-5
    )
    middles = [[int(row["x_px0"]) + PX0 / 2, int(row["y_px0"]) + PX0 / 2] for row in rows]
    np.testing.assert_array_equal(made.obsm["spatial"], middles)
    picture = made.uns["spatial"][SLIDE]
    scale = picture["scalefactors"]
    assert scale["spot_diameter_fullres"] == PX0
    assert picture["images"]["hires"].shape[1] == pytest.approx(SIDE * PX0 * scale["tissue_hires_scalef"])
    assert json.loads(made.uns["hlss"])["maps"][0]["figures"] == found(mapped)["figures"]


def test_what_is_asked_and_not_there_is_told_with_what_is_near(run: Path, mapped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(**changes: Any) -> str:
        given = {"what": run, "characteristics": [GLANDS], "texts": [], "out": out, **changes}
        with pytest.raises(UserError) as caught:
            map_slides(**given)
        return str(caught.value)

    assert "no characteristic 'gland' in bank 'phantom'. Near: gland formation" in refused(characteristics=["gland"])
    assert "no slide 'P0001-0' in this table of 3. Near: P0001-00" in refused(slides=["P0001-0"])
    assert "unknown bank 'none'" in refused(bank="none")
    assert "nothing to map" in refused(characteristics=[])
    assert "an empty text" in refused(texts=["  "])
    assert "tokens that the text tower reads" in refused(texts=["word " * 500])
    assert "neither a run nor" in refused(what=tmp_path) or "no embedding table" in refused(what=tmp_path)
    assert "no such kind of file: 'jpeg'" in refused(settings=MapSettings(kinds=("jpeg",)))
    assert "--threshold: nan is no number" in refused(settings=MapSettings(threshold=float("nan")))
    assert "--smooth-um: inf is no number" in refused(settings=MapSettings(smooth_um=float("inf")))
    assert "not an empty folder" in refused(out=mapped)
    assert not out.exists()


@pytest.mark.parametrize("mistake", [["--characteristic", "gland"], ["--truth", "--slide", SLIDE]])
def test_a_mistake_is_one_line(run: Path, mistake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["map", str(run), *mistake, "--out", str(run / "other")])
    assert ended.value.code == 1
    assert capsys.readouterr().err.strip().count("\n") == 0
    assert not (run / "other").exists()


def test_a_slide_of_one_tile_a_table_without_sizes_and_a_run_without_text(tmp_path: Path) -> None:
    one = {**DRAWN, "cohort": {**DRAWN["cohort"], "side": 1}}
    run = write_run(tmp_path / "run", one, {"last": noise(128)})
    out = map_slides(run, [GLANDS], [])
    assert found(out)["faithfulness"]["verdict"] == "not known: 1 tiles are too few (of 40)"
    assert tifffile.imread(out / "P0000-00" / "gland_formation.sigma.tiff", key=0).shape == (16, 16)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["language"] = None
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match="the run was trained without a bank"):
        map_slides(run, [GLANDS], [], out=tmp_path / "other")
    assert found(map_slides(run, [GLANDS], [], bank="phantom", out=tmp_path / "named"))["characteristic"] == GLANDS
    settings["encoder"] = {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 128}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match="this run has no text tower"):
        map_slides(run, [], ["glands"], out=tmp_path / "third")


def test_where_the_pixels_are_gone_the_map_is_made_without_them(run: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "run"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("maps"))
    settings = yaml.safe_load((other / "config.yaml").read_text())
    settings["cohort"] = {"name": "slides", "tiles": str(tmp_path / "gone")}
    (other / "config.yaml").write_text(yaml.safe_dump(settings))
    out = map_slides(other, [GLANDS], [], slides=[SLIDE])
    result = json.loads((out / "maps.json").read_text())
    assert any("pixels are not at hand" in notice for notice in result["notices"])
    assert any("taken to be as large as they lie apart" in notice for notice in result["maps"][0]["notices"])
    values = tifffile.imread(out / SLIDE / "gland_formation.sigma.tiff", key=0)
    assert values.shape[0] * json_of(out)["downsample"] == SIDE * PX0


def json_of(out: Path) -> dict[str, Any]:
    with tifffile.TiffFile(out / SLIDE / "gland_formation.sigma.tiff") as tiff:
        result: dict[str, Any] = json.loads(tiff.pages[0].description)
    return result


def test_smoothing_is_in_micrometres_and_leaves_the_tiles_scores(run: Path, mapped: Path, tmp_path: Path) -> None:
    settings = MapSettings(smooth_um=64.0, kinds=("tiff", "csv"))
    out = map_slides(run, [GLANDS], [], slides=[SLIDE], out=tmp_path / "out", settings=settings)
    rough, smooth = (tifffile.imread(folder / SLIDE / "gland_formation.sigma.tiff", key=0) for folder in (mapped, out))
    assert np.std(smooth) < 0.8 * np.std(rough)
    own, other = ([float(row[f"{GLANDS}: sigma"]) for row in tiles(folder)] for folder in (mapped, out))
    np.testing.assert_allclose(own, other, atol=1e-5)
    settings = MapSettings(smooth_um=9000.0, kinds=("tiff",))
    with pytest.raises(UserError, match="9000 µm is wider than slide"):
        map_slides(run, [GLANDS], [], slides=[SLIDE], out=tmp_path / "wide", settings=settings)


def test_a_sentence_of_two_lines_is_one_and_a_large_drawn_slide_says_what_is_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_drawn, "MOST_TILES", 50)
    settings = MapSettings(kinds=("geojson",))
    out = map_slides(run, [GLANDS], ["pink:\n fibres"], slides=[SLIDE], out=tmp_path / "out", settings=settings)
    assert found(out, 1)["characteristic"] == "pink: fibres"
    assert len(objects_of(out / found(out, 1)["files"][0])) >= SIDE**2
    assert found(out)["truth"] is None
    assert any("what was drawn is not looked up" in notice for notice in found(out)["notices"])


def test_truth_by_factor_before_and_after(run: Path) -> None:
    result = CliRunner().invoke(app, ["map", str(run), "--truth", "--out", str(run / "of test")])
    assert result.exit_code == 0, result.output
    assert json.loads((run / "of test" / "truth.json").read_text())["side"] == "test"
    tree = json.loads((map_truth(run, None, side="all") / "truth.json").read_text())
    assert [one["name"].rpartition(" · ")[2] for one in tree["tables"]] == ["start", "last"]
    start, last = (one["auroc"]["by_factor"]["glands"]["value"] for one in tree["tables"])
    assert start == pytest.approx(0.5, abs=0.15)
    assert last > 0.7
    (less,) = tree["less_first"]
    assert less["auroc"]["by_factor"]["glands"]["value"] == pytest.approx(last - start)
    assert tree["tables"][0]["provenance"]["config_hash"]
    assert tree["provenance"]["command"]
    with pytest.raises(UserError, match="what bank 'he_brain' stands for is not known"):
        map_truth(run, "he_brain")
