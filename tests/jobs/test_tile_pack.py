"""`hlss tile --pack` makes the pack that a training on these tiles would make, and no other."""

from pathlib import Path

import numpy as np
import pytest
import small_slides

from hlss.cohorts.pack import packed
from hlss.cohorts.packed import PackedTiles
from hlss.cohorts.slides import SlidesSpec
from hlss.jobs.tile import tile_slides

SETTINGS = ("mpp=4", "tile_px=32")


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    for seed in range(2):
        small_slides.write_slide(tmp_path / "slides" / f"s{seed}.tiff", seed)
    return tmp_path / "slides"


def test_a_training_finds_its_pack_there_and_makes_none(slides: Path, tmp_path: Path) -> None:
    cache, said = tmp_path / "cache", list[str]()
    out = tile_slides(slides, tmp_path / "out", SETTINGS, say=said.append, pack=cache)
    written = {path: path.stat().st_mtime_ns for path in (cache / "packs").rglob("*")}
    plain = SlidesSpec(tiles=out).open()
    assert f"packed {plain.n_tiles} tiles of 2 slides in {cache}" in said
    cohort = packed(plain, cache / "packs")
    assert {path: path.stat().st_mtime_ns for path in (cache / "packs").rglob("*")} == written
    assert isinstance(cohort.source, PackedTiles)
    for row in (0, plain.n_tiles - 1):
        apart = np.abs(cohort.read_tile(row).astype(int) - plain.read_tile(row))
        assert apart.mean() < 3  # of grey values: JPEG of quality 95


def test_a_shard_that_is_not_the_last_packs_nothing_and_says_so(slides: Path, tmp_path: Path) -> None:
    cache, said = tmp_path / "cache", list[str]()
    tile_slides(slides, tmp_path / "out", SETTINGS, shard="1/2", say=said.append, pack=cache)
    assert not cache.exists()
    assert any("packed when" in line for line in said)
    tile_slides(slides, tmp_path / "out", SETTINGS, shard="2/2", say=said.append, pack=cache)
    assert any(path.name == "pack.json" for path in cache.rglob("*"))
