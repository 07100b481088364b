"""What `hlss explain` and the demo have written beside runs, to be shown in their report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlss.errors import UserError
from hlss.jobs.report_runs import RunFolder, method_of, source_file
from hlss.report.contents import SourceFile
from hlss.report.facts import Facts

_FILE = "explanations.json"


def written_profile(run: RunFolder, sources: list[SourceFile], name: str) -> Facts | None:
    """What marks each class, as `hlss explain` wrote it in the run's folder of this very table; name: of the source."""
    path = run.folder / "explanations" / _FILE
    found = _read(path)
    for number, one in enumerate(found.get("tables", [])):
        if one.get("profile") is not None and one.get("provenance") == dict(run.main_table.provenance):
            _add(sources, name, path, found)
            return Facts(name, found)["tables"][number]["profile"]
    return None


def written_agreement(runs: Sequence[RunFolder], sources: list[SourceFile]) -> dict[str, Facts]:
    """By method, agreement with what was drawn, as the demo or `hlss explain` wrote it; empty where none was."""
    agreements: dict[str, Facts] = {}
    for run in runs:
        for path in (run.folder.parent / _FILE, run.folder / "explanations" / _FILE):
            name = _FILE if len(runs) == 1 else f"{run.name}/{_FILE}"
            found = _read(path)
            mine = {key: value for key, value in _agreements(Facts(name, found), run).items() if key not in agreements}
            if mine:
                _add(sources, name, path, found)
            agreements |= mine
    return agreements


def _agreements(found: Facts, run: RunFolder) -> dict[str, Facts]:
    methods = {folder.name: method_of(table) for folder, table in run.tables.items()}
    demo = found.at("agreement")
    if demo is not None:
        return {methods[name]: one for name, one in demo.items() if name in methods}
    known = [dict(table.provenance) for table in run.tables.values()]
    tables = [one for one in found.at("tables") or () if one["provenance"].value in known]
    return {one["name"].value: one["agreement"] for one in tables if one.at("agreement") is not None}


def _add(sources: list[SourceFile], name: str, path: Path, found: Mapping[str, Any]) -> None:
    if name not in {one.name for one in sources}:
        sources.append(source_file(name, path, found.get("provenance", {}).get("command")))


def _read(path: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"is not JSON: {error}", where=path, fix="Run `hlss explain` again, or remove it.") from error
    return found
