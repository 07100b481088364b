"""From folds and scorers to predictions at every level: patches make slides and patients, folds are pooled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hlss.evaluate.fold import Fold, Task
from hlss.evaluate.scorer import ByLevel, Row, Scored, Scorer
from hlss.evaluate.scores import LEVEL_COLUMN, Predictions, Scoring, aggregated, pooled
from hlss.types import LEVELS, Level


@dataclass(frozen=True, eq=False)
class ScoredFold:
    """A fold and what every scorer found in it: all that results are made of. rows: of each row its draws.

    patients: those who were asked; bank_size, fewest_patients, notices: as of the fold.
    """

    name: str
    classes: tuple[str, ...]
    bank_size: int
    fewest_patients: int
    patients: tuple[str, ...]
    notices: tuple[str, ...]
    rows: Mapping[Row, tuple[Scored, ...]]


@dataclass(frozen=True, eq=False)
class Predicted:
    """Of one method, seed and row: predictions by level of each draw, folds pooled; what was fitted, and notices."""

    draws: tuple[ByLevel, ...]
    fitted: tuple[Mapping[str, Any], ...]
    notices: tuple[str, ...]


def scored_fold(
    fold: Fold,
    classes: tuple[str, ...],
    scorers: Sequence[Scorer],
    scorings: Mapping[str, Scoring],
    passed: Callable[[], None] = lambda: None,
) -> ScoredFold:
    """What these scorers find in a fold. passed: is called after each.

    scorings: by what they add to a row's name; one that predicts slides and patients itself has no such rows.
    Raises UserError as `Fold.opened` and the scorers do.
    """
    task = fold.opened(classes)
    rows: dict[Row, list[Scored]] = {}
    for scorer in scorers:
        for scored in scorer.score(task):
            for complete in _with_slides_and_patients(scored, task, scorings):
                rows.setdefault(complete.row, []).append(complete)
        passed()
    return ScoredFold(
        fold.name,
        classes,
        fold.bank_size,
        fold.fewest_patients,
        tuple(fold.patients_asked.tolist()),
        fold.notices,
        {row: tuple(draws) for row, draws in rows.items()},
    )


def pooled_folds(folds: Sequence[ScoredFold]) -> dict[Row, Predicted]:
    """Predictions of one method and seed, by each row that all folds have.

    A level that is missing in a fold is empty. Raises UserError as `pooled` does.
    """
    names, classes = [fold.name for fold in folds], len(folds[0].classes)
    rows = [row for row in folds[0].rows if all(row in fold.rows for fold in folds)]
    return {row: _pooled([fold.rows[row] for fold in folds], names, classes) for row in rows}


def _with_slides_and_patients(scored: Scored, task: Task, scorings: Mapping[str, Scoring]) -> Iterator[Scored]:
    if Level.PATCH not in scored.by_level:
        yield scored
        return
    patches = scored.by_level[Level.PATCH]
    for suffix, scoring in scorings.items():
        coarser = {
            level: aggregated(patches, task.queries.ids(column), scoring) for level, column in LEVEL_COLUMN.items()
        }
        row = replace(scored.row, name=scored.row.name + suffix, scoring=scoring)
        fitted = () if suffix else scored.fitted  # recorded once
        yield replace(scored, row=row, by_level={Level.PATCH: patches, **coarser}, fitted=fitted)


def _pooled(folds: Sequence[Sequence[Scored]], names: Sequence[str], classes: int) -> Predicted:
    def level_of(draw: Sequence[Scored], level: Level) -> Predictions:
        parts = [scored.by_level[level] for scored in draw if level in scored.by_level]
        return pooled(parts) if len(parts) == len(draw) else Predictions.none(classes)

    fitted = [
        {"fold": name, **facts}
        for name, draws in zip(names, folds, strict=True)
        for scored in draws
        for facts in scored.fitted
    ]
    notices = [notice for draws in folds for scored in draws for notice in scored.notices]
    draws = tuple({level: level_of(draw, level) for level in LEVELS} for draw in zip(*folds, strict=True))
    return Predicted(draws, tuple(fitted), tuple(dict.fromkeys(notices)))
