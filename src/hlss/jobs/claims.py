"""Which process works on what, where several share a folder: a file each, renewed while its process lives."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_S = 120.0  # without a heartbeat for so long, a process is taken for dead
BEAT_S = 10.0
UNSAID_S = 5.0  # a claim that does not say whose it is for so long was made by a process that was killed just then
LOOK_EVERY_S = 0.5  # after what another process has


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Claim what `path` stands for while the block runs; False where another process has it.

    A claim whose process is dead (on this host), or gave no sign for STALE_S, is taken over. Two may then, very rarely,
    do the same work: it must be harmless.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = _taken(path)
    if own is None:
        yield False
        return
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, own, stop), daemon=True)
    beat.start()
    try:
        yield True
    finally:
        stop.set()
        beat.join()
        if _identity(path) == own:
            path.unlink(missing_ok=True)


@contextmanager
def awaited(path: Path) -> Iterator[None]:
    """As `claimed`, but wait for as long as another process has it."""
    while True:
        with claimed(path) as mine:
            if mine:
                yield
                return
        time.sleep(LOOK_EVERY_S)


def is_free(path: Path) -> bool:
    """Whether `claimed` would claim it."""
    return _identity(path) is None or _is_dead(path)


def sweep(folder: Path) -> None:
    """Take away the claims of the dead."""
    for path in folder.iterdir():
        if not path.name.startswith("."):
            with claimed(path):
                pass


def _taken(path: Path) -> tuple[int, int] | None:
    """Identity of the claim that was made; None where another process holds it."""
    own = _created(path)
    if own is not None or not _is_dead(path):
        return own
    with _one_at_a_time(path.parent):
        if _is_dead(path):  # still: no other process took it over meanwhile
            path.unlink(missing_ok=True)
        return _created(path)


def _created(path: Path) -> tuple[int, int] | None:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    with os.fdopen(file, "w") as claim:
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, claim)
        return _told(os.fstat(claim.fileno()))


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """A lock that ends with its process; none where the file system, or the system, has no such locks."""
    with (folder / ".lock").open("w") as file:
        with suppress(OSError, ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_dead(path: Path) -> bool:
    try:
        beat, text = path.stat().st_mtime, path.read_text()
    except FileNotFoundError:
        return False
    silent_s = clock(path.parent) - beat
    try:
        claim = json.loads(text)
        host, pid = claim["host"], int(claim["pid"])
    except (ValueError, KeyError, TypeError):
        return silent_s > UNSAID_S
    return silent_s > STALE_S or (host == socket.gethostname() and not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def clock(folder: Path) -> float:
    """Now, by the clock that gives the folder's files their times: it may be another machine's."""
    probe = folder / f".clock.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        return _told(path.stat())
    return None


def _told(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _beat(path: Path, own: tuple[int, int], stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        with suppress(OSError):
            if _identity(path) != own:
                return  # taken over
            os.utime(path)
