"""A file a slide, as it goes: the table they make is the one that embedding at once makes, whatever interrupted it."""

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from hlss.batches.loader import tiles
from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.by_slide import SlideWork, embed_slides, parts_of, plan, tower_hash
from hlss.evaluate.embed import embed
from hlss.evaluate.slide_files import stored_key, write_table

CPU = torch.device("cpu")


class Colours(ImageEncoder):
    """Mean of each channel, times its weights."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(3, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]) * weight)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(2, 3)) * self.weight


class Stream:
    """Tiles by three, so that batches cross slides; some cannot be read; dies after so many batches."""

    def __init__(self, unreadable: tuple[int, ...] = (), dies_after: int = 10**9) -> None:
        self.unreadable, self.dies_after, self.seen = unreadable, dies_after, list[int]()

    def __call__(self, cohort: Cohort, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        for number, (kept, pixels) in enumerate(tiles(cohort, rows, 8, 3)):
            if number == self.dies_after:
                raise KeyboardInterrupt
            self.seen += kept.tolist()
            readable = [place for place, row in enumerate(kept.tolist()) if row not in self.unreadable]
            if readable:
                yield kept[readable], pixels[readable]


@pytest.fixture(scope="module")
def sides() -> dict[str, Cohort]:
    """Three and one patients of two slides each, four tiles a slide at twice the resolution of level 0."""
    cohort = PhantomSpec(patients=4, slides=2, side=2, tile_px=16, mpp=1.0, classes=2).open()
    return {"train": cohort.keep_patients([0, 1, 3]), "test": cohort.keep_patients([2])}


def works_of(sides: dict[str, Cohort], folder: Path, encoder: ImageEncoder) -> list[SlideWork]:
    return plan(sides, folder, tower_hash(encoder), None)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_table_is_the_one_of_embedding_at_once(sides: dict[str, Cohort], tmp_path: Path):
    encoder, unreadable = Colours(), (2, 5)
    expected = embed(encoder, sides, Stream(unreadable), {"method": "m"}, device=CPU)
    works = works_of(sides, tmp_path / "slides", encoder)
    assert embed_slides(encoder, works, Stream(unreadable), device=CPU) == 0
    write_table(tmp_path / "table", parts_of(works), len(expected), 3, {"method": "m"})
    found = EmbeddingTable.read(tmp_path / "table")
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-6)
    for name, column in expected.columns.items():
        assert found[name].tolist() == column.tolist(), name
    assert set(found["mpp0"]) == {"0.5"}
    assert dict(found.provenance) == {"method": "m"}
    assert len(list((tmp_path / "slides").iterdir())) == 8


def test_the_files_are_trident_s(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    works = works_of(sides, tmp_path, encoder)
    embed_slides(encoder, works, Stream(), device=CPU)
    work = works[3]
    with h5py.File(work.path) as file:
        assert (file["features"].shape, file["features"].dtype) == ((4, 3), np.float32)
        np.testing.assert_array_equal(file["coords"], work.cohort.tile_xy_px0(work.rows))
        facts = dict(file["coords"].attrs)
    assert (facts["patch_size"], facts["patch_size_level0"], facts["overlap"]) == (16, 32, 0)
    assert (facts["level0_magnification"], facts["target_magnification"], facts["level0_width"]) == (20, 10, 64)


def test_killed_it_goes_on_with_the_slides_that_are_not_there(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    embed_slides(encoder, works_of(sides, tmp_path / "whole", encoder), Stream(), device=CPU)
    works = works_of(sides, tmp_path / "slides", encoder)
    with pytest.raises(KeyboardInterrupt):
        embed_slides(encoder, works, Stream(dies_after=5), device=CPU)
    assert len(list((tmp_path / "slides").iterdir())) == 3  # 15 tiles were seen, 12 of them of whole slides
    again = Stream()
    assert embed_slides(encoder, works, again, device=CPU) == 3
    assert sorted(again.seen) == [*range(8), *range(12, 24)]  # rows of both sides; the first three slides are not seen
    assert embed_slides(encoder, works, Stream(dies_after=0), device=CPU) == 8
    for path in (tmp_path / "whole").iterdir():
        with h5py.File(path) as one, h5py.File(tmp_path / "slides" / path.name) as other:
            np.testing.assert_allclose(one["features"], other["features"], rtol=1e-6)
            assert one.attrs["hlss_key"] == other.attrs["hlss_key"]


def test_the_same_again_is_the_same_bytes(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    embed_slides(encoder, works_of(sides, tmp_path / "s", encoder), Stream(), device=CPU)
    first = bytes_of(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        path.unlink()
    embed_slides(encoder, works_of(sides, tmp_path / "s", encoder), Stream(), device=CPU)
    assert bytes_of(tmp_path / "s") == first


def test_other_weights_other_tiles_and_broken_files_do_not_fit(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    works = works_of(sides, tmp_path, encoder)
    embed_slides(encoder, works, Stream(), device=CPU)
    assert works_of(sides, tmp_path, Colours())[0].key == works[0].key
    assert not {work.key for work in works_of(sides, tmp_path, Colours(1.001))} & {work.key for work in works}
    assert plan(sides, tmp_path, tower_hash(encoder), ["view", 1])[0].key != works[0].key
    fewer = {**sides, "train": sides["train"].keep_tiles(np.arange(24) != 5)}
    kept = [a.key == b.key for a, b in zip(works, works_of(fewer, tmp_path, encoder), strict=True)]
    assert kept == [True, False, *[True] * 6]
    coarser = {side: replace(cohort, mpp=2.0) for side, cohort in sides.items()}
    assert works_of(coarser, tmp_path, encoder)[0].key != works[0].key
    works[2].path.write_bytes(works[2].path.read_bytes()[:500])
    works[4].path.write_bytes(b"")
    assert [stored_key(work.path) == work.key for work in works] == [i not in (2, 4) for i in range(8)]
    assert embed_slides(encoder, works, Stream(), device=CPU) == 6
    assert all(stored_key(work.path) == work.key for work in works)


def test_a_slide_of_which_nothing_can_be_read_has_no_file(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    works = works_of({"train": sides["train"]}, tmp_path, encoder)
    embed_slides(encoder, works, Stream(unreadable=(0, 1, 2, 3, 8, 9, 10, 11, 20, 21, 22, 23)), device=CPU)
    assert [work.path.exists() for work in works] == [False, True, False, True, True, False]


def test_a_table_of_another_size_than_was_said_does_not_appear(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    works = works_of(sides, tmp_path / "s", encoder)
    embed_slides(encoder, works, Stream(), device=CPU)
    for rows, width in ((31, 3), (33, 3), (32, 4)):
        with pytest.raises(ValueError, match="in a table of"):
            write_table(tmp_path / "table", parts_of(works), rows, width, {})
    assert not (tmp_path / "table").exists()


def test_parts_are_written_as_they_come(sides: dict[str, Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No part is held after the next was asked for, but identities up to a row group."""
    encoder = Colours()
    works = works_of(sides, tmp_path / "s", encoder)
    embed_slides(encoder, works, Stream(), device=CPU)
    monkeypatch.setattr("hlss.evaluate.slide_files._ROWS", 6)
    features: list[weakref.ref[np.ndarray]] = []

    def parts() -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
        for work in works:
            assert sum(one() is not None for one in features) <= 1
            (block, columns), *_ = parts_of([work])
            features.append(weakref.ref(block))
            yield block, columns
            del block

    write_table(tmp_path / "table", parts(), 32, 3, {})
    assert len(EmbeddingTable.read(tmp_path / "table")) == 32
    assert pq.read_metadata(tmp_path / "table" / "patches.parquet").num_row_groups == 4
