"""The table of what a run could not read."""

import csv
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from hlss.errors import UserError
from hlss.train.problems import TRAINING, Problem, Problems


def test_files_and_tiles_are_rows_that_any_program_reads(tmp_path: Path) -> None:
    problems = Problems(tmp_path / "run", TRAINING)
    problems.images([("a, b.svs", 'it says\n"no"')])
    problems.tiles({"slide at home.svs at 224,-1": "damaged", "image 2": "gone"})
    with (tmp_path / "run/problems.csv").open(newline="", encoding="utf-8") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert rows == [
        ("slide", "place", "reason", "during"),
        ("a, b.svs", "", 'it says "no"', "training"),
        ("image 2", "", "gone", "training"),
        ("slide at home.svs", "224,-1", "damaged", "training"),
    ]
    assert problems.found == 3


def test_what_is_known_is_not_written_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    Problems(tmp_path, TRAINING).images([("a", "x")])
    again = Problems(tmp_path, TRAINING)
    again.images([("a", "x"), ("b", "y")])
    Problems(tmp_path, "embedding").images([("a", "x")])
    assert again.found == 2
    assert again.rows() == [Problem("a", "", "x", TRAINING), Problem("b", "", "y", TRAINING)]
    assert len((tmp_path / "problems.csv").read_text().splitlines()) == 4


def test_nothing_to_note_writes_nothing(tmp_path: Path) -> None:
    problems = Problems(tmp_path / "run", TRAINING)
    problems.images([])
    problems.tiles({})
    assert (problems.found, problems.rows()) == (0, [])
    assert not (tmp_path / "run").exists()


def note(folder: Path, number: int) -> None:
    problems = Problems(folder, TRAINING)
    for i in range(10):
        problems.images([(f"{number}-{i}", "x"), ("shared", "x")])


def test_processes_take_turns(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        list(executor.map(note, [tmp_path] * 2, range(2)))
    assert len(Problems(tmp_path, TRAINING).rows()) == 21


def test_a_table_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "problems.csv").mkdir()
    with pytest.raises(UserError, match=r"problems.csv"):
        Problems(tmp_path, TRAINING).images([("a", "x")])
