"""The file of decisions: JSON lines, only ever appended to, each on the disk before the reviewer sees it taken."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

from hlss.config import validate
from hlss.errors import UserError
from hlss.files import append_line, whole_lines
from hlss.language.review.entries import Entry


class ReviewLog:
    """Entries of a bank's review, by any number of reviewers, tabs and servers, which take turns by a file lock.

    A half line at the end is what a process left that was killed while writing: it is dropped, everything before it
    stands.
    """

    def __init__(self, path: Path, bank: str) -> None:
        """bank: fingerprint of the bank under review. Raises UserError where the log is of another one."""
        self.path, self._bank = Path(path), bank
        self.read()

    def read(self) -> list[Entry]:
        """All whole entries, oldest first. Raises UserError, naming the line, where one is damaged."""
        if not self.path.exists():
            return []
        try:
            return self._parsed(self.path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot read the log: {error}", where=self.path) from error

    def append(self, made: Callable[[list[Entry]], Entry]) -> Entry:
        """Append `made(entries so far)` while no other may write; an error that it raises leaves the log as it was."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                whole = whole_lines(file.read())
                entry = made(self._parsed(whole))
                file.truncate(len(whole))
                append_line(file, entry.model_dump_json(exclude_none=True))
        except OSError as error:
            fix = "Mend that; every decision up to here is kept."
            raise UserError(f"cannot write the log: {error.strerror}", where=self.path, fix=fix) from error
        return entry

    def size(self) -> int:
        """Bytes; it grows with every entry."""
        return self.path.stat().st_size if self.path.exists() else 0

    def _parsed(self, content: bytes) -> list[Entry]:
        return [self._entry(line, number) for number, line in enumerate(whole_lines(content).splitlines(), 1)]

    def _entry(self, line: bytes, number: int) -> Entry:
        where = f"{self.path}, line {number}"
        try:
            tree = json.loads(line)
        except ValueError as error:
            raise UserError("this is no entry of a review", where=where, fix="Restore the file.") from error
        entry = validate(tree, Entry, where=where)
        if entry.bank != self._bank:
            raise UserError(
                f"this log is of another bank (fingerprint {entry.bank}, not {self._bank})",
                where=where,
                fix="Give the bank that was reviewed, or another folder for --out.",
            )
        return entry
