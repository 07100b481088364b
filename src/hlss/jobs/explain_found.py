"""What `hlss explain` found, and how it stands in explanations.json."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from hlss.errors import UserError
from hlss.evaluate.intervals import Interval
from hlss.explain.alignment_matrix import Alignment
from hlss.explain.blocks import interval_of
from hlss.explain.profile import Profile
from hlss.jobs import truth
from hlss.jobs.explain_sources import ExplainSpec, Source
from hlss.jobs.provenance import provenance
from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.factors import truth_of
from hlss.language.markers import MarkerSet
from hlss.types import LEVELS, Level

KEPT, DIGITS = 10, 5  # characteristics of each class and level, and digits, that are written


@dataclass(frozen=True, eq=False)
class Explained:
    """All that was found of one table; None where it was not asked for, or cannot be."""

    source: Source
    classes: tuple[str, ...]
    alignment: Mapping[Level, Alignment] | None
    profile: Mapping[Level, Profile] | None
    agreement: truth.Measured | None
    notices: tuple[str, ...]


def to_json(
    found: Sequence[Explained], spec: ExplainSpec, markers: MarkerSet | None, bank: str | None
) -> dict[str, Any]:
    """All of it, figures cut to DIGITS: a file that can be committed beside what is said of it."""
    first, described = found[0], None if bank is None else read_bank(bank)
    return {
        "settings": spec.model_dump(mode="json"),
        "markers": None if markers is None else facts_of(markers.name, markers),
        "bank": None if described is None else facts_of(described.title, described),
        "distractors": list(distractors_of(bank)),
        "compared_with": first.source.name,
        "tables": [cut(_table_json(one, None if one is first else first, max(KEPT, spec.top))) for one in found],
        "provenance": provenance(),
    }


def distractors_of(bank: str | None) -> tuple[str, ...]:
    """Characteristics of a bank that name nothing that is drawn; empty where nobody knows what it stands for."""
    if bank is None:
        return ()
    with suppress(UserError):
        return tuple(name for of_level in truth_of(bank).values() for name, true in of_level.items() if not true.factor)
    return ()


def facts_of(name: str, words: MarkerSet | DescriptionBank) -> dict[str, str]:
    return {"name": name, "status": words.status, "fingerprint": words.fingerprint}


def _table_json(one: Explained, first: Explained | None, kept: int) -> dict[str, Any]:
    return {
        "name": one.source.name,
        "aligned": one.source.aligned,
        "notices": list(one.notices),
        "classes": list(one.classes),
        "alignment": None if one.alignment is None else {level: a.to_json() for level, a in one.alignment.items()},
        "profile": None
        if one.profile is None
        else {level: p.to_json(one.classes, kept) for level, p in one.profile.items()},
        "agreement": None if one.agreement is None else one.agreement.to_json(),
        "less_first": None if first is None else _less(one, first),
        "run": one.source.run_facts,
        "provenance": dict(one.source.table.provenance),
    }


def _less(one: Explained, first: Explained) -> dict[str, Any]:
    """Effect sizes and agreement less those of the first table, paired by patient; None where patients differ."""
    found: dict[str, Any] = {}
    if one.alignment is not None and first.alignment is not None:
        for level in LEVELS:
            ours, theirs = one.alignment[level], first.alignment[level]
            same = ours.patients == theirs.patients
            found[level] = _difference(ours.effect, theirs.effect, ours.resampled, theirs.resampled) if same else None
    if one.agreement is not None and first.agreement is not None and one.agreement.patients == first.agreement.patients:
        enough = one.agreement.interval() is not None
        for measure in truth.MEASURED:
            found[measure] = _difference(
                one.agreement.mean(measure),
                first.agreement.mean(measure),
                one.agreement.mean_resampled(measure) if enough else None,
                first.agreement.mean_resampled(measure) if enough else None,
            )
    return found


def _difference(
    ours: float | None, theirs: float | None, our_draws: np.ndarray | None, their_draws: np.ndarray | None
) -> dict[str, Any] | None:
    if ours is None or theirs is None:
        return None
    interval: Interval | None = None
    if our_draws is not None and their_draws is not None:
        interval = interval_of(our_draws - their_draws)
    return {"mean": ours - theirs, "interval": None if interval is None else [interval.low, interval.high]}


def cut(value: Any) -> Any:
    """The same with every fraction at DIGITS digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: cut(inner) for key, inner in value.items()}
    return [cut(inner) for inner in value] if isinstance(value, list | tuple) else value
