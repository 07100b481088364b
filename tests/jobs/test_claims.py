"""Who has what: one process, the living, the punctual."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hlss.jobs import claims
from hlss.jobs.claims import claimed, is_free


def foreign(path: Path, host: str, pid: int, age_s: float = 0.0) -> None:
    path.write_text(json.dumps({"host": host, "pid": pid}))
    os.utime(path, (time.time() - age_s, time.time() - age_s))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_claim_lasts_as_long_as_its_block(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "a"
    assert is_free(path)
    with claimed(path) as mine:
        assert mine
        assert json.loads(path.read_text()) == {"host": socket.gethostname(), "pid": os.getpid()}
        assert not is_free(path)
        with claimed(path) as also:
            assert not also
        assert path.exists()
    assert not list(path.parent.iterdir())
    with pytest.raises(RuntimeError), claimed(path):
        raise RuntimeError
    assert is_free(path)


@pytest.mark.parametrize(
    ("host", "pid", "age_s", "free"),
    [
        ("here", "dead", 0, True),
        ("here", "living", 0, False),
        ("here", "living", 121, True),  # the number may be another process's by now
        ("elsewhere", "dead", 60, False),
        ("elsewhere", "dead", 121, True),
    ],
)
def test_the_dead_lose_their_claims(tmp_path: Path, host: str, pid: str, age_s: float, free: bool) -> None:
    path = tmp_path / "a"
    number = dead_pid() if pid == "dead" else os.getppid()
    foreign(path, socket.gethostname() if host == "here" else host, number, age_s)
    assert is_free(path) == free
    with claimed(path) as mine:
        assert mine == free
    assert path.exists() != free
    assert {left.name for left in tmp_path.glob(".*")} <= {".lock"}


def test_a_claim_that_is_just_being_written_is_respected_and_one_left_so_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("")
    for age_s, free in ((0, False), (3, False), (6, True)):
        os.utime(path, (time.time() - age_s, time.time() - age_s))
        assert is_free(path) == free


def test_a_heartbeat_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.01)
    path = tmp_path / "a"
    with claimed(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_one_that_was_taken_over_is_neither_renewed_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with claimed(path):
        path.rename(tmp_path / "aside")
        foreign(path, "elsewhere", 1)
    assert path.exists()


def test_of_many_who_find_it_dead_one_gets_it(tmp_path: Path) -> None:
    path, pid = tmp_path / "a", dead_pid()
    for _ in range(20):
        foreign(path, socket.gethostname(), pid)
        start, got = threading.Barrier(8), []

        def ask(start: threading.Barrier = start, got: list[bool] = got) -> None:
            start.wait()
            with claimed(path) as mine:
                got.append(mine)
                start.wait()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(got) == 1
