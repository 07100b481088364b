"""`hlss evaluate`: embedding tables to scores, printed and as JSON."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hlss.config import overridden, validate
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.evaluate.evaluation import EvaluateSpec, Side, evaluate
from hlss.files import write_json
from hlss.jobs.provenance import provenance


def evaluate_tables(
    paths: Sequence[Path],
    against: str | None,
    out: Path | None,
    queries: Side = "test",
    protocols: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
) -> Path:
    """Score the tables, print, and write the JSON; returns its path. Raises UserError."""
    tree = overridden({"protocols": protocols} if protocols else {}, overrides)
    spec = validate(tree, EvaluateSpec, where="settings of the evaluation")
    tables = [EmbeddingTable.read(path) for path in paths]
    evaluation = evaluate(tables, spec, against, queries)
    evaluation.show(Console())
    path = out or Path(paths[0]) / "evaluation.json"
    write_json(path, {**evaluation.to_json(), "provenance": provenance()})
    return path
