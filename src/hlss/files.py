"""Writing so that nothing half-written looks finished: temporary name, fsync, rename."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from hlss.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success fsync it and rename it to `path`, on failure remove it.

    The temporary may be made a file or a folder. Raises UserError where the disk is full or read-only; whatever stood
    at `path` before is then untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        _swap(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        _remove(temporary)
        raise _explained(error, path) from error
    except BaseException:
        _remove(temporary)
        raise


def refuse_filled(folder: Path) -> None:
    """Raises UserError where a folder that is to be filled is a file, or holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError("this is not an empty folder", where=folder, fix="Choose another one for --out.")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON (NaN refused), atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def append_line(file: BinaryIO, line: str) -> None:
    """Write a line at the end of an open file; it is on the disk when this returns."""
    file.write(line.encode("utf-8", "replace") + b"\n")
    file.flush()
    os.fsync(file.fileno())


def whole_lines(content: bytes) -> bytes:
    """What of a file of lines was written whole: a half line at its end is what a killed process left."""
    return content[: content.rfind(b"\n") + 1]


def digest(value: Any, length: int = 12) -> str:
    """Short SHA-256 of a JSON-able value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_digest(path: Path, length: int = 12) -> str:
    """Short SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:length]


def sampled_digest(path: Path, length: int = 24) -> str:
    """Short SHA-256 of a file's size, its first and last MiB, and 64 stretches of 64 KiB spread evenly between; all of
    a file of up to 6 MiB.

    For slides: reading a petabyte to know its files again is no option. Two files of one size that differ only between
    the stretches have the same digest. In compressed slides, where every change moves what follows, that does not
    happen by itself; damage in the middle of a file may go unseen here, and shows when its tiles are decoded.
    """
    size = path.stat().st_size
    found = hashlib.sha256(f"{size}:".encode())
    with path.open("rb") as file:
        for start, n_bytes in _stretches(size):
            file.seek(start)
            found.update(file.read(n_bytes))
    return found.hexdigest()[:length]


def _stretches(size: int) -> list[tuple[int, int]]:
    """(start, bytes) of what `sampled_digest` reads of a file of this size."""
    edge, middle, count = 1 << 20, 64 << 10, 64
    if size <= 2 * edge + count * middle:
        return [(0, size)]
    room = size - 2 * edge - middle  # where a stretch between the edges may begin
    between = [(edge + room * i // (count - 1), middle) for i in range(count)]
    return [(0, edge), *between, (size - edge, edge)]


def _sync(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _sync(child)
    _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(temporary: Path, path: Path) -> None:
    if path.is_dir():  # a folder cannot be renamed over a filled one: step aside first, so that one of the two exists
        aside = path.with_name(f".{path.name}.{os.getpid()}.old")
        path.rename(aside)
        temporary.rename(path)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # nothing to remove, or no way to: the error that led here is the one to report
            path.unlink()


def _explained(error: OSError, path: Path) -> UserError | OSError:
    reasons = {
        errno.ENOSPC: ("the disk is full", "Free some space and run the same command again; nothing before was lost."),
        errno.EDQUOT: ("the disk quota is used up", "Free some space and run the same command again."),
        errno.EFBIG: ("the file-size limit is reached", "Raise it (ulimit -f) and run the same command again."),
        errno.EROFS: ("the file system is read-only", "Choose another output folder."),
        errno.EACCES: ("writing is not permitted", "Change the permissions or choose another output folder."),
        errno.EPERM: ("writing is not permitted", "Change the permissions or choose another output folder."),
        errno.EEXIST: ("a file stands where a folder is needed", "Choose another output folder."),
        errno.ENOTDIR: ("a file stands where a folder is needed", "Choose another output folder."),
    }
    if error.errno not in reasons:
        return error
    what, fix = reasons[error.errno]
    return UserError(f"cannot write: {what}", where=path, fix=fix)
