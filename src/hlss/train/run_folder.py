"""A run's folder: one process at a time, one experiment for ever, what it was made by and what it logged."""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from hlss.errors import UserError
from hlss.files import replacing, write_json

RECORD = "provenance.json"


class RunFolder:
    """Opened with `with`: locks the folder, refuses another experiment's, and lets go at the end.

    folder: where; config_hash: of everything that changes the result; config: the resolved settings as YAML text.
    """

    def __init__(self, folder: Path, config_hash: str, config: str, provenance: Mapping[str, Any]) -> None:
        self.folder, self.config_hash, self.config, self.provenance = Path(folder), config_hash, config, provenance
        self._lock: IO[str] | None = None

    def __enter__(self) -> "RunFolder":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / ".lock").open("w")
        except OSError as error:
            raise UserError(
                f"cannot write: {error.strerror}", where=self.folder, fix="Choose another folder: out=..."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise UserError(
                "this run folder is in use by another process", where=self.folder, fix="Wait for it, or set out=..."
            ) from error
        try:
            self._claim()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._lock is not None:
            self._lock.close()

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write down what made the run; what began it stays when it goes on."""
        known = recorded(self.folder)
        write_json(self.folder / RECORD, {**known, **{key: value for key, value in facts.items() if key not in known}})

    def _claim(self) -> None:
        path = self.folder / RECORD
        if path.exists():
            known = recorded(self.folder).get("config_hash")
            if known != self.config_hash:
                raise UserError(
                    f"this folder holds another experiment (config {known}, not {self.config_hash})",
                    where=self.folder,
                    fix="Set out=... to another folder, or remove this one.",
                )
            return
        with replacing(self.folder / "config.yaml") as temporary:
            temporary.write_text(self.config)
        write_json(path, {"config_hash": self.config_hash, **self.provenance})


def recorded(folder: Path) -> dict[str, Any]:
    """What made a run, as it wrote it down. Raises UserError where that cannot be read."""
    path = Path(folder) / RECORD
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path) from error


class Log:
    """Rows of numbers by step, as JSON lines and for TensorBoard. Rows after the step resumed from are cut."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = Path(folder) / "log.jsonl"
        _cut(self.path, step)
        self._board = SummaryWriter(str(Path(folder) / "tensorboard"), purge_step=step)

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """Append a row; numbers that are not finite are written as null (JSON knows no NaN)."""
        clean = {key: value if abs(value) < float("inf") else None for key, value in row.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **clean}, allow_nan=False) + "\n")
        for key, value in row.items():
            self._board.add_scalar(key, value, step)

    def close(self) -> None:
        """Flush what TensorBoard holds."""
        self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of a log; a last line that a kill cut in half is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _cut(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [row for row in read_log(path) if row["step"] <= step]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
