"""What `hlss explain`, `hlss map` and the demo have written beside runs, to be shown in their report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlss.embedding_table import stored_provenance
from hlss.errors import UserError
from hlss.jobs.chosen_table import home_of
from hlss.jobs.explain_found import cut
from hlss.jobs.map_slides import MAPS_FILE
from hlss.jobs.report_runs import RunFolder, method_of, source_file
from hlss.report.contents import SourceFile
from hlss.report.facts import Facts

_FILE, _UNITS = "explanations.json", "units.json"
_WEIGHTS = ("method", "checkpoint", "seed", "fold", "norms_renewed")


class Written:
    """What was written of the main table of one run. alone: no other run stands beside it; sources: gets every file
    that something is shown from; mapped: a table of other slides, whose maps are shown where the same weights made it.
    """

    def __init__(self, run: RunFolder, alone: bool, sources: list[SourceFile], mapped: Path | None = None) -> None:
        self._run, self._sources = run, sources
        self._prefix = "" if alone else f"{run.name}/"
        self._mapped = mapped if mapped is not None and is_of(run, mapped) else None

    def profile(self) -> Facts | None:
        """What marks each class, by `hlss explain`."""
        found = self._of_table(_FILE, "profile")
        return None if found is None else found["profile"]

    def units(self) -> Facts | None:
        """Patches, slides and patients, by `hlss explain --units`: the entry of the table."""
        return self._of_table(_UNITS, "units")

    def maps(self) -> tuple[Path, Facts] | None:
        """The table that was mapped, and all of what `hlss map` wrote of it."""
        folder = self._mapped or self._run.main
        assert folder is not None
        table = stored_provenance(folder)
        for path in (home_of(folder) / "maps" / folder.name / MAPS_FILE, home_of(folder) / "maps" / MAPS_FILE):
            found = _read(path, "hlss map")
            if found.get("maps") and all(value == table.get(key) for key, value in found["table"].items()):
                _add(self._sources, self._prefix + MAPS_FILE, path, found)
                return folder, Facts(self._prefix + MAPS_FILE, found)
        return None

    def _of_table(self, file: str, key: str) -> Facts | None:
        """The entry of the table in a file of RUN/explanations, where it holds this."""
        path = self._run.folder / "explanations" / file
        found = _read(path)
        for number, one in enumerate(found.get("tables", [])):
            if one.get(key) and one.get("provenance") == cut(dict(self._run.main_table.provenance)):
                _add(self._sources, self._prefix + file, path, found)
                return Facts(self._prefix + file, found)["tables"][number]
        return None


def is_of(run: RunFolder, table: Path) -> bool:
    """Whether the same weights embedded a table as the run's main one, if of other slides. Raises UserError."""
    if run.main is None:
        return False
    facts = stored_provenance(table)
    return all(facts.get(key) == run.main_table.provenance.get(key) for key in _WEIGHTS)


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


def _read(path: Path, by: str = "hlss explain") -> dict[str, Any]:
    """Empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"is not JSON: {error}", where=path, fix=f"Run `{by}` again, or remove it.") from error
    return found
