"""Slides cut by many: however the work is shared out, and whatever is killed, the folder is that of one process."""

import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_slides
from commands import killed
from typer.testing import CliRunner

from hlss.cli import app
from hlss.errors import Unreadable, UserError
from hlss.jobs.hands import Hands
from hlss.jobs.tile import tile_slides

N = 6
SETTINGS = ("mpp=4", "tile_px=32")
RECIPE = "recipe.json"  # its first sign
HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for seed in range(N):
        small_slides.write_slide(folder / f"s{seed}.tiff", seed)
    return folder


@pytest.fixture(scope="module")
def alone(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves that nobody disturbs."""
    out = tmp_path_factory.mktemp("alone") / "out"
    tile_slides(slides, out, SETTINGS, say=lambda _: None)
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    """Every file, but for what says how long things took, and what was begun of the files over all slides."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir() or name == "claims/.lock" or name.startswith("."):
            continue
        found[name] = path.read_bytes()
        if name.startswith("done/"):
            record = json.loads(found[name])
            assert record.pop("seconds") > 0
            found[name] = json.dumps(record).encode()
    return found


def started(slides: Path, out: Path, *more: str) -> "subprocess.Popen[str]":
    code = "from hlss.cli import main; main()"
    command = [sys.executable, "-c", code, "tile", str(slides), "--out", str(out), *SETTINGS, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def n_cut(said: str) -> int:
    (found,) = re.findall(r"^cut (\d+) slides", said, flags=re.MULTILINE)
    return int(found)


def test_two_workers_leave_what_one_process_leaves(slides: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    said: list[str] = []
    tile_slides(slides, tmp_path / "out", SETTINGS, Hands(workers=2), say=said.append)
    assert contents(tmp_path / "out") == alone
    assert n_cut("\n".join(said)) == N


def test_shards_leave_what_one_process_leaves(slides: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    out, said = tmp_path / "out", list[str]()
    for shard in ("2/4", "4/4", "1/4", "3/4"):
        assert not (out / "index.parquet").exists()
        tile_slides(slides, out, SETTINGS, shard=shard, say=said.append)
    assert "4 slides of other shards are not done yet" in "\n".join(said)
    assert contents(out) == alone


def test_more_shards_than_slides(slides: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    for number in range(1, N + 3):
        tile_slides(slides, tmp_path / "out", SETTINGS, shard=f"{number}/{N + 2}", say=lambda _: None)
    assert contents(tmp_path / "out") == alone


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_one_line(slides: Path, tmp_path: Path, shard: str) -> None:
    with pytest.raises(UserError, match=r"is no shard\. Write i/n"):
        tile_slides(slides, tmp_path / "out", SETTINGS, shard=shard, say=lambda _: None)


def several_at_once(n: int, slides: Path, out: Path) -> list[int]:
    """How many slides each of n processes cut that begin together."""
    processes = [started(slides, out) for _ in range(n)]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * n, said
    return [n_cut(one) for one in said]


def test_three_processes_on_one_folder_do_each_slide_once(
    slides: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    assert sum(several_at_once(3, slides, tmp_path / "out")) == N
    assert contents(tmp_path / "out") == alone


@pytest.mark.slow
def test_eight_processes_on_one_folder_do_each_slide_once(
    slides: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    assert sum(several_at_once(8, slides, tmp_path / "out")) == N
    assert contents(tmp_path / "out") == alone


def refuse_halves(out: Path, alone: dict[str, bytes]) -> None:
    """Whatever has its final name is whole, and a slide that is said to be done has all its files."""
    for name, data in contents(out).items():
        if not any(part.startswith(".") for part in Path(name).parts) and not name.startswith("claims/"):
            assert data == alone[name]
    for record in (out / "done").glob("s*.json"):
        for pattern in ("patches/{}_patches.h5", "tiles/{}.parquet", "pictures/{}.jpg"):
            assert (out / pattern.format(record.stem)).exists()


@pytest.mark.parametrize("when", ["claims/s*", "patches/.*.tmp", "pictures/s2.jpg", "done/s3.json"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    slides: Path, alone: dict[str, bytes], tmp_path: Path, when: str
) -> None:
    out = tmp_path / "out"
    killed(started(slides, out), out, when, RECIPE)
    refuse_halves(out, alone)
    tile_slides(slides, out, SETTINGS, say=lambda _: None)
    assert contents(out) == alone


@pytest.mark.slow
def test_killed_again_and_again_with_its_workers(slides: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    out, moments = tmp_path / "out", random.Random(0)
    for _ in range(8):
        killed(started(slides, out, "--workers", "2"), out, moments.uniform(0, 1.5), RECIPE)
        refuse_halves(out, alone)
    tile_slides(slides, out, SETTINGS, say=lambda _: None)
    assert contents(out) == alone


def test_what_a_killed_process_had_another_takes_over_while_both_run(
    slides: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    out, said = tmp_path / "out", list[str]()
    other = started(slides, out)
    while not list(out.glob("claims/s*")):
        time.sleep(0.002)
    other.send_signal(signal.SIGSTOP)  # it holds a claim, if it is not just between two
    held = [path.name for path in out.glob("claims/s*")]

    def say(text: str) -> None:
        said.append(text)
        if "waiting for" in text:
            other.kill()
            other.communicate()

    tile_slides(slides, out, SETTINGS, say=say)
    other.kill()
    assert ("waiting for 1 slides that other processes cut" in said) == bool(held)
    assert contents(out) == alone


def test_a_slide_that_kills_its_process_costs_itself_only(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As damaged files can, in libraries of C."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--multiprocessing-fork' in sys.argv or 'spawn_main' in ' '.join(sys.orig_argv):\n"
        "    import hlss.jobs.tile_work as work\n"
        "    opened = work.open_slide\n"
        "    def deadly(path, *more):\n"
        "        if path.name == 's2.tiff':\n"
        "            os.kill(os.getpid(), 11)\n"
        "        return opened(path, *more)\n"
        "    work.open_slide = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    with pytest.raises(UserError, match=r"1 of 6 slides have no tiles; s2.tiff: its process died \(signal SIGSEGV\)"):
        tile_slides(slides, tmp_path / "out", SETTINGS, Hands(workers=2), say=lambda _: None)
    assert len(list((tmp_path / "out" / "done").glob("*.json"))) == N - 1
    assert not list((tmp_path / "out" / "claims").glob("s*"))


def test_what_befalls_one_slide_does_not_cost_the_others(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hlss.jobs import tile_work

    opened = tile_work.open_slide

    def faulty(path: Path, *more: object) -> object:
        if path.name == "s1.tiff":
            raise MemoryError("no room")
        if path.name == "s4.tiff":
            raise Unreadable(path, "it is torn")
        return opened(path, *more)

    monkeypatch.setattr(tile_work, "open_slide", faulty)
    with pytest.raises(UserError, match="2 of 6"):
        tile_slides(slides, tmp_path / "out", SETTINGS, say=lambda _: None)
    problems = json.loads((tmp_path / "out" / "problems.json").read_text())
    assert [one["reason"] for one in problems] == ["MemoryError: no room", "it is torn"]


def test_a_disk_that_is_full_stops_it(slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hlss.jobs import tile_work

    def full(*_: object) -> None:
        raise UserError("cannot write: the disk is full", fix="Free some space.")

    monkeypatch.setattr(tile_work, "write_tiles", full)
    with pytest.raises(UserError, match="the disk is full"):
        tile_slides(slides, tmp_path / "out", SETTINGS, say=lambda _: None)
    assert not list(tmp_path.glob("out/done/*"))
    assert not list(tmp_path.glob("out/problems/*"))


def test_the_command_ends_with_1_where_slides_had_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hlss.cli import main

    small_slides.write_slide(tmp_path / "slides" / "a.tiff")
    (tmp_path / "slides" / "b.svs").write_bytes(b"")
    arguments = ["tile", str(tmp_path / "slides"), "--out", str(tmp_path / "out"), *SETTINGS]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("hlss: ")
    (tmp_path / "slides" / "b.svs").unlink()
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"Output: {tmp_path / 'out'}" in result.output


@pytest.mark.skipif(not HAS_RAY, reason="the extra `cluster` is not installed (pip install 'hlss[cluster]')")
def test_ray_leaves_what_one_process_leaves(slides: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    process = started(slides, tmp_path / "out", "--ray", "--workers", "2")
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert n_cut(said) == N
    assert contents(tmp_path / "out") == alone
