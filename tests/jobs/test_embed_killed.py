"""Slides embedded by processes that are killed or cannot read: the others go on, and again is the same bytes."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from commands import killed
from embedding_by_many import SLIDES, TABLE, TILES, contents, embedded, started

from hlss.cli import main
from hlss.embedding_table import EmbeddingTable
from hlss.jobs.embed import embed_run

CLAIM = "slides/claims/*"  # its first sign


def refuse_halves(folder: Path, alone: dict[str, bytes]) -> None:
    """Whatever has its final name is whole."""
    for name, data in contents(folder).items():
        assert name.startswith("slides/claims/") or data == alone[name], name


@pytest.mark.parametrize("when", ["slides/claims/s*", "slides/.*.h5.*.tmp", "slides/s3.h5", ".table.*.tmp"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    run: Path, alone: dict[str, bytes], tmp_path: Path, when: str
):
    folder = tmp_path / "here"
    killed(started(run, folder), folder, when, CLAIM)
    refuse_halves(folder, alone)
    embedded(run, folder)
    assert contents(folder) == alone
    assert not list((folder / SLIDES).glob(".*.tmp"))


@pytest.mark.slow
def test_killed_again_and_again_with_workers_that_outlive_it(run: Path, alone: dict[str, bytes], tmp_path: Path):
    folder, moments = tmp_path / "here", random.Random(0)
    for _ in range(5):
        killed(started(run, folder, "--workers", "2"), folder, moments.uniform(0, 1.0), CLAIM)
        refuse_halves(folder, alone)
    embedded(run, folder)
    assert contents(folder) == alone


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers die as they write the slide s2, as libraries of C can make them."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--multiprocessing-fork' in sys.argv or 'spawn_main' in ' '.join(sys.orig_argv):\n"
        "    import hlss.jobs.embed_work as work\n"
        "    write = work.write_slide\n"
        "    def deadly(found, *more):\n"
        "        if found.work.slide == 's2':\n"
        "            os.kill(os.getpid(), 11)\n"
        "        return write(found, *more)\n"
        "    work.write_slide = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))


def problems_of(run: Path) -> list[tuple[str, str, str]]:
    """(slide, place, reason) of what embedding could not read; the list is emptied."""
    path = run / "problems.csv"
    with path.open(newline="", encoding="utf-8") as file:
        found = [(row["slide"], row["place"], row["reason"]) for row in csv.DictReader(file)]
    path.unlink()
    return found


@pytest.mark.usefixtures("deadly")
def test_a_slide_whose_worker_dies_costs_itself_only(
    run: Path,
    alone: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as left:
        main(["embed", str(run), "--per-slide", "slides", "--out", "table", "--workers", "2"])
    assert left.value.code == 3
    reason = "its process died (signal SIGSEGV)"
    assert f"left out: slide s2: {reason}" in capsys.readouterr().err.splitlines()
    assert problems_of(run) == [("s2", "", reason)]
    found = contents(folder)
    said = json.loads(found.pop("slides/problems/s2.json"))
    assert (said["slide"], said["reason"]) == ("s2", reason)
    assert {name for name, data in found.items() if alone[name] == data} == set(alone) - {
        "slides/s2.h5",
        "features",
        "rows",
    }
    assert len(EmbeddingTable.read(folder / TABLE)) == TILES - 9
    embedded(run, folder)
    assert contents(folder) == alone


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_slide_until_the_next_time(
    run: Path, alone: dict[str, bytes], tmp_path: Path
):
    folder = tmp_path / "here"
    process = started(run, folder, "--workers", "2")
    claims = claims_of(process, folder)
    os.kill(claims[0], signal.SIGKILL)
    said = process.communicate(timeout=300)[1]
    refuse = [line for line in said.splitlines() if line.startswith("left out")]
    assert process.returncode == (3 if refuse else 0), said  # it may just have been between two slides
    if refuse:
        assert refuse[0].endswith("its process died (signal SIGKILL)")
        assert len(problems_of(run)) == 1
    embedded(run, folder)
    assert contents(folder) == alone


def claims_of(process: "subprocess.Popen[str]", folder: Path) -> list[int]:
    """Processes that claim slides, as soon as one does."""
    deadline = time.monotonic() + 120
    while process.poll() is None:
        assert time.monotonic() < deadline
        for path in folder.glob("slides/claims/s*"):
            try:
                return [json.loads(path.read_text())["pid"]]
            except (OSError, ValueError):  # it is being written, or gone
                continue
    raise AssertionError(process.communicate()[1])


def test_one_that_hangs_is_waited_for_and_taken_over_when_it_dies(run: Path, alone: dict[str, bytes], tmp_path: Path):
    folder, said = tmp_path / "here", list[str]()
    other = started(run, folder)
    claims_of(other, folder)
    other.send_signal(signal.SIGSTOP)  # it holds claims, if it is not just between two
    held = [path.name for path in folder.glob("slides/claims/s*")]

    def say(text: str) -> None:
        said.append(text)
        if "waiting for" in text:
            other.kill()
            other.communicate()

    with chdir(folder):
        embed_run(run, "last", TABLE, [], say=say, per_slide=SLIDES)
    if not held:
        other.kill()
        other.communicate()
    assert (f"waiting for {len(held)} slides that other processes embed" in said) == bool(held)
    assert contents(folder) == alone


@pytest.fixture
def torn(run: Path) -> Iterator[Path]:
    """The image of slide s1, torn while the test runs."""
    path = run.parent / "1.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    yield path
    path.write_bytes(whole)


def test_tiles_that_workers_cannot_read_are_listed(
    run: Path, torn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for number, more in enumerate((["--workers", "2"], [], ["--shard", "1/1"])):
        with pytest.raises(SystemExit) as left:
            main(["embed", str(run), "--per-slide", f"slides{number}", "--out", f"table{number}", *more])
        assert left.value.code == 3
        found = problems_of(run)
        assert {slide for slide, _, _ in found} == {str(torn)}
        assert len({place for _, place, _ in found}) == 25
        assert len(EmbeddingTable.read(tmp_path / f"table{number}")) == TILES - 25


def test_a_slide_of_which_nothing_can_be_read_does_not_keep_other_shards_from_the_table(
    run: Path, torn: Path, tmp_path: Path
):
    folder = tmp_path / "here"
    embedded(run, folder, shard="1/2")
    assert len(problems_of(run)) == 25
    said = embedded(run, folder, shard="2/2")
    assert "left out: slide s1: none of its 25 tiles can be read" in said
    assert len(EmbeddingTable.read(folder / TABLE)) == TILES - 25
    torn.write_bytes(torn.read_bytes() + b"more")  # still torn, and another file: what was noted is not of it
    said = embedded(run, folder, shard="2/2")
    assert said[-1] == "1 slides of other shards are not done yet; the table is written when they are"
    problems_of(run)
