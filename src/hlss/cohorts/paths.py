"""Files below a folder, and names for files: nothing hidden, endless, outside, or told apart by case alone."""

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from hlss.errors import UserError
from hlss.files import digest

LONGEST = 180  # bytes of a safe name: file systems take 255, and endings are put behind it
_UNSAFE = re.compile(r'[<>:"|?*]')


def files_below(root: Path, endings: Collection[str] | None = None) -> list[str]:
    """Files below `root`, as sorted paths relative to it with `/`; hidden files and folders are skipped.

    endings: which to take, in lower case with their dot ({".svs", ".tif"}), whatever the case of the file's; None: all.
    Links are followed. Raises UserError for a root that is no folder, a folder that may not be read, a link that leads
    nowhere, back to a folder it lies in, or out of `root`.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError("no such folder", where=root, fix="Correct the path.")
    whole = root.resolve()
    found = _walk(root, whole, (whole,))
    chosen = (path for path in found if endings is None or path.suffix.lower() in endings)
    return sorted(path.relative_to(root).as_posix() for path in chosen)


def resolved_below(root: Path, path: str | Path) -> Path:
    """`root / path`, links resolved. Raises UserError where that lies outside `root` (by `..`, a link, or a full path)
    or nowhere.
    """
    whole, asked = Path(root).resolve(), Path(root) / path
    try:
        real = asked.resolve(strict=True)
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=asked, fix="Correct the path, or remove the link.") from error
    except (OSError, RuntimeError) as error:  # links that lead to each other: RuntimeError before Python 3.13
        raise UserError("the link leads to itself", where=asked, fix="Remove the link.") from error
    if not real.is_relative_to(whole):
        fix = f"Put the file below {root}, or give the folder that holds both as the root."
        raise UserError(f"this leads to {real}, outside {root}", where=asked, fix=fix)
    return real


def case_clashes(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of ids or paths (or folders in them) that differ by case or by Unicode spelling only: on many disks, and
    for many people, they are one. In the order in which they are met.
    """
    first: dict[str, str] = {}
    pairs: dict[tuple[str, str], None] = {}
    for name in names:
        for start in accumulate(name.split("/"), lambda folder, part: f"{folder}/{part}"):
            before = first.setdefault(_folded(start), start)
            if before != start and before.rpartition("/")[0] == start.rpartition("/")[0]:  # named once, where it begins
                pairs[before, start] = None
    return list(pairs)


def refuse_case_clashes(names: Iterable[str], where: object) -> None:
    """Raises UserError that names the first of `case_clashes`, and counts them."""
    clashes = case_clashes(names)
    if clashes:
        one, other = clashes[0]
        more = f" (and {len(clashes) - 1} more such pairs)" if len(clashes) > 1 else ""
        what = f"{one!r} and {other!r} differ by case or spelling only{more}"
        raise UserError(what, where=where, fix="Rename one of the two.")


def safe_name(name: str) -> str:
    """A name for a file or folder that stands for this id, whatever is in it: no separators (`/` becomes `__`), no
    leading dot, no `..`, nothing unprintable, nothing Windows refuses, at most LONGEST bytes (a longer one ends in its
    hash). An ordinary id is its own name. Raises UserError for an empty one.
    """
    text = unicodedata.normalize("NFC", name).replace("/", "__").replace("\\", "__")
    text = "".join(c if c.isprintable() else "_" for c in _UNSAFE.sub("_", text)).strip()
    text = re.sub(r"^\.+", lambda dots: "_" * len(dots.group()), text).rstrip(". ")
    if not text:
        raise UserError(f"{name!r} cannot be the name of a file", where="id", fix="Give it letters or digits.")
    if len(text.encode()) > LONGEST:
        kept = text.encode()[: LONGEST - 13].decode(errors="ignore")
        text = f"{kept}-{digest(name)}"
    return text


def file_names(ids: Sequence[str]) -> tuple[str, ...]:
    """`safe_name` of each id, numbered where another one has it, so that no two share a file on any kind of disk."""
    taken: set[str] = set()
    return tuple(_free(safe_name(own), taken) for own in ids)


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while _folded(free) in taken:
        number += 1
        free = f"{name}~{number}"
    taken.add(_folded(free))
    return free


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _walk(folder: Path, whole: Path, inside: tuple[Path, ...]) -> Iterator[Path]:
    """inside: the real folders that this one lies in, itself last."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError as error:
        raise UserError("the folder may not be read", where=folder, fix="Change its permissions.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        real = resolved_below(whole, path.absolute()) if entry.is_symlink() else inside[-1] / entry.name
        if real in inside:
            fix = "Remove the link."
            raise UserError(f"this link leads back to {real}, in which it lies: an endless folder", where=path, fix=fix)
        if entry.is_dir():
            yield from _walk(path, whole, (*inside, real))
        elif entry.is_file():
            yield path
