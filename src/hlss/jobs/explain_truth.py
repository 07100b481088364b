"""Whether what is said of units of drawn tissue is true, by what was drawn."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from hlss.cohorts.phantom.factors import INDEX
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.errors import UserError
from hlss.explain.gauge import Gauge
from hlss.explain.sides import Halves
from hlss.explain.thirds import shares_below, third
from hlss.jobs.explain_sources import Source
from hlss.jobs.setup import Say
from hlss.jobs.truth import WHOLE_SLIDE, asked_of
from hlss.language.factors import Truth, truth_of
from hlss.types import Level

DISTRACTOR = "distractor"
JUDGED = ("true", "middle", "false", DISTRACTOR)
SMALL = 0.2  # standard deviations, below which two sides count as drawn alike
_CLASS = "class"


class Judged(NamedTuple):
    """said: one of JUDGED, or None where it is not known. share: of units of the kind that have less of it."""

    said: str | None
    share: float | None

    def to_json(self) -> dict[str, Any]:
        return {"truth": self.said, "truth_share_below": self.share}


UNJUDGED = Judged(None, None)


def unasked(source: Source, bank: str) -> str | None:
    """Why what was drawn cannot stand beside a source: what must be said of it, empty where its tissue was not drawn;
    None where it can.
    """
    if not isinstance(source.experiment.cohort, PhantomSpec):
        return ""
    try:
        truth_of(bank)
    except UserError as error:
        return f"truth is not asked: {error}"
    if source.table.provenance.get("config_hash") != source.experiment.hash:
        return "truth is not asked: the table was embedded with other settings than the run's"
    return None


class DrawnTruth:
    """Of units of a table of drawn tissue; a unit's truth is the mean over those of its patches where it is known."""

    def __init__(self, source: Source, bank: str, gauge: Gauge) -> None:
        """Raises UserError where the cohort lacks a patch of the table."""
        self._gauge, self._meant = gauge, truth_of(bank)
        self._of_patches = asked_of(source.table, source.experiment.cohort.open(), "all").truth
        self._shares: dict[tuple[str, str, str], Float64[ndarray, " u"]] = {}
        self.labels = sorted(set(gauge.table["label"].tolist()) - {""})

    def of_unit(self, level: Level, number: int, name: str) -> Judged:
        """A characteristic of a level's bank, of one of its units (of patches: a row)."""
        return self._judged(level, number, self._meant[level][name])

    def of_class(self, label: str, bank_level: Level, name: str) -> Judged:
        """A characteristic of a class, among all classes."""
        return self._judged(_CLASS, self.labels.index(label), self._meant[bank_level][name])

    def difference(self, halves: Halves, bank_level: Level, name: str) -> float | None:
        """Mean of A less mean of B of what a characteristic names, in standard deviations over all patches; None where
        it is not known, or names nothing.
        """
        meant = self._meant[bank_level][name]
        if meant.factor is None or meant.end is None:
            return None
        values = self._of_patches[:, INDEX[meant.factor]]
        known = np.isfinite(values)
        parts = [values[half & known] for half in halves]
        spread = float(values[known].std()) if known.any() else 0.0
        if not all(map(len, parts)) or spread == 0:
            return None
        found = float(parts[0].mean() - parts[1].mean()) / spread
        return found if meant.end == "high" else -found

    def of_difference(self, halves: Halves, bank_level: Level, name: str, sigma: float) -> Judged:
        """Of a characteristic that is said to differ by sigma: true where what was drawn differs the same way, by
        at least SMALL; false where the other way.
        """
        if self._meant[bank_level][name].factor is None:
            return Judged(DISTRACTOR, None)
        drawn = self.difference(halves, bank_level, name)
        if drawn is None:
            return UNJUDGED
        return Judged("middle" if abs(drawn) < SMALL else "true" if drawn * sigma > 0 else "false", None)

    def every(self, level: Level, numbers: Iterable[int]) -> Counter[str]:
        """How many of all characteristics of all these units are what: what one would hit blindly."""
        return counted(self.of_unit(level, number, name) for number in numbers for name in self._meant[level])

    def _judged(self, kind: str, number: int, meant: Truth) -> Judged:
        if meant.factor is None or meant.end is None:
            return Judged(DISTRACTOR, None)
        if kind == Level.PATCH and meant.factor in WHOLE_SLIDE:
            return UNJUDGED
        key = (str(kind), meant.factor, meant.end)
        if key not in self._shares:
            self._shares[key] = shares_below(self._values(kind, INDEX[meant.factor]), meant.end)
        share = float(self._shares[key][number])
        said = third(share)
        return Judged(said, None if said is None else share)

    def _values(self, kind: str, factor: int) -> Float64[ndarray, " u"]:
        values = self._of_patches[:, factor]
        if kind == Level.PATCH:
            return values
        member, units = self._members(kind)
        kept = np.isfinite(values) & (member >= 0)
        sums, counts = (np.bincount(member[kept], weights, minlength=units) for weights in (values[kept], None))
        return np.divide(sums, counts, out=np.full(units, np.nan), where=counts > 0)

    def _members(self, kind: str) -> tuple[Int64[ndarray, " n"], int]:
        """Unit of each patch (−1: none), and how many there are."""
        gauge = self._gauge
        if kind == _CLASS:
            place: Mapping[str, int] = {label: number for number, label in enumerate(self.labels)}
            return np.array([place.get(label, -1) for label in gauge.table["label"].tolist()]), len(self.labels)
        member = gauge.slide if kind == Level.SLIDE else gauge.slide_patient[gauge.slide]
        return member, len(gauge.names(Level(kind)))


def drawn_truth(source: Source, bank: str, gauge: Gauge, say: Say) -> tuple[DrawnTruth | None, list[str]]:
    """None where it is not known, with what must be said of that."""
    reason = unasked(source, bank)
    if reason is not None:
        return None, [reason] if reason else []
    say(f"  looking up what was drawn in {len(gauge)} patches")
    return DrawnTruth(source, bank, gauge), []


def counted(judged: Iterable[Judged]) -> Counter[str]:
    """How many are what, of those whose truth is known."""
    return Counter(one.said for one in judged if one.said is not None)
