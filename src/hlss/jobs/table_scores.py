"""From finished runs to the scores of a table: rows side by side, the start beside them, differences, health."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.evaluation import Evaluation, Result, evaluate
from hlss.evaluate.health import effective_rank
from hlss.files import digest, file_digest
from hlss.jobs.setup import Say
from hlss.jobs.table_runs import LAST, embed_start, facts_of
from hlss.jobs.table_side_by_side import Failures
from hlss.jobs.table_spec import START, Planned
from hlss.train.checkpoint import ENCODER_FILE

Key = tuple[str, str]  # method, protocol


@dataclass(frozen=True)
class Health:
    """Of test features, meaned over runs. rank: effective rank (RankMe), at most dim; spread: √d times the mean over
    dimensions of the standard deviation of unit features (Chen and He 2021), near 1 where they fill the sphere. Of
    a full collapse rank is 1 and spread 0.
    """

    rank: float
    spread: float
    dim: int


@dataclass(frozen=True)
class Row:
    """A row and how far it is. seeds: those with every fold; missing: runs without a result, and why."""

    label: str
    name: str
    runs: tuple[Planned, ...]
    seeds: tuple[int, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Scores:
    """rows: those of the table; starts: label of each row's start; evaluations: by what the others are compared with
    (its label), the same scores with other differences; health: by label.
    """

    rows: tuple[Row, ...]
    starts: Mapping[str, str]
    evaluations: Mapping[str, Evaluation]
    health: Mapping[str, Health]

    @property
    def evaluation(self) -> Evaluation:
        """Any of them: without its differences all are the same."""
        return next(iter(self.evaluations.values()))

    def result(self, label: str, protocol: str) -> Result | None:
        """Of a row (or start) under a protocol; None where no seed of it is complete."""
        return _find(self.evaluation, label, protocol)

    def difference(self, label: str, protocol: str, to: str) -> Result | None:
        """The same with its differences to the row `to`, or to `start`: the row's own."""
        against = self.starts.get(label, START) if to == START else to
        return _find(self.evaluations[against], label, protocol)


def rows_of(plan: Sequence[Planned], failures: Failures) -> tuple[Row, ...]:
    """The rows in their order, and what each lacks."""
    found = []
    for label in dict.fromkeys(run.label for run in plan):
        runs = tuple(run for run in plan if run.label == label)
        lacking = [run for run in runs if facts_of(run.experiment) is None]
        seeds = tuple(dict.fromkeys(run.seed for run in runs if run.seed not in {other.seed for other in lacking}))
        missing = {str(run): failures.get(run.folder, "not run yet") for run in lacking}
        found.append(Row(label, runs[0].experiment.name, runs, seeds, missing))
    return tuple(found)


def score(rows: Sequence[Row], against: Sequence[str], starts_in: Path, say: Say) -> Scores:
    """Score every row by the seeds that have all their folds. Raises UserError where there is none yet."""
    used = [run for row in rows for run in row.runs if run.seed in row.seeds]
    if not used:
        reasons = "; ".join(f"{run}: {why}" for row in rows for run, why in list(row.missing.items())[:1])
        raise UserError(f"no row is complete: {reasons}", fix="Run the same command again.")
    starts = _start_labels(used)
    tables = list(_tables(used, starts, starts_in, say))
    spec = used[0].experiment.evaluate
    references = dict.fromkeys([*against, *starts.values()])
    present = {run.label for run in used} | set(starts.values())
    return Scores(
        rows=tuple(rows),
        starts=starts,
        evaluations={name: evaluate(tables, spec, name, say=say) for name in references if name in present},
        health=_health(tables),
    )


def _start_labels(runs: Sequence[Planned]) -> dict[str, str]:
    """Of each row the label of its start: one for all that start alike."""
    kinds: dict[str, str] = {}
    for run in runs:
        kinds.setdefault(run.start, START if not kinds else f"{START} of {run.label}")
    return {run.label: kinds[run.start] for run in runs}


def _tables(runs: Sequence[Planned], starts: Mapping[str, str], starts_in: Path, say: Say) -> Iterator[EmbeddingTable]:
    """Starts first, one of each seed and fold; equal weights are embedded once."""
    seen: set[tuple[str, int, int]] = set()
    for run in runs:
        key = (starts[run.label], run.seed, run.fold)
        if key not in seen:
            seen.add(key)
            yield _named(_start_of(run, starts_in, say), starts[run.label], run)
    for run in runs:
        yield _named(EmbeddingTable.read(run.folder / "embeddings" / LAST), run.label, run)


def _start_of(run: Planned, starts_in: Path, say: Say) -> EmbeddingTable:
    weights = run.folder / "checkpoints" / "step-00000000" / ENCODER_FILE
    folder = starts_in / f"{START}-{digest([file_digest(weights), run.start, run.fold])}"
    if not folder.is_dir():
        say(f"embedding the start of seed {run.seed}, fold {run.fold}")
        embed_start(run.experiment, folder, say)
    return EmbeddingTable.read(folder)


def _named(table: EmbeddingTable, label: str, run: Planned) -> EmbeddingTable:
    """Under the row's label, and of the run's seed (a start is the same for all)."""
    facts: dict[str, Any] = {**table.provenance, "method": label, "seed": run.seed, "fold": run.fold}
    return replace(table, provenance=facts)


def _health(tables: Sequence[EmbeddingTable]) -> dict[str, Health]:
    found: dict[str, list[Health]] = {}
    for table in tables:
        found.setdefault(table.provenance["method"], []).append(health(table.features[table["side"] == "test"]))
    return {
        label: Health(
            float(np.mean([one.rank for one in every])), float(np.mean([one.spread for one in every])), every[0].dim
        )
        for label, every in found.items()
    }


def health(z: Float[ndarray, "n d"]) -> Health:
    """Of these features."""
    rows = z.astype(np.float64)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    dim = z.shape[1]
    return Health(effective_rank(z), float(np.sqrt(dim) * unit.std(axis=0).mean()), dim)


def _find(evaluation: Evaluation, label: str, protocol: str) -> Result | None:
    return next((r for r in evaluation.results if (r.method, r.protocol) == (label, protocol)), None)
