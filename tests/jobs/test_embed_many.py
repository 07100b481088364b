"""Slides embedded by many: however they are shared out, and whatever is killed, the files are those of one process."""

import csv
import importlib.util
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from hlss.cli import main
from hlss.config import read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs import embed_process, tower
from hlss.jobs.embed import embed_run
from hlss.jobs.hands import Hands
from hlss.jobs.setup import open_data
from hlss.jobs.spread import spread
from hlss.jobs.train import train_experiment

SIDES = (2, 5, 3, 4, 2, 6, 2)  # tiles along a slide's side: of two slides one batch is not enough
N = len(SIDES)
TILES = sum(side * side for side in SIDES)
SLIDES, TABLE = Path("slides"), Path("table")  # as they are named in files, which must be the same bytes
HAS_RAY = importlib.util.find_spec("ray") is not None
PASSING = {"time", "command"}


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[..., Path]) -> Path:
    """A run, two steps long, on slides of 4 to 36 tiles; `torn` beside it is a slide that can be put among them."""
    folder = tmp_path_factory.mktemp("trained")
    lines = ["patient_id,slide_id,path,label"]
    for number, side in enumerate(SIDES):
        pixels = np.random.default_rng(number).integers(0, 256, (32 * side, 32 * side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
        lines.append(f"p{number},s{number},{number}.jpg,{'ab'[number % 2]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    cohort = {"name": "manifest", "path": str(folder / "manifest.csv"), "tile_px": 32}
    loader = {"workers": 1, "pack": None}
    file = write_experiment(folder, cohort=cohort, loader=loader)
    return train_experiment(read_settings(file, Experiment, ["train.steps=2"]), silent)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """As on a machine with so many cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def embedded(run: Path, folder: Path, *, cores: int = 2, checkpoint: str = "last", **asked: object) -> list[str]:
    """Embed into `folder`; returns what was said."""
    folder.mkdir(exist_ok=True)
    said: list[str] = []
    with chdir(folder), threads(cores):
        embed_run(run, checkpoint, TABLE, [], say=said.append, per_slide=SLIDES, **asked)
    return said


def n_done(said: str) -> int:
    return sum(int(found) for found in re.findall(r"^embedded (\d+) slides", said, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def alone(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves that nobody disturbs."""
    folder = tmp_path_factory.mktemp("alone") / "here"
    assert n_done("\n".join(embedded(run, folder, cores=4))) == N
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the slides, and the table without when and by which command it was written."""
    found = {}
    for path in sorted((folder / SLIDES).rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[str(path.relative_to(folder))] = path.read_bytes()
    if (folder / TABLE).exists():
        table = EmbeddingTable.read(folder / TABLE)
        found["features"] = (folder / TABLE / "features.safetensors").read_bytes()
        columns = {name: column.tolist() for name, column in table.columns.items()}
        said = {name: value for name, value in table.provenance.items() if name not in PASSING}
        found["rows"] = json.dumps([columns, said], sort_keys=True).encode()
    return found


def started(run: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    code = "from hlss.cli import main; main()"
    command = [sys.executable, "-c", code, "embed", str(run), "--per-slide", str(SLIDES), "--out", str(TABLE), *more]
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def test_the_table_is_that_of_embedding_at_once(run: Path, alone: dict[str, bytes], tmp_path: Path):
    table = EmbeddingTable.read(embed_run(run, "last", tmp_path / "once", [], say=silent))
    assert len(table) == TILES
    found = np.frombuffer(alone["features"][-table.features.nbytes :], np.float32).reshape(table.features.shape)
    np.testing.assert_allclose(found, table.features, rtol=1e-4, atol=1e-5)
    assert set(alone) == {*(f"slides/s{number}.h5" for number in range(N)), "features", "rows"}


@pytest.mark.parametrize("cores", [1, 6])
def test_two_workers_leave_what_one_process_leaves(run: Path, alone: dict[str, bytes], tmp_path: Path, cores: int):
    said = embedded(run, tmp_path / "here", cores=cores, hands=Hands(workers=2))
    assert n_done("\n".join(said)) == N
    assert contents(tmp_path / "here") == alone


def test_a_worker_opens_the_run_once(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Asked slide after slide, each time by a work that was pickled anew, as Ray does."""
    opened: list[object] = []
    monkeypatch.setattr(embed_process, "open_data", lambda *asked: opened.append(asked) or open_data(*asked))
    works: list[object] = []

    def kept(work: object, items: list[object], *_: object, **__: object) -> object:
        works.extend([work, items])
        return spread(lambda item: pickle.loads(pickle.dumps(work))(item), items)

    monkeypatch.setattr("hlss.jobs.hands.spread", kept)
    embedded(run, tmp_path / "here", hands=Hands(workers=2))
    assert len(works[1]) == N
    assert len(opened) == 1
    assert max(len(pickle.dumps(one)) for one in (works[0], *works[1])) < 10_000


def test_shards_leave_what_one_process_leaves(run: Path, alone: dict[str, bytes], tmp_path: Path):
    said = embedded(run, tmp_path / "here", shard="1/2")
    assert f"{N} slides, 4 of them in shard 1/2" in said
    assert said[-1] == "3 slides of other shards are not done yet; the table is written when they are"
    assert len(list((tmp_path / "here" / SLIDES).glob("*.h5"))) == 4
    assert not (tmp_path / "here" / TABLE).exists()
    said = embedded(run, tmp_path / "here", shard="2/2", cores=3)
    assert n_done("\n".join(said)) == 3
    assert contents(tmp_path / "here") == alone


def test_a_shard_that_waits_for_others_ends_well_and_names_the_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["embed", str(run), "--per-slide", "slides", "--shard", "8/9"])
    assert left.value.code == 0
    output = capsys.readouterr()
    assert output.out == "Output: slides\n"
    assert output.err.splitlines()[-1].startswith(f"{N} slides of other shards are not done yet")
    assert not (run / "embeddings" / "last").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_one_line(run: Path, tmp_path: Path, shard: str):
    with pytest.raises(UserError, match=r"is no shard\. Write i/n"):
        embedded(run, tmp_path / "here", shard=shard)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"shard": "1/2"}, "--shard"),
        ({"hands": Hands(workers=2)}, "--workers"),
        ({"hands": Hands(ray=True)}, "--ray"),
        ({"hands": Hands(ray_address="auto"), "shard": "1/2"}, "--shard, --ray-address"),
    ],
)
def test_without_files_of_slides_nothing_is_shared_out(run: Path, asked: dict[str, object], named: str):
    with pytest.raises(UserError, match=f"^{named}: .* Add --per-slide DIR"):
        embed_run(run, "last", None, [], say=silent, **asked)


def test_two_processes_on_one_folder_do_each_slide_once(run: Path, alone: dict[str, bytes], tmp_path: Path):
    processes = [started(run, tmp_path / "here") for _ in range(2)]
    assert sum(n_done(ended(process)) for process in processes) == N
    assert contents(tmp_path / "here") == alone


@pytest.mark.slow
def test_four_processes_with_workers_do_each_slide_once(run: Path, alone: dict[str, bytes], tmp_path: Path):
    processes = [started(run, tmp_path / "here", "--workers", "2") for _ in range(4)]
    assert sum(n_done(ended(process)) for process in processes) == N
    assert contents(tmp_path / "here") == alone


def test_embedded_again_nothing_is_touched(run: Path, tmp_path: Path):
    """Not even the table: of many processes that end together, one writes it."""
    embedded(run, tmp_path / "here")
    places = (SLIDES, TABLE)
    before = {path: path.stat().st_ino for place in places for path in (tmp_path / "here" / place).glob("*.*")}
    assert len(before) == N + 2
    said = embedded(run, tmp_path / "here", hands=Hands(workers=2))
    assert f"{N} of {N} slides were embedded before" in said
    assert {path: path.stat().st_ino for path in before} == before


def killed(run: Path, folder: Path, when: float | str, *more: str) -> None:
    """Kill -9 it, some seconds after its first claim or as soon as a file of that pattern is there."""
    process = started(run, folder, *more)
    deadline = time.monotonic() + 120
    pattern = when if isinstance(when, str) else "slides/claims/*"
    while process.poll() is None and not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(0 if isinstance(when, str) else when)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def refuse_halves(folder: Path, alone: dict[str, bytes]) -> None:
    """Whatever has its final name is whole."""
    for name, data in contents(folder).items():
        assert name.startswith("slides/claims/") or data == alone[name], name


@pytest.mark.parametrize("when", ["slides/claims/s*", "slides/.*.h5.*.tmp", "slides/s3.h5", ".table.*.tmp"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    run: Path, alone: dict[str, bytes], tmp_path: Path, when: str
):
    folder = tmp_path / "here"
    killed(run, folder, when)
    refuse_halves(folder, alone)
    embedded(run, folder)
    assert contents(folder) == alone
    assert not list((folder / SLIDES).glob(".*.tmp"))


@pytest.mark.slow
def test_killed_again_and_again_with_workers_that_outlive_it(run: Path, alone: dict[str, bytes], tmp_path: Path):
    folder, moments = tmp_path / "here", random.Random(0)
    for _ in range(5):
        killed(run, folder, moments.uniform(0, 1.0), "--workers", "2")
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


def test_files_of_another_embedding_are_not_taken_for_ones_own(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two checkpoints in one folder at once: each slide has one file."""
    from hlss.jobs import embed_slides

    def other(job: object, own: object) -> dict[str, str]:
        embedded_by(job, own)
        (tmp_path / "here" / SLIDES / "s3.h5").write_bytes(
            (tmp_path / "start" / SLIDES / "s3.h5").read_bytes(),
        )
        return {}

    embedded(run, tmp_path / "start", checkpoint="start")
    embedded_by = embed_slides._embed
    monkeypatch.setattr(embed_slides, "_embed", other)
    with pytest.raises(UserError, match=r"1 slides were replaced by those of another embedding, s3\.h5 for one"):
        embedded(run, tmp_path / "here")
    assert not (tmp_path / "here" / TABLE).exists()


def test_a_worker_that_opens_something_else_stops_it(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def other(work: object, items: object, *_: object, **__: object) -> object:
        return spread(lambda item: replace(work, began=-1.0)(item), items)

    monkeypatch.setattr("hlss.jobs.hands.spread", other)
    monkeypatch.setattr(embed_process, "tower_hash", lambda _: "another")
    with pytest.raises(UserError, match="a worker found other weights or another cohort"):
        embedded(run, tmp_path / "here", hands=Hands(workers=2))
    assert not list((tmp_path / "here" / SLIDES).glob("*.h5"))


def test_norms_are_taken_once_for_all(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Shards on machines with more cores would sum otherwise; workers cannot read them for themselves."""
    embedded(run, tmp_path / "one", checkpoint="midway")
    (kept,) = (tmp_path / "one" / SLIDES).glob("norms-*.safetensors")
    embedded(run, tmp_path / "two", checkpoint="midway", shard="1/2")
    again = tmp_path / "two" / SLIDES / kept.name
    assert again.read_bytes() == kept.read_bytes()

    def fails(*_: object) -> None:
        raise AssertionError("norms were taken again")

    monkeypatch.setattr(tower, "renew_norms", fails)
    embedded(run, tmp_path / "two", checkpoint="midway", shard="2/2", hands=Hands(workers=2), cores=3)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert EmbeddingTable.read(tmp_path / "two" / TABLE).provenance["norms_renewed"] > 0


def test_views_are_the_same_in_every_process(run: Path, tmp_path: Path):
    embedded(run, tmp_path / "one", view=2)
    embedded(run, tmp_path / "two", view=2, hands=Hands(workers=2))
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    embedded(run, tmp_path / "three", view=3)
    with (
        h5py.File(tmp_path / "one" / SLIDES / "s0.h5") as one,
        h5py.File(tmp_path / "three" / SLIDES / "s0.h5") as three,
    ):
        assert np.abs(one["features"][()] - three["features"][()]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="the extra `cluster` is not installed (pip install 'hlss[cluster]')")
def test_ray_leaves_what_one_process_leaves(run: Path, alone: dict[str, bytes], tmp_path: Path):
    assert n_done(ended(started(run, tmp_path / "here", "--ray", "--workers", "2"))) == N
    assert contents(tmp_path / "here") == alone
