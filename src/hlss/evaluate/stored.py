"""A scored fold as plain data: small enough to be kept in git, and enough to make every figure of it again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray
from pydantic import model_validator

from hlss.config import Part
from hlss.evaluate.predict import ScoredFold
from hlss.evaluate.scorer import Row, Scored
from hlss.evaluate.scores import Predictions, Scoring
from hlss.types import Level

# Steps of log-odds, finer where units are few. Of patches a probability then takes under a byte, and macro-AUROC of
# the phantom's 2000 moves by about 1e-4.
STEP = {Level.PATCH: 0.1, Level.SLIDE: 0.01, Level.PATIENT: 0.001}
_MOST = 1_000_000  # steps; log-odds of float64 stay within 750,000


class StoredUnits(Part):
    """Patches, slides or patients that were asked. patients: names; patient, truth: of each unit, as numbers."""

    names: tuple[str, ...]
    patients: tuple[str, ...]
    patient: tuple[int, ...]
    truth: tuple[int, ...]
    left_out: int

    @model_validator(mode="after")
    def _fit(self) -> "StoredUnits":
        if not len(self.names) == len(self.patient) == len(self.truth):
            raise ValueError("units, patients and classes are not equally many")
        if self.patient and not 0 <= min(self.patient) <= max(self.patient) < len(self.patients):
            raise ValueError("a unit's patient has no name")
        return self


class StoredScored(Part):
    """Of a scorer and draw, by level: number of the units, and log-odds of each class in steps (see `stepped`)."""

    name: str
    way: str
    k: int | None
    scoring: Scoring | None
    units: Mapping[Level, int]
    log_odds: Mapping[Level, tuple[tuple[int, ...], ...]]
    fitted: tuple[Mapping[str, Any], ...]
    notices: tuple[str, ...]


class StoredFold(Part):
    """All of a `ScoredFold`; units that several scorers were asked about stand once."""

    name: str
    classes: tuple[str, ...]
    bank_size: int
    fewest_patients: int
    patients: tuple[str, ...]
    notices: tuple[str, ...]
    units: tuple[StoredUnits, ...]
    scored: tuple[StoredScored, ...]

    @model_validator(mode="after")
    def _fit(self) -> "StoredFold":
        for one in self.scored:
            if set(one.units) != set(one.log_odds):
                raise ValueError(f"levels of {one.name} are not complete")
            for level, number in one.units.items():
                if not 0 <= number < len(self.units):
                    raise ValueError(f"{one.name} has no units at {level} level")
                columns, length = one.log_odds[level], len(self.units[number].names)
                if len(columns) != len(self.classes) or any(len(column) != length for column in columns):
                    raise ValueError(f"predictions of {one.name} at {level} level do not fit their units")
        if any(not 0 <= c < len(self.classes) for units in self.units for c in units.truth):
            raise ValueError("a unit has a class without a name")
        return self

    @classmethod
    def of(cls, fold: ScoredFold) -> "StoredFold":
        """This fold, its probabilities in steps."""
        units: list[StoredUnits] = []
        scored = tuple(_stored(one, units) for draws in fold.rows.values() for one in draws)
        return cls(
            name=fold.name,
            classes=fold.classes,
            bank_size=fold.bank_size,
            fewest_patients=fold.fewest_patients,
            patients=fold.patients,
            notices=fold.notices,
            units=tuple(units),
            scored=scored,
        )

    def fold(self) -> ScoredFold:
        """The fold again; equal, but that its probabilities are those of the steps and need not add up to 1."""
        rows: dict[Row, tuple[Scored, ...]] = {}
        for one in self.scored:
            row = Row(one.name, one.way, one.k, one.scoring)
            by_level = {
                level: _predictions(self.units[one.units[level]], columns, STEP[level])
                for level, columns in one.log_odds.items()
            }
            rows[row] = (*rows.get(row, ()), Scored(row, by_level, one.fitted, one.notices))
        return ScoredFold(
            self.name, self.classes, self.bank_size, self.fewest_patients, self.patients, self.notices, rows
        )


def stepped(probabilities: Float[ndarray, "n c"], step: float) -> Int64[ndarray, "n c"]:
    """Log-odds in whole steps. The two most probable classes of each unit stay the same, in the same order:
    where rounding makes them equal to others, they are raised by a step or two.
    """
    with np.errstate(divide="ignore"):
        odds = np.log(probabilities) - np.log1p(-np.minimum(probabilities, 1.0))
    steps = np.clip(np.round(odds / step), -_MOST, _MOST).astype(np.int64)
    first, second = _two_best(probabilities).T
    moved = np.flatnonzero((_two_best(steps) != np.stack([first, second], axis=1)).any(axis=1))
    steps[moved, first[moved]] += 2
    steps[moved, second[moved]] += 1
    return steps


def _two_best(values: ndarray) -> Int64[ndarray, "n 2"]:
    found: Int64[ndarray, "n 2"] = np.argsort(-values, axis=1, kind="stable")[:, :2]
    return found


def _stored(one: Scored, units: list[StoredUnits]) -> StoredScored:
    """units: what is stored already; new ones are added."""
    numbers, log_odds = {}, {}
    for level, found in one.by_level.items():
        asked = _units(found)
        if asked not in units:
            units.append(asked)
        numbers[level] = units.index(asked)
        log_odds[level] = tuple(tuple(column) for column in stepped(found.probabilities, STEP[level]).T.tolist())
    row = one.row
    return StoredScored(
        name=row.name,
        way=row.way,
        k=row.k,
        scoring=row.scoring,
        units=numbers,
        log_odds=log_odds,
        fitted=one.fitted,
        notices=one.notices,
    )


def _units(found: Predictions) -> StoredUnits:
    patients, patient = np.unique(found.patient.astype(str), return_inverse=True)
    return StoredUnits(
        names=tuple(found.unit.astype(str).tolist()),
        patients=tuple(patients.tolist()),
        patient=tuple(patient.tolist()),
        truth=tuple(found.truth.tolist()),
        left_out=found.left_out,
    )


def _predictions(units: StoredUnits, columns: Sequence[Sequence[int]], step: float) -> Predictions:
    odds = step * np.array(columns, dtype=np.float64).reshape(len(columns), -1).T
    probabilities = np.exp(-np.logaddexp(0, -odds))
    patients = np.array(units.patients, dtype=str)[np.array(units.patient, dtype=np.int64)]
    truth = np.array(units.truth, dtype=np.int64)
    return Predictions(probabilities, truth, patients, np.array(units.names, dtype=str), units.left_out)
