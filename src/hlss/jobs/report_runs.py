"""What a report reads of runs: settings, provenance, log and embedding tables, as they lie in their folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.config import read_settings, read_yaml
from hlss.embedding_table import IDS_FILE, EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import sampled_digest, whole_lines
from hlss.report.contents import RunPart, SourceFile
from hlss.report.facts import Facts

CONFIG, PROVENANCE, LOG = "config.yaml", "provenance.json", "log.jsonl"


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run and those of its tables that are reported. name: unique among all; main: of the tables, whose features are
    mapped and explained (None where there are none).
    """

    folder: Path
    name: str
    experiment: Experiment
    tables: Mapping[Path, EmbeddingTable]
    main: Path | None

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the tables, as in an evaluation, the main one first."""
        order = sorted(self.tables, key=lambda folder: folder != self.main)
        return tuple(method_of(self.tables[folder]) for folder in order)

    @property
    def main_table(self) -> EmbeddingTable:
        """Raises ValueError where nothing is embedded."""
        if self.main is None:
            raise ValueError(f"{self.name} has no table")
        return self.tables[self.main]

    @cached_property
    def rows(self) -> Int64[ndarray, " r"]:
        """Of the main table, the test side, or all of it where it has none."""
        test = np.flatnonzero(self.main_table["side"] == "test")
        return test if len(test) else np.arange(len(self.main_table))

    @property
    def title(self) -> str:
        """What map, errors and words are of."""
        return self.name if self.main is None else f"{self.name} · {self.main.name}"


def method_of(table: EmbeddingTable) -> str:
    """As an evaluation names it."""
    return str(table.provenance.get("method", "features"))


def run_folders(paths: Sequence[Path], checkpoint: str) -> list[RunFolder]:
    """Of every path, a run's folder or a table in one. checkpoint: name of the main table where a run has several.

    Raises UserError where a path is neither, or a table is broken.
    """
    asked: dict[Path, list[Path]] = {}
    for path in map(Path, paths):
        run, tables = _found(path)
        mine = asked.setdefault(run, [])
        mine += [table for table in tables if table not in mine]
    experiments = [read_settings(run / CONFIG, Experiment) for run in asked]
    names = _names(experiments)
    return [
        RunFolder(
            run, name, experiment, {path: EmbeddingTable.read(path) for path in tables}, _main(tables, checkpoint)
        )
        for (run, tables), name, experiment in zip(asked.items(), names, experiments, strict=True)
    ]


def run_part(run: RunFolder, alone: bool, sources: list[SourceFile]) -> RunPart:
    """The run as it is shown; its files are added to the sources. alone: no other run stands beside it."""
    prefix = "" if alone else f"{run.name}/"
    config = Facts(f"{prefix}{CONFIG}", read_yaml(run.folder / CONFIG, "the settings"))
    made, log = _json(run.folder / PROVENANCE), _log(run.folder / LOG)
    command = None if made is None else made.get("command")
    there = [name for name in (CONFIG, PROVENANCE, LOG) if (run.folder / name).is_file()]
    sources += [source_file(f"{prefix}{name}", run.folder / name, command) for name in there]
    for folder, table in run.tables.items():
        name = f"{prefix}embeddings/{folder.name}"
        sources.append(source_file(name, folder / IDS_FILE, table.provenance.get("command")))
    return RunPart(
        run.name,
        str(run.folder),
        config,
        None if made is None else Facts(f"{prefix}{PROVENANCE}", made),
        None if log is None else Facts(f"{prefix}{LOG}", log),
        run.methods,
    )


def source_file(name: str, path: Path, command: object) -> SourceFile:
    """A file that figures come from, with its digest."""
    return SourceFile(name, str(path), sampled_digest(path, 12), None if command is None else str(command))


def _found(path: Path) -> tuple[Path, list[Path]]:
    """The run, and its tables that are asked for."""
    if (path / CONFIG).is_file():
        return path, sorted((file.parent for file in path.glob(f"embeddings/*/{IDS_FILE}")), key=_order)
    run = path.parent.parent
    if (path / IDS_FILE).is_file() and (run / CONFIG).is_file():
        return run, [path]
    if (path / "run" / CONFIG).is_file():  # the folder of a demo
        return _found(path / "run")
    raise UserError("neither a run nor a table in one", where=path, fix="Give a run's folder, or RUN/embeddings/NAME.")


def _order(folder: Path) -> tuple[int, str]:
    """As training goes."""
    known = ("start", "midway")
    return (known.index(folder.name) if folder.name in known else len(known), folder.name)


def _main(tables: Sequence[Path], checkpoint: str) -> Path | None:
    named = [table for table in tables if table.name == checkpoint] or tables[-1:]
    return named[0] if named else None


def _names(experiments: Sequence[Experiment]) -> list[str]:
    """Of the experiments, told apart by seed, fold and number where that is needed."""
    names = [experiment.name for experiment in experiments]
    tellers = (
        [f", seed {experiment.seed}" for experiment in experiments],
        [f", fold {experiment.split.fold}" for experiment in experiments],
        [f", {number}" for number in range(1, len(names) + 1)],
    )
    for told in tellers:
        names = [name + more if names.count(name) > 1 else name for name, more in zip(names, told, strict=True)]
    return names


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"is not JSON: {error}", where=path, fix="Mend or remove it.") from error
    return found


def _log(path: Path) -> list[dict[str, Any]] | None:
    """Its whole lines; None where there are none."""
    if not path.is_file():
        return None
    try:
        return [json.loads(line) for line in whole_lines(path.read_bytes()).splitlines() if line.strip()] or None
    except ValueError as error:
        raise UserError(f"a line is not JSON: {error}", where=path, fix="Mend or remove it.") from error
