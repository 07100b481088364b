"""From results of runs to the scores of a table: rows side by side, the start beside them, differences, health."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hlss.errors import UserError
from hlss.evaluate.predict import ScoredFold
from hlss.evaluate.results import Evaluation, Result, Run, evaluation_of
from hlss.jobs.table_results import Health, Results, RunResult
from hlss.jobs.table_side_by_side import Failures
from hlss.jobs.table_spec import START, Planned

Found = Mapping[Path, RunResult]  # by run folder


@dataclass(frozen=True)
class Row:
    """A row and how far it is. seeds: those with every fold; missing: runs without a result, and why."""

    label: str
    name: str
    runs: tuple[Planned, ...]
    seeds: tuple[int, ...]
    missing: Mapping[str, str]

    def runs_in(self, found: Found) -> tuple[Planned, ...]:
        """Those that are there."""
        return tuple(run for run in self.runs if run.folder in found)


@dataclass(frozen=True)
class MadeBy:
    """What runs were made with. banks: fingerprints; minutes: median of the runs, all their sessions."""

    banks: tuple[str, ...]
    precisions: tuple[str, ...]
    threads: tuple[str, ...]
    minutes: float | None


@dataclass(frozen=True)
class Scores:
    """rows: those of the table; starts: label of each row's start; evaluations: by what the others are compared with
    (its label), the same scores with other differences; health: by label; found: what each run's folder gave.
    """

    rows: tuple[Row, ...]
    starts: Mapping[str, str]
    evaluations: Mapping[str, Evaluation]
    health: Mapping[str, Health]
    found: Found

    @property
    def evaluation(self) -> Evaluation:
        """Any of them: without its differences all are the same."""
        return next(iter(self.evaluations.values()))

    def made_by(self, labels: Sequence[str]) -> MadeBy:
        """Of all runs of these rows that are there."""
        runs = [self.found[run.folder] for row in self.rows if row.label in labels for run in row.runs_in(self.found)]
        minutes = [run.made["seconds"] / 60 for run in runs]
        return MadeBy(
            _known(run.provenance.get("bank_fingerprint") for run in runs),
            _known(run.provenance.get("precision") for run in runs),
            _known(run.made.get("threads") for run in runs),
            float(np.median(minutes)) if minutes else None,
        )

    def result(self, label: str, protocol: str) -> Result | None:
        """Of a row (or start) under a protocol; None where no seed of it is complete."""
        return _find(self.evaluation, label, protocol)

    def difference(self, label: str, protocol: str, to: str) -> Result | None:
        """The same with its differences to the row `to`, or to `start`: the row's own."""
        against = self.starts.get(label, START) if to == START else to
        return _find(self.evaluations[against], label, protocol)


def rows_of(plan: Sequence[Planned], found: Found, failures: Failures) -> tuple[Row, ...]:
    """The rows in their order, and what each lacks."""
    rows = []
    for label in dict.fromkeys(run.label for run in plan):
        runs = tuple(run for run in plan if run.label == label)
        lacking = [run for run in runs if run.folder not in found]
        seeds = tuple(dict.fromkeys(run.seed for run in runs if run.seed not in {other.seed for other in lacking}))
        missing = {str(run): failures.get(run.folder, "not run yet") for run in lacking}
        rows.append(Row(label, runs[0].experiment.name, runs, seeds, missing))
    return tuple(rows)


def score(rows: Sequence[Row], against: Sequence[str], found: Found, results: Results) -> Scores:
    """Score every row by the seeds that have all their folds. Raises UserError where there is none yet."""
    used = [run for row in rows for run in row.runs if run.seed in row.seeds]
    if not used:
        reasons = "; ".join(f"{run}: {why}" for row in rows for run, why in list(row.missing.items())[:1])
        raise UserError(f"no row is complete: {reasons}", fix="Run the same command again.")
    starts = _start_labels(used)
    entries = list(_entries(used, starts, found, results))
    folds: dict[str, dict[Run, list[ScoredFold]]] = {}
    for entry in entries:
        folds.setdefault(entry.label, {}).setdefault((entry.seed, None), []).append(entry.result.fold.fold())
    _refuse_other_classes(entries)
    spec, zero_shot = used[0].experiment.evaluate, results.prompts is not None
    _, notices = spec.scorers(
        [fold for runs in folds.values() for of_run in runs.values() for fold in of_run], zero_shot
    )
    tables = [entry.facts for entry in entries]
    references = [name for name in dict.fromkeys([*against, *starts.values()]) if name in folds]
    return Scores(
        rows=tuple(rows),
        starts=starts,
        evaluations={name: evaluation_of(folds, spec, name, notices=notices, tables=tables) for name in references},
        health=_health(entries),
        found=found,
    )


def _start_labels(runs: Sequence[Planned]) -> dict[str, str]:
    """Of each row the label of its start: one for all that start alike."""
    kinds: dict[str, str] = {}
    for run in runs:
        kinds.setdefault(run.start, START if not kinds else f"{START} of {run.label}")
    return {run.label: kinds[run.start] for run in runs}


@dataclass(frozen=True)
class _Entry:
    """A result under the label of its line, of the seed and fold it stands for (a start is the same for all seeds)."""

    label: str
    seed: int
    fold: int
    result: RunResult

    @property
    def facts(self) -> Mapping[str, Any]:
        """Where its features come from."""
        return {**self.result.embedded, "method": self.label, "seed": self.seed, "fold": self.fold}


def _entries(runs: Sequence[Planned], starts: Mapping[str, str], found: Found, results: Results) -> Iterator[_Entry]:
    """Starts first, one of each seed and fold."""
    seen: set[tuple[str, int, int]] = set()
    for run in runs:
        key, name = (starts[run.label], run.seed, run.fold), found[run.folder].start
        if key not in seen and name is not None:
            seen.add(key)
            yield _Entry(*key, results.start(name))
    for run in runs:
        yield _Entry(run.label, run.seed, run.fold, found[run.folder])


def _refuse_other_classes(entries: Sequence[_Entry]) -> None:
    first = entries[0].result.fold.classes
    for entry in entries:
        if entry.result.fold.classes != first:
            here = ", ".join(entry.result.fold.classes)
            fix = "Rows of a table share their cohort's classes."
            raise UserError(f"classes are {here}, those of other rows {', '.join(first)}", where=entry.label, fix=fix)


def _health(entries: Sequence[_Entry]) -> dict[str, Health]:
    """Means over seeds and folds."""
    found: dict[str, list[Health]] = {}
    for entry in entries:
        found.setdefault(entry.label, []).append(entry.result.health)
    return {
        label: Health(
            rank=float(np.mean([one.rank for one in every])),
            spread=float(np.mean([one.spread for one in every])),
            dim=every[0].dim,
        )
        for label, every in found.items()
    }


def _known(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in values if value is not None}))


def _find(evaluation: Evaluation, label: str, protocol: str) -> Result | None:
    return next((r for r in evaluation.results if (r.method, r.protocol) == (label, protocol)), None)
