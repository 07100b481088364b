"""What every way to score features has in common: a fold in, predictions out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from numpy import ndarray

from hlss.evaluate.fold import Task
from hlss.evaluate.scores import Predictions, Scoring
from hlss.types import Level

ByLevel = Mapping[Level, Predictions]


@dataclass(frozen=True)
class Row:
    """A line of results. name: of the protocol; way: in words; k: neighbours, None where it means nothing.

    scoring: how patches make slides and patients; None where slides and patients are predicted themselves.
    """

    name: str
    way: str
    k: int | None = None
    scoring: Scoring | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """What a scorer finds in a fold: predictions of patches (slides and patients follow), or of slides and patients.

    fitted: what was chosen on the bank, to be recorded; notices: what a reader must know.
    """

    row: Row
    by_level: ByLevel
    fitted: tuple[Mapping[str, Any], ...] = ()
    notices: tuple[str, ...] = ()


@runtime_checkable
class Scorer(Protocol):
    """A way to score. Fitted on the bank only; never told the classes of the queries."""

    def score(self, task: Task) -> Iterator[Scored]:
        """One for each row and draw, draws of a row in order. Raises UserError."""
        ...


def of_patches(task: Task, probabilities: Float[ndarray, "q c"]) -> ByLevel:
    """Predictions of the queries' patches."""
    queries = task.queries
    return {Level.PATCH: Predictions(probabilities, queries.labels, queries.ids("patient"), queries.places())}
