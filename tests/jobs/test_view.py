"""What can be looked at: of every kind of cohort its pixels, of a run its words and places, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cut_slides import cut_slides
from drawn_run import noise, write_run
from view_server import SETTINGS, write_slides

from hlss.cohorts.base import Cohort
from hlss.cohorts.images import FlatImages
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.slides import SlidesSpec
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.random import RandomText
from hlss.errors import UserError
from hlss.jobs.explain_sources import sources_of
from hlss.jobs.map_ground import Pixels
from hlss.jobs.map_texts import MapTexts
from hlss.jobs.view import NO_WORDS, chosen_view
from hlss.jobs.view_features import PatchFeatures
from hlss.jobs.view_mosaic import mosaic
from hlss.jobs.view_patches import Patches
from hlss.jobs.view_slides import OpenSlides, images_of
from hlss.jobs.view_words import SENTENCES, Words
from hlss.language.bank import read_bank

SMALL: dict[str, Any] = {
    **SETTINGS,
    "cohort": {"name": "phantom", "patients": 4, "slides": 1, "side": 3, "tile_px": 32, "classes": 2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("view") / "run", SMALL, {"last": noise(16), "start": noise(16, 1)})


def agree(cohort: Cohort, most: float) -> None:
    """Every tile of a cohort is what its image, seen as a slide, shows there."""
    slides, images = OpenSlides(), images_of(cohort)
    for row in range(cohort.n_tiles):
        image = images[int(cohort.tile_image(np.array([row]))[0])]
        slide, frame = slides.get(image)
        scale = 1.0 if cohort.mpp is None or frame.mpp0 is None else cohort.mpp / frame.mpp0
        corner = tuple(cohort.tile_xy_px0(np.array([row]))[0].tolist())
        found = slide.read_rectangle(corner, (cohort.tile_px, cohort.tile_px), scale * (slide.mpp or 1.0))
        assert np.abs(found.astype(int) - cohort.read_tile(row)).max() <= most


def test_drawn_cohorts_and_cut_slides_are_read_to_the_bit(tmp_path: Path) -> None:
    agree(PhantomSpec(patients=2, slides=2, side=2, tile_px=32, mpp=1.0).open(), 0)
    agree(SlidesSpec.model_validate({"name": "slides", **cut_slides(tmp_path / "cut")}).open(), 0)


def test_flat_images_are_read_to_the_bit_and_decoded_once(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    (tmp_path / "m.csv").write_text("path,patient_id,slide_id\na.png,P,S\n")
    cohort = ManifestSpec.model_validate({"name": "manifest", "path": tmp_path / "m.csv", "tile_px": 32}).open()
    assert isinstance(cohort.source, FlatImages)
    agree(cohort, 0)
    assert images_of(cohort)[0].file == "a.png"


def test_what_has_tiles_only_is_seen_as_their_mosaic() -> None:
    cohort = PhantomSpec(patients=1, slides=1, side=3, tile_px=32).open()
    wanted = np.ones(9, dtype=bool)
    wanted[4] = False
    some = cohort.keep_tiles(wanted)
    seen = mosaic(some.source, some, 0)  # type: ignore[arg-type]
    assert seen.size_px0 == (96, 96)
    whole = seen.read_level(0, (0, 0), (96, 96))
    assert (whole[32:64, 32:64] == 255).all()
    np.testing.assert_array_equal(whole[:32, 64:], cohort.read_tile(2))
    np.testing.assert_array_equal(seen.read_level(0, (70, 5), (20, 60)), whole[5:65, 70:90])


def test_a_run_is_opened_with_its_words_and_places(run: Path) -> None:
    viewed = chosen_view(run, None, None, None)
    assert [image.slide for image in viewed.images] == [f"P000{n}-00" for n in range(4)]
    assert len({image.id for image in viewed.images}) == 4
    assert any("unreviewed" in notice for notice in viewed.notices)
    patches = viewed.patches
    assert patches is not None
    assert [len(patches.rows(place)) for place in range(4)] == [9, 9, 9, 9]
    assert patches.extent_px0(0) == 32
    for row in (0, 10, 35):
        x, y = patches.xy_px0[row].tolist()
        assert patches.at(row // 9, x + 31.9, y) == row
    assert patches.at(0, 96, 0) is None
    assert patches.at(0, -0.1, 0) is None
    assert chosen_view(run / "embeddings" / "start", None, None, None).title == "viewed · start"
    assert chosen_view(run, "start", None, None).title == "viewed · start"


def test_what_the_first_click_needs_can_be_counted_ahead(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = chosen_view(run, None, None, None).patches
    assert patches is not None
    counted: list[int] = []
    was = PatchFeatures.moments
    monkeypatch.setattr(PatchFeatures, "moments", lambda self, texts: (counted.append(len(texts)), was(self, texts))[1])
    patches.prepare()
    assert counted == [len(patches.sigma_of(row)) for row in (0, 5)][:1]


def test_the_nearest_of_patches_that_overlap() -> None:
    cohort = PhantomSpec(patients=1, slides=1, side=2, tile_px=32).open()
    columns = dict.fromkeys(("patient", "slide", "site", "image", "label", "side"), np.full(2, "P0000-00", object))
    places = {"x_px0": np.array([0, 16]), "y_px0": np.array([0, 0])}
    image = images_of(cohort)[0]
    named = {**columns, "image": np.full(2, f"phantom/{image.file}", dtype=object), **places}
    table = EmbeddingTable(np.ones((2, 4), np.float32), named, {})
    found = Patches(table, [image], Pixels(cohort), None)
    assert [found.at(0, x, 3) for x in (1, 17, 23, 25, 47)] == [0, 0, 0, 1, 1]
    outside = EmbeddingTable(table.features, {**named, "x_px0": np.array([0, 16_000])}, {})
    with pytest.raises(UserError, match="it has a tile at"):
        Patches(outside, [image], Pixels(cohort), None).at(0, 1, 3)


def test_a_run_without_a_text_tower_has_places_and_no_words(tmp_path: Path) -> None:
    settings = {**SMALL, "objective": "hidisc", "language": None}
    viewed = chosen_view(write_run(tmp_path / "run", settings, {"last": noise(16)}), None, None, None)
    assert NO_WORDS in viewed.notices
    assert viewed.patches is not None
    with pytest.raises(KeyError):
        viewed.patches.sigma("patch-0")


def test_what_is_refused(run: Path, tmp_path: Path) -> None:
    manifest = write_slides(tmp_path / "slides")
    refused = {
        "give either a run or --slides": (None, None, None, None),
        "slides alone have no embeddings": (None, "last", None, manifest),
        "neither a run nor an embedding table": (tmp_path, None, None, None),
        "no table 'other'. It has: start, last": (run, "other", None, None),
        "no slide in this folder": (None, None, None, run),
    }
    for message, (where, table, bank, slides) in refused.items():
        with pytest.raises(UserError, match=message):
            chosen_view(where, table, bank, slides)
    viewed = chosen_view(None, None, None, manifest)
    assert viewed.patches is None
    assert len(viewed.images) == 2


def test_sentences_are_words_as_long_as_the_tower_reads_them(run: Path) -> None:
    tower = RandomText(dim=16).build()
    words = Words(MapTexts(sources_of([run / "embeddings" / "last"], "all")[0], None))
    first = words.typed("  clear \n cells ")
    assert first == words.typed("clear cells")
    row = words.get(first).row
    np.testing.assert_allclose(row, (one := tower.encode(["clear cells"]).numpy()[0]) / np.linalg.norm(one), atol=1e-6)
    assert words.get("patch-0").name == read_bank("general_he").patch[0].name
    for text, message in (("  ", "nothing to look for"), ("x" * 501, "longer than")):
        with pytest.raises(UserError, match=message):
            words.typed(text)
    for number in range(SENTENCES):
        words.typed(f"sentence {number}")
    for key in (first, "patch-999", "../patch-0"):
        with pytest.raises(KeyError):
            words.get(key)


def test_words_need_no_cache_that_can_be_written(run: Path) -> None:
    source = sources_of([run / "embeddings" / "last"], "all")[0]
    (run.parent / "taken").write_text("a file")
    elsewhere = source.experiment.model_copy(update={"cache": run.parent / "taken" / "cache"})
    texts = MapTexts(replace(source, experiment=elsewhere), None)
    assert texts.asked((), ["clear cells"])[0].name == "clear cells"
