"""The evaluation that a report shows: one that was written and fits the tables, or else one made now."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.evaluation import EvaluateSpec, evaluate
from hlss.jobs.report_runs import RunFolder
from hlss.jobs.setup import Say

FILE = "evaluation.json"
_KEYS = ("method", "seed", "fold", "config_hash", "data_hash", "checkpoint", "time")


def written_evaluation(runs: Sequence[RunFolder], given: Path | None) -> tuple[Path, dict[str, Any]] | None:
    """The file and what it holds: the one given, or of those beside the runs the first that holds all their tables.

    Raises UserError where the one given cannot be read or lacks a table.
    """
    if given is not None:
        found = _read(given)
        if not _fits(found, runs):
            fix = "Evaluate all tables of the report together: hlss evaluate TABLE… --out FILE."
            raise UserError("this evaluation is not of these tables", where=given, fix=fix)
        return given, found
    for path in _beside(runs):
        found = _read(path)
        if _fits(found, runs):
            return path, found
    return None


def made_evaluation(runs: Sequence[RunFolder], say: Say) -> dict[str, Any]:
    """Of all tables together with default settings; differences to the starts where every table has one.

    Raises UserError as the evaluation does.
    """
    tables = _tables(runs)
    methods = {str(table.provenance.get("method", "")) for table in tables}
    against = "start" if any(method.endswith(" · start") for method in methods) else None
    return evaluate(tables, EvaluateSpec(), against, say=say).to_json()


def results_of(evaluation: Mapping[str, Any] | None, method: str) -> list[Mapping[str, Any]]:
    """Of one method."""
    return [] if evaluation is None else [one for one in evaluation["results"] if one["method"] == method]


def _beside(runs: Sequence[RunFolder]) -> list[Path]:
    found: dict[Path, None] = {}
    for run in runs:
        folders = [run.folder, run.folder.parent, *run.tables]
        found |= dict.fromkeys(folder / FILE for folder in folders if (folder / FILE).is_file())
    return list(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read as an evaluation: {error}", where=path, fix="Evaluate again.") from error
    if not isinstance(found, dict) or not {"classes", "results", "tables"} <= found.keys():
        raise UserError("this is no evaluation", where=path, fix="Give a file that `hlss evaluate` wrote.")
    return found


def _fits(found: Mapping[str, Any], runs: Sequence[RunFolder]) -> bool:
    """Whether every table of the runs was evaluated there, as it is now."""
    there = [_key(facts) for facts in found["tables"]]
    return all(_key(table.provenance) in there for table in _tables(runs))


def _key(facts: Mapping[str, Any]) -> list[Any]:
    return [facts.get(name) for name in _KEYS]


def _tables(runs: Sequence[RunFolder]) -> list[EmbeddingTable]:
    return [table for run in runs for table in run.tables.values()]
