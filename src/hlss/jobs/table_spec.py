"""A table as data: which experiments are its rows, how often each is run, and where the runs lie."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, NonNegativeInt

from hlss.config import Part, read_settings, read_tree, validate
from hlss.errors import UserError
from hlss.evaluate.paper import PaperName
from hlss.experiment import Experiment
from hlss.files import digest

START = "start"
REFERENCE = "hidisc"  # name of the experiment that all are compared with where nothing else is asked for


class TableRow(Part):
    """experiment: its file, from the table's folder; label: what the table calls it (the experiment's name)."""

    experiment: Path
    label: str | None = None


def _as_row(value: Any) -> Any:
    return {"experiment": value} if isinstance(value, str | Path) else value


class TableSpec(Part):
    """A table file (`base:` as in an experiment).

    seeds, folds: every row is run with each; folds None: all of k, or the one that there is.
    against: rows, by label or name, that the others are compared with, besides the start; None: hidisc, if it is one.
    paper:   whose figures stand beside ours, found by the experiments' names.
    budget:  what a run costs, for the reader.
    runs:    folder of the runs, which several tables can share; None: `runs` below the table's own.
    results: folder of what is kept of each run, to be committed, likewise; None: `results` below the table's own.
    prompts: file of class prompts, from the table's folder: rows are also scored zero-shot, by their text towers.
    """

    title: str = "Table"
    rows: tuple[Annotated[TableRow, BeforeValidator(_as_row)], ...] = Field(min_length=1)
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
    folds: tuple[NonNegativeInt, ...] | None = Field(default=None, min_length=1)
    against: tuple[str, ...] | None = None
    paper: PaperName | None = None
    budget: str = ""
    runs: Path | None = None
    results: Path | None = None
    prompts: Path | None = None


@dataclass(frozen=True)
class Planned:
    """One run: an experiment with its seed, fold and folder, for a row of the table."""

    label: str
    experiment: Experiment

    @property
    def seed(self) -> int:
        return self.experiment.seed

    @property
    def fold(self) -> int:
        return self.experiment.split.fold

    @property
    def folder(self) -> Path:
        return self.experiment.folder

    @property
    def start(self) -> str:
        """See `start_of`."""
        return start_of(self.experiment)

    def __str__(self) -> str:
        return f"{self.label}, seed {self.seed}, fold {self.fold}"


def start_of(experiment: Experiment) -> str:
    """Equal for runs that start from the same weights on the same data."""
    settings = experiment.model_dump(mode="json", include={"cohort", "encoder", "split", "evaluate"})
    settings["split"].pop("fold")
    return digest([settings, experiment.loader.model_dump(mode="json", include={"pack"})])


def read_table(paths: Sequence[Path], changes: dict[str, Any]) -> tuple[TableSpec, Path]:
    """The table of a table file, or of experiments, and the default folder of its output.

    changes: fields set on the command line. Raises UserError.
    """
    first = Path(paths[0])
    tree = read_tree(first)
    if "rows" not in tree:
        tree, folder = {"rows": [str(path) for path in paths]}, Path()
    elif len(paths) > 1:
        raise UserError("this is a table file, which stands alone", where=first, fix="Give it alone, or experiments.")
    else:
        folder = first.parent
    spec = validate({**tree, **changes}, TableSpec, where=first)
    rows = tuple(row.model_copy(update={"experiment": folder / row.experiment}) for row in spec.rows)
    name = Path(first.resolve().parent.name, *([] if folder == Path() else [first.stem]))
    prompts = None if spec.prompts is None else folder / spec.prompts
    return spec.model_copy(update={"rows": rows, "prompts": prompts}), Path("runs/tables") / name


def planned(spec: TableSpec, runs: Path, overrides: Sequence[str]) -> list[Planned]:
    """Every run of the table, seed by seed, so that whole seeds are there soonest. Raises UserError."""
    found = []
    bare = {row: read_settings(row.experiment, Experiment, overrides) for row in spec.rows}
    folds = _folds(spec, bare)
    for seed in dict.fromkeys(spec.seeds):
        for fold in dict.fromkeys(folds):
            for row, experiment in bare.items():
                of_run = {
                    "seed": seed,
                    "split": experiment.split.model_copy(update={"fold": fold}),
                    "out": runs / f"{experiment.name}-seed{seed}-fold{fold}",
                }
                found.append(Planned(row.label or experiment.name, experiment.model_copy(update=of_run)))
    _refuse_twice("label", [row.label or experiment.name for row, experiment in bare.items()])
    _refuse_twice("name of experiment", [experiment.name for experiment in bare.values()])
    return found


def compared(spec: TableSpec, plan: Sequence[Planned]) -> list[str]:
    """Labels of the rows that all are compared with. Raises UserError for one that is not there."""
    labels = {name: run.label for run in plan for name in (run.experiment.name, run.label)}
    if spec.against is None:
        return [labels[REFERENCE]] if REFERENCE in labels else []
    asked = [name for name in spec.against if name != START]
    for name in asked:
        if name not in labels:
            there = ", ".join(dict.fromkeys(run.label for run in plan))
            raise UserError(f"no row {name!r} to compare with", where="against", fix=f"There are: {there}.")
    return [labels[name] for name in asked]


def _folds(spec: TableSpec, bare: dict[TableRow, Experiment]) -> tuple[int, ...]:
    """The same for every row. Raises UserError where rows are split or scored in different ways."""
    (row, first), *others = bare.items()
    for other, experiment in others:
        for part in ("split", "evaluate"):
            if getattr(experiment, part) != getattr(first, part):
                raise UserError(
                    f"rows of a table share `{part}`, this one's differs from that of {row.experiment}",
                    where=other.experiment,
                    fix="Let both have one base, or set it: --set.",
                )
    kind = first.split.kind
    if kind == "kfold":
        folds = tuple(range(first.split.folds)) if spec.folds is None else spec.folds
        if max(folds) >= first.split.folds:
            raise UserError(f"fold {max(folds)} of {first.split.folds}", where="folds", fix="Folds are counted from 0.")
        return folds
    if kind == "leave_one_patient_out":
        if spec.folds is None:
            raise UserError("which patients are left out in turn?", where="folds", fix="Say so, as in --folds 0,1,2,3.")
        return spec.folds
    if spec.folds not in (None, (0,)):
        raise UserError(f"a {kind} split has no folds", where="folds", fix="Leave them out, or set split.kind=kfold.")
    return (first.split.fold,)


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter([*names, START]).items() if count > 1]
    if twice:
        raise UserError(
            f"{what} {twice[0]!r} stands twice", where="rows", fix=f"Every row has its own; {START} is set."
        )
