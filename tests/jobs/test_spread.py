"""Every item has its result or its reason, whoever does the work."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hlss.errors import Unreadable, UserError
from hlss.jobs.spread import Failed, spread, worker_number


def work(item: int) -> int:
    """A module's function: processes find it by its name."""
    if item == 3:
        raise ValueError("three\nis wrong")
    if item == 5:
        raise Unreadable("five.svs", "it is torn")
    if item == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 8:
        os._exit(4)
    return item * item


def slow(item: float) -> int:
    time.sleep(item)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_cost_their_item_only(workers: int) -> None:
    found = dict(spread(work, [1, 2, 3, 4, 5, 6], workers))
    assert [found[item] for item in (1, 2, 4, 6)] == [1, 4, 16, 36]
    assert found[3] == Failed("ValueError: three is wrong")
    assert isinstance(found[5].error, Unreadable)
    assert found[5].error.reason == "it is torn"


def test_so_do_processes_that_die() -> None:
    found = dict(spread(work, [7, 1, 8, 7.0, 2, 4], 2))
    assert found == {
        7: Failed("its process died (signal SIGKILL)"),
        8: Failed("its process died (exit code 4)"),
        **{1: 1, 2: 4, 4: 16},
    }


def test_items_go_to_whoever_is_free_and_none_to_more_processes_than_items() -> None:
    found = list(spread(slow, [1.0, 0.0, 0.01, 0.02], 2))
    assert [item for item, _ in found] == [0.0, 0.01, 0.02, 1.0]
    assert len({process for _, process in found}) == 2
    assert list(spread(work, [], 2)) == []
    assert list(spread(slow, [0.0], 2)) == [(0.0, os.getpid())]


def number(item: int) -> int:
    if item == 1:
        os._exit(1)
    return worker_number()


def test_workers_are_numbered_and_one_that_follows_a_dead_one_has_its_number():
    found = list(spread(number, [1, 1, 2, 3], 2))
    assert all(isinstance(result, Failed) == (item == 1) for item, result in found)
    assert {result for item, result in found if item > 1} == {0, 1}


def test_left_early_no_process_stays() -> None:
    outcomes = spread(slow, [0.0, 60.0], 2)
    _, process = next(outcomes)
    before = time.monotonic()
    outcomes.close()
    assert time.monotonic() - before < 30
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'hlss\[cluster\]'"):
        list(spread(work, [1], ray=True))


def test_a_cluster_that_does_not_answer_is_one_line() -> None:
    pytest.importorskip("ray", reason="the extra `cluster` is not installed (pip install 'hlss[cluster]')")
    with pytest.raises(UserError, match=r"127.0.0.1:9: no Ray cluster answers: .*refused"):
        list(spread(work, [1], address="127.0.0.1:9"))


def test_a_worker_ends_when_the_process_that_asked_is_killed(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from test_spread_helpers import tell; from hlss.jobs.spread import spread\n"
        f"list(spread(tell, [{str(tmp_path / 'a')!r}, {str(tmp_path / 'b')!r}], 2))"
    )
    (tmp_path / "test_spread_helpers.py").write_text(
        "import os, pathlib, time\n"
        "def tell(path):\n"
        "    pathlib.Path(path + '.part').write_text(str(os.getpid())); os.rename(path + '.part', path)\n"
        "    time.sleep(2)\n"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    asking = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    _until((tmp_path / "a").exists)
    asking.kill()
    asking.wait()
    process = int((tmp_path / "a").read_text())
    _until(lambda: not Path(f"/proc/{process}").exists() or "Z" in Path(f"/proc/{process}/stat").read_text().split()[2])


def _until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
