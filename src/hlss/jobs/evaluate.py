"""`hlss evaluate`: embedding tables to scores, printed and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from hlss.config import overridden, validate
from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.evaluation import EvaluateSpec, Side, evaluate
from hlss.evaluate.fold import ClassPrompts
from hlss.files import write_json
from hlss.jobs.provenance import provenance


def evaluate_tables(
    paths: Sequence[Path],
    against: str | None,
    out: Path | None,
    queries: Side = "test",
    protocols: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
    *,
    also: Sequence[str] | None = None,
    by_site: bool = False,
    prompts: Path | None = None,
    queries_from: Sequence[Path] = (),
    shown: bool = True,
) -> Path:
    """Score the tables, print, and write the JSON; returns its path. Raises UserError.

    prompts: YAML of class prompts, for zero-shot by the text tower of each table's run; shown: False prints no table;
    the other arguments are those of `evaluate` and fields of EvaluateSpec.
    """
    named = {"protocols": protocols or None, "also": also or None, "by_site": by_site or None}
    tree = overridden({name: value for name, value in named.items() if value is not None}, overrides)
    spec = validate(tree, EvaluateSpec, where="settings of the evaluation")
    tables, others = ([EmbeddingTable.read(path) for path in group] for group in (paths, queries_from))
    rows, facts = (None, {}) if prompts is None else _prompted(paths, prompts)
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    evaluation = evaluate(tables, spec, against, queries, prompts=rows, queries_from=others, say=say)
    if shown:
        evaluation.show(Console())
    path = out or Path(paths[0]) / "evaluation.json"
    write_json(path, {**evaluation.to_json(), "provenance": provenance(**facts)})
    return path


def _prompted(paths: Sequence[Path], prompts: Path) -> tuple[list[ClassPrompts], dict[str, Any]]:
    from hlss.jobs.class_prompts import prompts_of, read_prompts  # towers: seconds to import, only where asked for

    sentences = read_prompts(prompts)
    return prompts_of(paths, sentences), {"prompts": sentences}
