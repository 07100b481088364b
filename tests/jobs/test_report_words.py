"""Units and maps in a report, on drawn tissue whose true map is known: each with what its test found beside it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from drawn_run import noise, write_run
from html_figures import agree, read

from hlss.cohorts.base import Cohort
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.tiny import TinyText
from hlss.errors import UserError
from hlss.jobs.explain_units import explain_units
from hlss.jobs.map_slide import MapSettings
from hlss.jobs.map_slides import map_slides
from hlss.jobs.report import make_report
from hlss.jobs.report_units import largest
from hlss.language.bank import read_bank

GLANDS = "gland formation"
DRAWN = {
    "name": "drawn",
    "cohort": {
        "name": "phantom", "patients": 4, "slides": 1, "side": 10, "tile_px": 32, "mpp": 2.0, "classes": 2, "seed": 1,
    },
    "loader": {"workers": 0, "pack": None},
    "encoder": "tiny",
    "language": {"bank": "phantom"},
    "objective": "hidisc",
}  # fmt: skip


def silent(line: str) -> None:
    """Say nothing."""


def glands_in_squares(cohort: Cohort, labels: np.ndarray) -> np.ndarray:
    """Features made of the words of glands on the white squares, three tiles wide, of a checkerboard over every slide,
    and of other words on the black ones.
    """
    bank, tower = read_bank("phantom"), TinyText().build()
    texts = dict(zip(bank.names("slide"), bank.texts("slide"), strict=True))
    white, black = (tower.encode(texts[name]).numpy().mean(axis=0) for name in (GLANDS, "confluent necrosis"))
    places = cohort.tile_xy_px0(np.arange(cohort.n_tiles))
    square = (places // (3 * places[places > 0].min())).sum(axis=1) % 2
    rest = np.random.default_rng(0).normal(size=(cohort.n_tiles, len(white))) / np.sqrt(len(white))
    return np.where(square[:, None] == 0, white, black) + rest / 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worded") / "run"
    return write_run(folder, DRAWN, {"start": noise(128), "last": glands_in_squares})


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return make_report([run], run.parent / "page.html", say=silent).read_text()


@pytest.fixture(scope="module")
def shown(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy beside which maps and units were written, and its report."""
    copy = Path(shutil.copytree(run, tmp_path_factory.mktemp("written") / "run"))
    map_slides(copy, [GLANDS], ["melanin pigment"], settings=MapSettings(kinds=("csv",)))
    explain_units([copy], "phantom", ["slide", "patient"], overrides=["permutations=100"])
    return copy, make_report([copy], say=silent).read_text()


def own(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(html).scripts["figures"])
    return found


def figures_of(html: str, start: str) -> str:
    """The page from one heading to the next."""
    return html.split(f"<h3>{start}</h3>")[1].split("<h3>")[0]


def test_every_figure_of_units_and_maps_is_at_its_address(run: Path, html: str) -> None:
    trees = {"report": own(html), "config.yaml": yaml.safe_load((run / "config.yaml").read_text())}
    agree(html, trees)
    pointers = [figure.pointer for figure in read(html).figures]
    for wanted in ("sigma", "p_text", "q_text", "p_images"):
        assert f"/units/0/units/0/matches/0/{wanted}" in pointers
    assert "/slide_maps/0/0/faithfulness/auroc" in pointers


def test_maps_made_for_the_report_are_those_that_hlss_map_makes(run: Path, html: str, tmp_path: Path) -> None:
    (made,) = own(html)["slide_maps"]
    assert [one["slide"] for one in made] == ["P0002-00", "P0003-00"]
    for one in made:
        name = [one["characteristic"]]
        out = map_slides(run, name, [], slides=[one["slide"]], out=tmp_path / one["slide"])
        (same,) = json.loads((out / "maps.json").read_text())["maps"]
        ours, theirs = (found["faithfulness"] for found in (one, same))
        assert ours["auroc"] == pytest.approx(theirs["auroc"], rel=1e-4)
        assert ours["random_maps"]["p"] == pytest.approx(theirs["random_maps"]["p"], rel=1e-4)
        assert ours["verdict"] == theirs["verdict"]
        assert one["tiles"] == same["tiles"] == 100


def test_units_are_chosen_by_size_and_not_by_score(run: Path, html: str) -> None:
    table = EmbeddingTable.read(run / "embeddings" / "last")
    test = table.where(np.asarray(table["side"] == "test"))
    assert len({str(label) for label in test["label"]}) == 2
    named = {(one["level"], one["name"]) for one in own(html)["units"][0]["units"]}
    for label in set(test["label"].tolist()):
        slide, patient = largest(test, label)
        assert {("slide", slide), ("patient", patient)} <= named
    more = test.where(np.arange(len(test)) != 0)  # its first patient has one patch less
    assert largest(more, str(test["label"][-1]))[1] == str(test["patient"][-1])


def test_written_maps_and_units_are_shown_as_they_are(shown: tuple[Path, str]) -> None:
    copy, html = shown
    trees = {
        "report": own(html),
        "config.yaml": yaml.safe_load((copy / "config.yaml").read_text()),
        "maps.json": json.loads((copy / "maps" / "last" / "maps.json").read_text()),
        "units.json": json.loads((copy / "explanations" / "units.json").read_text()),
    }
    agree(html, trees)
    assert not {"units", "slide_maps"} & set(trees["report"])
    assert "6 of 8 maps" in html
    maps = figures_of(html, "Maps of characteristics")
    assert [re.search(f"“{name}” on slide P000{n}-00", maps) is not None for name in (GLANDS,) for n in range(4)] == [
        True
    ] * 4
    assert "drawn: glands" in maps


def test_a_sound_map_holds_and_a_map_of_noise_looks_weak(run: Path, shown: tuple[Path, str], tmp_path: Path) -> None:
    copy, html = shown
    maps = json.loads((copy / "maps" / "last" / "maps.json").read_text())["maps"]
    first = next(one for one in maps if one["characteristic"] == GLANDS)
    assert first["faithfulness"]["above_chance"]
    sound = next(part for part in html.split("<figure")[1:] if f"“{GLANDS}” on slide {first['slide']}" in part)
    assert 'class="slide-map"' in sound
    assert "not above chance" not in sound
    noisy = make_report([run], tmp_path / "r.html", checkpoint="start", say=silent).read_text()
    weak = [part for part in noisy.split("<figure")[1:] if "on slide" in part]
    below = [one for one in own(noisy)["slide_maps"][0] if not one["faithfulness"]["above_chance"]]
    assert below
    assert sum("is-weak" in part for part in weak) == len(below)
    assert sum("Not above chance: tiles nearby do not bear this map out." in part for part in weak) == len(below)


def test_of_another_table_nothing_written_is_shown(shown: tuple[Path, str], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shown[0], tmp_path / "run"))
    table = EmbeddingTable.read(copy / "embeddings" / "last")
    facts = {**table.provenance, "config_hash": "another"}
    EmbeddingTable(table.features, table.columns, facts).write(copy / "embeddings" / "last")
    html = make_report([copy], say=silent).read_text()
    assert {figure.source for figure in read(html).figures} == {"report", "config.yaml"}
    assert {"units", "slide_maps"} <= set(own(html))


def test_maps_of_other_slides_are_shown_where_the_same_weights_embedded_them(run: Path, tmp_path: Path) -> None:
    table, apart = EmbeddingTable.read(run / "embeddings" / "last"), tmp_path / "apart"
    one = table.where(np.asarray(table["slide"] == "P0001-00"))
    EmbeddingTable(one.features, one.columns, {**one.provenance, "data_hash": "new"}).write(
        apart, (run / "config.yaml").read_text()
    )
    map_slides(apart, [GLANDS], [], settings=MapSettings(kinds=("csv",)))
    html = make_report([run], tmp_path / "r.html", mapped=apart, say=silent).read_text()
    maps = figures_of(html, "Maps of characteristics")
    assert "1 of 1 maps that <code>hlss map</code> wrote of other slides" in maps
    assert f"“{GLANDS}” on slide P0001-00" in maps
    written = json.loads((tmp_path / "maps" / "apart" / "maps.json").read_text())
    config = yaml.safe_load((run / "config.yaml").read_text())
    agree(html, {"report": own(html), "config.yaml": config, "maps.json": written})
    with pytest.raises(UserError, match="other weights"):
        make_report([run], tmp_path / "r.html", mapped=run / "embeddings" / "start", say=silent)


def test_without_pixels_the_maps_stay_and_the_pictures_are_left_out(run: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(run, tmp_path / "run"))
    text = yaml.safe_load((moved / "config.yaml").read_text())
    text["cohort"] = {"name": "manifest", "path": str(tmp_path / "gone.csv"), "tile_px": 32, "mpp": 2.0}
    (moved / "config.yaml").write_text(yaml.safe_dump(text))
    html = make_report([moved], say=silent).read_text()
    maps = figures_of(html, "Maps of characteristics")
    assert "data:image/png" in maps
    assert "data:image/jpeg" not in maps + figures_of(html, "Patches, slides and patients")
    assert "nothing says how large the tiles are" in maps


def test_without_a_text_tower_nothing_is_said_in_words(run: Path, tmp_path: Path) -> None:
    dumb = Path(shutil.copytree(run, tmp_path / "run"))
    text = yaml.safe_load((dumb / "config.yaml").read_text())
    text["encoder"] = {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 16}
    text["language"] = None
    (dumb / "config.yaml").write_text(yaml.safe_dump(text))
    html = make_report([dumb], bank="phantom", say=silent).read_text()
    assert "Nothing is said in words" in html
    assert "this run has no text tower" in html
    assert "slide_maps" not in own(html)
