"""A file a slide: the table they make is the one that embedding at once makes, and a file says what it was made of."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from hlss.batches.loader import SeenTiles, seen_tiles, tiles
from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.by_slide import SlideWork, parts_of, plan, slide_features, tower_hash, write_slide
from hlss.evaluate.embed import Identities, embed
from hlss.evaluate.lanes import Lanes
from hlss.evaluate.slide_files import says, stored_key, write_table

CPU = torch.device("cpu")


class Colours(ImageEncoder):
    """Mean of each channel, times its weights; remembers how many came together."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(3, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]) * weight)
        self.together: list[int] = []

    def forward(self, pixels: Tensor) -> Tensor:
        self.together.append(len(pixels))
        return pixels.mean(dim=(2, 3)) * self.weight


def without(cohort: Cohort, unreadable: tuple[int, ...] = ()) -> Callable[[Iterable[np.ndarray]], Iterator[SeenTiles]]:
    """What is seen of a cohort of which some tiles cannot be read."""

    def seen(chunks: Iterable[np.ndarray]) -> Iterator[SeenTiles]:
        for rows, pixels, _ in seen_tiles(cohort, chunks, 1, 8):
            kept = [place for place, row in enumerate(rows.tolist()) if row not in unreadable]
            torn = {f"tile {row}": "it is torn" for row in rows.tolist() if row in unreadable}
            yield SeenTiles(rows[kept], pixels[kept], torn)

    return seen


def write(
    works: list[SlideWork], sides: dict[str, Cohort], encoder: ImageEncoder, unreadable: tuple[int, ...] = ()
) -> dict[str, str]:
    """Write the slides' files in batches of three; returns the tiles that could not be read."""
    torn: dict[str, str] = {}
    for side, cohort in sides.items():
        group = [work for work in works if work.side == side]
        for found in slide_features(Lanes(encoder, CPU), group, without(cohort, unreadable), 3):
            torn |= found.unreadable
            if len(found.rows):
                write_slide(found, cohort, Identities(cohort, side))
    return torn


@pytest.fixture(scope="module")
def sides() -> dict[str, Cohort]:
    """Three and one patients of two slides each, four tiles a slide at twice the resolution of level 0."""
    cohort = PhantomSpec(patients=4, slides=2, side=2, tile_px=16, mpp=1.0, classes=2).open()
    return {"train": cohort.keep_patients([0, 1, 3]), "test": cohort.keep_patients([2])}


def works_of(sides: dict[str, Cohort], folder: Path, encoder: ImageEncoder) -> list[SlideWork]:
    return plan(sides, folder, tower_hash(encoder), None)


def test_the_table_is_the_one_of_embedding_at_once(sides: dict[str, Cohort], tmp_path: Path):
    encoder, unreadable = Colours(), (2, 5)

    def stream(cohort: Cohort, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        for kept, pixels in tiles(cohort, rows, 8, 1):
            if int(kept[0]) not in unreadable:
                yield kept, pixels

    expected = embed(encoder, sides, stream, {"method": "m"}, device=CPU)
    works = works_of(sides, tmp_path / "slides", encoder)
    assert write(works, sides, encoder, unreadable) == {"tile 2": "it is torn", "tile 5": "it is torn"}
    write_table(tmp_path / "table", parts_of(works, sides), len(expected), 3, {"method": "m"})
    found = EmbeddingTable.read(tmp_path / "table")
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-6)
    for name, column in expected.columns.items():
        assert found[name].tolist() == column.tolist(), name
    assert set(found["mpp0"]) == {"0.5"}
    assert dict(found.provenance) == {"method": "m"}
    assert len(list((tmp_path / "slides").iterdir())) == 8


def test_no_batch_holds_tiles_of_two_slides_and_slides_are_asked_for_as_needed(sides: dict[str, Cohort]):
    encoder, cohort, asked, passed = Colours(), sides["train"], list[str](), list[int]()
    works = [work for work in works_of(sides, Path("s"), encoder) if work.side == "train"]

    def one_by_one() -> Iterator[SlideWork]:
        for work in works:
            asked.append(work.slide)
            yield work

    given = slide_features(Lanes(encoder, CPU), one_by_one(), without(cohort), 3, passed.append)
    first = next(given)
    assert asked == [work.slide for work in works[:2]]  # the one that is done, and the one that is being read
    ended = [first, *given]
    assert [one.work for one in ended] == works
    assert encoder.together == passed == [2, 2] * 6
    assert all(np.array_equal(one.rows, one.work.rows) for one in ended)


def test_the_files_are_trident_s(sides: dict[str, Cohort], tmp_path: Path):
    works = works_of(sides, tmp_path, Colours())
    write(works, sides, Colours())
    work = works[3]
    with h5py.File(work.path) as file:
        assert (file["features"].shape, file["features"].dtype) == ((4, 3), np.float32)
        np.testing.assert_array_equal(file["coords"], sides[work.side].tile_xy_px0(work.rows))
        facts = dict(file["coords"].attrs)
    assert (facts["patch_size"], facts["patch_size_level0"], facts["overlap"]) == (16, 32, 0)
    assert (facts["level0_magnification"], facts["target_magnification"], facts["level0_width"]) == (20, 10, 64)


def test_other_weights_other_tiles_and_broken_files_do_not_fit(sides: dict[str, Cohort], tmp_path: Path):
    encoder = Colours()
    works = works_of(sides, tmp_path, encoder)
    write(works, sides, encoder)
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


def test_of_a_slide_of_which_nothing_can_be_read_nothing_comes_but_why(sides: dict[str, Cohort]):
    encoder, cohort = Colours(), sides["train"]
    works = [work for work in works_of(sides, Path("s"), encoder) if work.side == "train"]
    torn = (0, 1, 2, 3, 8, 9, 10, 21)
    found = list(slide_features(Lanes(encoder, CPU), works, without(cohort, torn), 3))
    assert [(len(one.rows), len(one.features), len(one.unreadable)) for one in found] == [
        (0, 0, 4),
        (4, 4, 0),
        (1, 1, 3),
        (4, 4, 0),
        (4, 4, 0),
        (3, 3, 1),
    ]
    assert found[0].features.shape == (0, 3)


def test_a_table_of_another_size_than_was_said_does_not_appear(sides: dict[str, Cohort], tmp_path: Path):
    works = works_of(sides, tmp_path / "s", Colours())
    write(works, sides, Colours())
    for rows, width in ((31, 3), (33, 3), (32, 4)):
        with pytest.raises(ValueError, match="in a table of"):
            write_table(tmp_path / "table", parts_of(works, sides), rows, width, {})
    assert not (tmp_path / "table").exists()


def test_a_table_says_what_it_was_made_of(sides: dict[str, Cohort], tmp_path: Path):
    works = works_of(sides, tmp_path / "s", Colours())
    write(works, sides, Colours())
    table, facts = tmp_path / "table", {"method": "m", "mpp": None, "time": "noon"}
    assert not says(table, facts, ())
    write_table(table, parts_of(works, sides), 32, 3, facts)
    assert says(table, facts, ())
    assert says(table, {**facts, "time": "later"}, {"time"})
    assert not says(table, {**facts, "time": "later"}, ())
    assert not says(table, {**facts, "more": 1}, ())
    assert not says(table, {"method": "m", "time": "noon"}, ())
    (table / "patches.parquet").write_bytes(b"torn")
    assert not says(table, facts, ())


def test_parts_are_written_as_they_come(sides: dict[str, Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No part is held after the next was asked for, but identities up to a row group."""
    works = works_of(sides, tmp_path / "s", Colours())
    write(works, sides, Colours())
    monkeypatch.setattr("hlss.evaluate.slide_files._ROWS", 6)
    features: list[weakref.ref[np.ndarray]] = []

    def parts() -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
        for work in works:
            assert sum(one() is not None for one in features) <= 1
            (block, columns), *_ = parts_of([work], sides)
            features.append(weakref.ref(block))
            yield block, columns
            del block

    write_table(tmp_path / "table", parts(), 32, 3, {})
    assert len(EmbeddingTable.read(tmp_path / "table")) == 32
    assert pq.read_metadata(tmp_path / "table" / "patches.parquet").num_row_groups == 4
