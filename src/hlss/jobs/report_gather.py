"""All that a report shows, gathered from runs: what is read from their files, and what is computed here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hlss.errors import UserError
from hlss.files import digest
from hlss.jobs.provenance import provenance
from hlss.jobs.report_cohort import counts, examples
from hlss.jobs.report_errors import confident_errors
from hlss.jobs.report_explained import Written, written_agreement
from hlss.jobs.report_map import clusterings, coded, columns_of, mapped_rows, placed, taken
from hlss.jobs.report_pixels import Tiles
from hlss.jobs.report_runs import RunFolder, method_of, run_part, source_file
from hlss.jobs.report_scores import made_evaluation, results_of, written_evaluation
from hlss.jobs.report_seen import Seen
from hlss.jobs.report_words import Worded, words_of
from hlss.jobs.setup import Say
from hlss.report.contents import OWN, CohortPart, ErrorPart, MapPart, Report, RunPart, SourceFile, Sprites, WordsPart
from hlss.report.facts import Facts

_NO_TABLES = "Nothing is embedded: run `hlss embed RUN`, then make the report again."
_WRITTEN = "The scores are those of evaluation.json, which was made before."
_MADE = "No evaluation of these tables was found, so they were scored for this report, with default settings."


class Gathering:
    """Gathers one report. What is computed goes into `figures`, from where it is shown and stored in the page."""

    def __init__(self, runs: Sequence[RunFolder], bank: str | None, mapped: Path | None, say: Say) -> None:
        self._runs, self._bank, self._mapped, self._say = runs, bank, mapped, say
        self._figures: dict[str, Any] = {}
        self._sources: list[SourceFile] = []
        self._notices: list[str] = []
        self._lacking: dict[str, str] = {}
        self._cohorts: dict[str, CohortPart] = {}
        self._sheets: dict[str, tuple[int, Sprites | None]] = {}

    def report(self, evaluation: Path | None) -> Report:
        """All of it. evaluation: a file that must fit the tables. Raises UserError."""
        parts = [run_part(run, len(self._runs) == 1, self._sources) for run in self._runs]
        self._notices += [notice for part in parts for notice in _notices(part)]
        embedded = [run for run in self._runs if run.main is not None]
        self._notices += [f"{run.name}: {_NO_TABLES}" for run in self._runs if run.main is None]
        if not embedded:
            self._lacking = dict.fromkeys(("cohort", "accuracy", "embedding", "errors", "explained"), _NO_TABLES)
        scores, how = self._evaluation(embedded, evaluation) if embedded else (None, "")
        maps, errors, words = [], [], []
        for run in embedded:
            self._say(f"report of {run.title}: counting patients and tiles")
            tiles = Tiles(run)
            self._cohort(run, tiles)
            maps += self._map(run, tiles)
            errors += self._errors(run, tiles, scores)
            words += self._words(run, tiles)
            self._notices += [] if tiles.lacking is None else [f"{run.title}: {tiles.lacking}"]
        agreement = written_agreement(embedded, self._sources)
        return Report(
            title=", ".join(run.name for run in self._runs),
            made={name: str(value) for name, value in provenance().items()},
            notices=tuple(dict.fromkeys(self._notices)),
            runs=parts,
            cohorts=list(self._cohorts.values()),
            evaluation=scores,
            how=how,
            maps=maps,
            errors=errors,
            words=words,
            agreement=agreement,
            sources=self._sources,
            figures=Facts(OWN, self._figures),
            lacking=self._lacking,
        )

    def _evaluation(self, runs: Sequence[RunFolder], given: Path | None) -> tuple[Facts | None, str]:
        written = written_evaluation(runs, given)
        if written is not None:
            path, found = written
            self._sources.append(source_file(path.name, path, found.get("provenance", {}).get("command")))
            self._notices += found.get("notices", [])
            return Facts(path.name, found), _WRITTEN
        try:
            found = made_evaluation(runs, self._say)
        except UserError as error:
            self._lacking["accuracy"] = f"Not evaluated: {error}"
            return None, ""
        self._notices += found["notices"]
        self._figures["evaluation"] = found
        return Facts(OWN, self._figures)["evaluation"], _MADE

    def _cohort(self, run: RunFolder, tiles: Tiles) -> None:
        """Runs of one cohort show it once."""
        found = counts(run.main_table)
        key = digest([run.main_table.provenance.get("data_hash"), found])
        if key in self._cohorts:
            part = self._cohorts[key]
            self._cohorts[key] = replace(part, runs=(*part.runs, run.name))
        else:
            facts = self._kept("cohorts", found)
            self._cohorts[key] = CohortPart((run.name,), facts, examples(run.main_table, tiles))

    def _map(self, run: RunFolder, tiles: Tiles) -> list[MapPart]:
        rows = mapped_rows(run.rows)
        if not len(rows):
            self._lacking.setdefault("embedding", "There are too few patches for a map.")
            return []
        self._say("  placing patches on a map")
        table = taken(run.main_table, rows)
        columns = columns_of(table)
        number = len(self._figures.get("maps", []))
        facts = {"name": run.title, "shown": len(rows), "of": len(run.rows), "clustering": clusterings(table)}
        kept = self._kept("maps", {**facts, "patches": coded(columns)})
        key = digest(
            [
                table.provenance.get("data_hash"),
                *(table[name].tolist() for name in ("slide", "image", "x_px0", "y_px0")),
            ]
        )
        if key not in self._sheets:
            self._say("  reading their tiles")
            self._sheets[key] = number, tiles.sprites(rows.tolist())
        shared, sprites = self._sheets[key]
        return [MapPart(run.title, placed(table).tolist(), columns, kept, sprites, shared)]

    def _errors(self, run: RunFolder, tiles: Tiles, scores: Facts | None) -> list[ErrorPart]:
        results = results_of(None if scores is None else scores.value, method_of(run.main_table))
        try:
            found, rows = confident_errors(run.main_table, results)
        except UserError as error:
            self._lacking["errors"] = f"No errors are shown: {error}"
            return []
        pictures = [[tiles.jpeg(row) for row in of_error] for of_error in rows]
        return [ErrorPart(run.title, self._kept("errors", found), pictures)]

    def _words(self, run: RunFolder, tiles: Tiles) -> list[WordsPart]:
        self._say("  what the features say in words")
        try:
            worded = Worded.of(run, self._bank, self._say)
            found = words_of(worded)
        except UserError as error:
            self._lacking["explained"] = f"Nothing is said in words: {error}"
            return []
        self._notices += worded.notices
        facts = self._kept("words", found)
        written = Written(run, len(self._runs) == 1, self._sources, self._mapped)
        part = WordsPart(run.title, written.profile() or facts.at("profile"), facts.at("use"), worded.notices)
        return [Seen(run, worded, tiles, written, self._kept, self._say).added(part)]

    def _kept(self, what: str, found: Any) -> Facts:
        """As figures of the report; rounding is for showing only."""
        mine = self._figures.setdefault(what, [])
        mine.append(found)
        return Facts(OWN, self._figures)[what][len(mine) - 1]


def _notices(part: RunPart) -> list[str]:
    found = None if part.provenance is None else part.provenance.at("notices")
    return [] if found is None else [str(notice) for notice in found.value]
