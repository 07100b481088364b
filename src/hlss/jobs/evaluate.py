"""`hlss evaluate`: embedding tables to scores, printed and as JSON."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hlss.errors import UserError
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.evaluate.evaluation import EvaluateSpec, evaluate
from hlss.files import write_json
from hlss.jobs.provenance import provenance


def evaluate_tables(
    paths: Sequence[Path],
    against: str | None,
    out: Path | None,
    queries: str = "test",
    spec: EvaluateSpec | None = None,
) -> Path:
    """Score the tables, print, and write the JSON; returns its path. Raises UserError."""
    if queries not in ("test", "val"):
        raise UserError(f"queries must be test or val, not {queries!r}", where="--queries")
    tables = [EmbeddingTable.read(path) for path in paths]
    evaluation = evaluate(tables, spec or EvaluateSpec(), against, queries)
    evaluation.show(Console())
    path = out or Path(paths[0]) / "evaluation.json"
    write_json(path, {**evaluation.to_json(), "provenance": provenance()})
    return path
