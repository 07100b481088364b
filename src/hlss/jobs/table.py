"""`hlss table`: run what is missing, score it all, and set it beside the paper."""

from collections.abc import Sequence
from pathlib import Path

from hlss.errors import UserError
from hlss.files import replacing, write_json
from hlss.jobs.setup import Say
from hlss.jobs.table_files import as_json, comma_separated
from hlss.jobs.table_folder import refuse_others
from hlss.jobs.table_picture import show_table
from hlss.jobs.table_results import Results, kept
from hlss.jobs.table_runs import make_runs
from hlss.jobs.table_scores import Scores, rows_of, score
from hlss.jobs.table_show import markdown
from hlss.jobs.table_side_by_side import Failures, places
from hlss.jobs.table_spec import Planned, TableSpec, compared, planned, read_table
from hlss.jobs.train import say_once


def make_table(
    paths: Sequence[Path],
    *,
    seeds: str | None = None,
    folds: str | None = None,
    against: Sequence[str] | None = None,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    run: bool = True,
    workers: int | None = None,
    say: Say = say_once,
) -> Path:
    """Make the table of a table file or of experiments; returns its Markdown file.

    seeds, folds: as "0,1,2", in place of the table's; overrides: of every experiment; run: False makes no run, only
    the table of what there is; workers: runs at a time (None: one a GPU, or one). Raises UserError, after the table is
    written, where rows are not complete; Stopped.
    """
    numbers = {"seeds": _numbers("--seeds", seeds), "folds": _numbers("--folds", folds), "against": against or None}
    spec, usual = read_table(paths, {name: value for name, value in numbers.items() if value is not None})
    folder = out or usual
    shared = {} if out is not None else {"runs": spec.runs, "results": spec.results}
    runs, kept_in = (shared.get(name) or folder / name for name in ("runs", "results"))
    plan = planned(spec, runs, overrides)
    references = compared(spec, plan)
    refuse_others(plan)
    results = Results(folder=kept_in, starts=runs, prompts=_prompts(spec))
    todo = [one for one in plan if not results.made(one.experiment)] if run else []
    say(f"{len(plan)} runs, {len(plan) - len(todo)} of them made already" if run else f"{len(plan)} runs, making none")
    failures = make_runs(todo, results, say, places(workers))
    found = kept(plan, results, say)
    scores = score(rows_of(plan, found, failures), references, found, results)
    path = _written(spec, scores, references, folder)
    print(path.read_text())
    if run:
        _refuse_incomplete(plan, failures, path)
    return path


def _prompts(spec: TableSpec) -> dict[str, list[str]] | None:
    from hlss.jobs.class_prompts import read_prompts  # towers: seconds to import, only where asked for

    return None if spec.prompts is None else read_prompts(spec.prompts)


def _written(spec: TableSpec, scores: Scores, references: Sequence[str], folder: Path) -> Path:
    texts = {"table.md": markdown(spec, scores, references), "table.csv": comma_separated(spec, scores, references)}
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text)
    write_json(folder / "table.json", as_json(spec, scores, references))
    show_table(spec, scores, folder / "table.png")
    return folder / "table.md"


def _refuse_incomplete(plan: Sequence[Planned], failures: Failures, path: Path) -> None:
    failed = [run for run in plan if run.folder in failures]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(plan)} runs failed, the table is not complete; {failed[0]}: "
            f"{failures[failed[0].folder]}",
            where=path,
            fix="Mend the cause and run the same command again: it makes what is missing.",
        )


def _numbers(flag: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{text!r} is no list of numbers", where=flag, fix="Write it as 0,1,2.") from None
