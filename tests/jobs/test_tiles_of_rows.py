"""Which tile of a cohort a row of a table is of, however the table's rows lie and wherever the files went."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.folder_tree import FolderTreeSpec
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.embed import Identities
from hlss.jobs.tiles_of_rows import TilesOfRows


def table_of(cohort: Cohort, rows: np.ndarray) -> EmbeddingTable:
    return EmbeddingTable(np.zeros((len(rows), 2), np.float32), Identities(cohort, "test").of(rows), {})


@pytest.fixture(scope="module")
def drawn() -> Cohort:
    return PhantomSpec(patients=4, slides=2, side=3, tile_px=32, classes=2).open()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides, each of three images of 2 × 1 tiles; places are the same in all images of a slide."""
    folder = tmp_path_factory.mktemp("cohort")
    for number in range(2):
        for image in range(3):
            path = folder / f"P{number}" / f"S{number}" / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((32, 64, 3), 10 * number + image, np.uint8))
    return folder


def test_rows_in_any_order_find_their_tiles_all_at_once_and_one_by_one(drawn: Cohort) -> None:
    rows = np.random.default_rng(0).permutation(drawn.n_tiles)[:40]
    table, tiles = table_of(drawn, rows), TilesOfRows(drawn)
    assert tiles.tiles(table).tolist() == rows.tolist()
    assert [tiles.tiles(table, [place]).item() for place in range(40)] == rows.tolist()
    assert tiles.tiles(table, [5, 5, 0]).tolist() == rows[[5, 5, 0]].tolist()
    assert tiles.tiles(table, []).tolist() == []


def test_of_several_images_of_a_slide_the_right_one_is_found_wherever_it_lies_now(images: Path) -> None:
    cohort = FolderTreeSpec(root=images, tile_px=32).open()
    rows = np.random.default_rng(1).permutation(cohort.n_tiles)
    table, tiles = table_of(cohort, rows), TilesOfRows(cohort)
    moved = np.array([f"/elsewhere/{Path(name).name}" for name in table["image"]], dtype=object)
    table = replace(table, columns={**table.columns, "image": moved})
    assert len(rows) == 12
    assert tiles.tiles(table).tolist() == rows.tolist()
    for place, row in enumerate(rows.tolist()):
        (tile,) = tiles.tiles(table, [place])
        assert (cohort.read_tile(int(tile)) == cohort.read_tile(row)).all()


def test_a_row_that_the_cohort_lacks_is_one_line(drawn: Cohort, images: Path) -> None:
    table = table_of(drawn, np.arange(4))

    def refused(cohort: Cohort, **columns: object) -> str:
        changed = {name: np.array([value] * len(table), dtype=object) for name, value in columns.items()}
        for name in ("x_px0", "y_px0"):
            if name in changed:
                changed[name] = changed[name].astype(np.int64)
        with pytest.raises(UserError) as caught:
            TilesOfRows(cohort).tiles(replace(table, columns={**table.columns, **changed}))
        return str(caught.value)

    name = drawn.slides[0]
    assert refused(drawn, x_px0=7, y_px0=9) == (
        f"{name}: the run's cohort has no patch at x 7, y 9. Embed the cohort again."
    )
    assert refused(drawn, slide="nowhere").startswith("nowhere: the run's cohort has no patch at x 0, y 0")
    several = FolderTreeSpec(root=images, tile_px=32).open()
    where = {"slide": "S0", "x_px0": 32, "y_px0": 0}
    assert "no patch at x 32, y 0" in refused(several, **where, image="other.png")
    rooted = images.parent / "twice"
    for folder in ("a", "b"):  # two images of one slide and one name
        path = rooted / "P0" / "S0" / folder / "0.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), np.zeros((32, 64, 3), np.uint8))
    twice = FolderTreeSpec(root=rooted, tile_px=32, levels=["patient", "slide", "any"]).open()
    assert "several patches at x 32, y 0" in refused(twice, **where, image="0.png")


def test_a_slide_s_corners_are_asked_for_once_however_many_of_its_rows_are_sought(drawn: Cohort) -> None:
    rows, calls = np.arange(drawn.n_tiles), []

    class Counting(Cohort):
        def tile_xy_px0(self, asked):  # type: ignore[no-untyped-def]
            calls.append(len(asked))
            return super().tile_xy_px0(asked)

    counting = Counting(**{name: getattr(drawn, name) for name in drawn.__dataclass_fields__})
    table = table_of(drawn, rows)
    assert TilesOfRows(counting).tiles(table).tolist() == rows.tolist()
    assert sum(calls) == drawn.n_tiles
    calls.clear()
    TilesOfRows(counting).tiles(table, [17])
    assert calls == [9]
