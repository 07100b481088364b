"""Patients on sides (train, val, test): given by the data or drawn, always whole patients."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import Field, model_validator

from hlss.cohorts.base import Cohort
from hlss.config import Part
from hlss.errors import UserError

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")
GIVEN: dict[str, Side] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class SplitSpec(Part):
    """How patients are split.

    kind:     given (the manifest's column `split`), random, kfold, or leave_one_patient_out.
    fold:     which fold is the test side (kfold), or which patient in order of id (leave_one_patient_out).
    folds:    how many folds (kfold).
    test:     share of patients on the test side (random); 1: all, of a cohort that is only asked about.
    val:      share of the other patients that become the val side; their draw depends on the fold too.
    stratify: give every side its share of each class (of the patient's one label).
    by_site:  keep all patients of a site on one side (classes and sizes then come out as near as sites permit).
    """

    kind: Literal["given", "random", "kfold", "leave_one_patient_out"] = "random"
    fold: int = Field(default=0, ge=0)
    folds: int = Field(default=5, ge=2)
    test: float = Field(default=0.2, ge=0, le=1)
    val: float = Field(default=0.0, ge=0, lt=1)
    seed: int = 0
    stratify: bool = True
    by_site: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "SplitSpec":
        if self.kind == "kfold" and self.fold >= self.folds:
            raise ValueError(f"fold={self.fold} must lie in 0..{self.folds - 1} (folds={self.folds})")
        if self.kind == "leave_one_patient_out" and self.by_site:
            raise ValueError("by_site needs kind kfold or random: one patient alone is seldom a whole site")
        return self

    @property
    def unit_name(self) -> str:
        return "groups of patients that share sites" if self.by_site else "patients"


@dataclass(frozen=True)
class _Unit:
    """Patients that must stay together, and the class most of them have."""

    patients: tuple[str, ...]
    stratum: str


def split(cohort: Cohort, spec: SplitSpec) -> dict[str, Cohort]:
    """The cohorts of each side, in the order train, val, test; a side without patients is absent.

    Raises UserError where `assign` does.
    """
    sides = assign(cohort, spec)
    numbers = {side: [p for p, patient in enumerate(cohort.patients) if sides[patient] == side] for side in SIDES}
    return {side: cohort.keep_patients(chosen) for side, chosen in numbers.items() if chosen}


def assign(cohort: Cohort, spec: SplitSpec) -> dict[str, Side]:
    """Side of each patient id: a pure function of ids, labels, sites and settings, whatever the order of rows.

    Raises UserError where the data has no or an unknown split to be given, where there are fewer patients (or, by
    site, groups) than folds, and where a side that is asked for would be empty.
    """
    units = _site_groups(cohort, spec) if spec.by_site else _single_patients(cohort, spec)
    if spec.kind == "given":
        sides = _given(cohort, units)
    elif spec.kind == "leave_one_patient_out":
        sides = _left_out(cohort, spec)
    elif spec.kind == "kfold":
        sides = _folded(units, spec)
    else:
        sides = _drawn(units, "test", spec.test, f"{spec.seed}", spec)
    if spec.val > 0:
        if "val" in sides.values():
            raise UserError("the data gives a val side already", where="split.val", fix="Set split.val=0.")
        left = [unit for unit in units if sides[unit.patients[0]] == "train"]
        sides |= _drawn(left, "val", spec.val, f"{spec.seed} val {spec.fold}", spec)
    return sides


def _given(cohort: Cohort, units: Sequence[_Unit]) -> dict[str, Side]:
    where, fix = f"{cohort.name}, column `split`", "Fill it with train, val or test, or draw a split (split.kind)."
    sides: dict[str, Side] = {}
    for patient, number in zip(cohort.patients, cohort.patient_split.tolist(), strict=True):
        name = cohort.splits[number] if number >= 0 else ""
        if name.lower() not in GIVEN:
            what = f"patient {patient!r} is in {name!r}, which is no side" if name else f"{patient!r} has no split"
            raise UserError(what, where=where, fix=fix)
        sides[patient] = GIVEN[name.lower()]
    for unit in units:
        if len({sides[patient] for patient in unit.patients}) > 1:
            what = f"patients {', '.join(unit.patients[:3])} share a site and stand on several sides"
            raise UserError(what, where=where, fix="Set split.by_site=false or correct the column.")
    return sides


def _left_out(cohort: Cohort, spec: SplitSpec) -> dict[str, Side]:
    if spec.fold >= len(cohort.patients) or len(cohort.patients) < 2:
        fix = f"Folds 0 to {len(cohort.patients) - 1} leave one out, of two patients at least."
        what = f"fold {spec.fold} of {len(cohort.patients)} patients cannot be left out"
        raise UserError(what, where="split.fold", fix=fix)
    return {patient: "test" if i == spec.fold else "train" for i, patient in enumerate(sorted(cohort.patients))}


def _folded(units: Sequence[_Unit], spec: SplitSpec) -> dict[str, Side]:
    if len(units) < spec.folds:
        what = f"{len(units)} {spec.unit_name} are too few for {spec.folds} folds"
        raise UserError(what, where="split.folds", fix="Choose fewer folds.")
    dealt = _deal(units, [Fraction(1, spec.folds)] * spec.folds, f"{spec.seed}")
    return {patient: "test" if fold == spec.fold else "train" for patient, fold in dealt.items()}


def _drawn(units: Sequence[_Unit], side: Side, share: float, seed: str, spec: SplitSpec) -> dict[str, Side]:
    """`share` of the patients on `side`, the others on train."""
    part = Fraction(str(share))
    sides: dict[str, Side] = {p: side if i == 0 else "train" for p, i in _deal(units, [part, 1 - part], seed).items()}
    if 0 < share < 1 and set(sides.values()) != {side, "train"}:
        what = f"{side}={share:g} of {len(units)} {spec.unit_name} leaves a side empty"
        raise UserError(what, where=f"split.{side}", fix="Change the share, or add patients.")
    return sides


def _deal(units: Sequence[_Unit], shares: Sequence[Fraction], seed: str) -> dict[str, int]:
    """Number of the side of each patient. Units come in order of class, drawn within it; each goes to the side that
    lacks most of its share so far. Single patients thus come out within one of a side's share of each class, and of
    all; fractions keep ties exact.
    """
    lacks = [Fraction(0)] * len(shares)
    result: dict[str, int] = {}
    for unit in sorted(units, key=lambda unit: (unit.stratum, _lot(seed, unit.patients[0]))):
        size = len(unit.patients)
        lacks = [lack + share * size for lack, share in zip(lacks, shares, strict=True)]
        side = max(range(len(shares)), key=lacks.__getitem__)
        lacks[side] -= size
        result |= dict.fromkeys(unit.patients, side)
    return result


def _lot(seed: str, patient: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{patient}".encode()).digest()


def _single_patients(cohort: Cohort, spec: SplitSpec) -> list[_Unit]:
    return [
        _Unit((patient,), stratum)
        for patient, stratum in sorted(zip(cohort.patients, _strata(cohort, spec), strict=True))
    ]


def _site_groups(cohort: Cohort, spec: SplitSpec) -> list[_Unit]:
    """Patients joined by any chain of shared sites."""
    group = list(range(len(cohort.patients)))  # each patient points to another of its group, at last to its head

    def head(patient: int) -> int:
        while group[patient] != patient:
            group[patient] = patient = group[group[patient]]
        return patient

    first_at: dict[int, int] = {}
    image_patient = cohort.slide_patient[cohort.image_slide]
    for patient, site in sorted(set(zip(image_patient.tolist(), cohort.image_site.tolist(), strict=True))):
        if site < 0:
            what = f"patient {cohort.patients[patient]!r} has an image without a site, and by_site is set"
            raise UserError(what, where=cohort.name, fix="Fill the column `site`, or set split.by_site=false.")
        group[head(patient)] = head(first_at.setdefault(site, patient))
    members: dict[int, list[int]] = {}
    for patient in range(len(cohort.patients)):
        members.setdefault(head(patient), []).append(patient)
    strata = _strata(cohort, spec)
    units = []
    for patients in members.values():
        common = Counter(strata[patient] for patient in patients).most_common()
        stratum = min(name for name, count in common if count == common[0][1])
        units.append(_Unit(tuple(sorted(cohort.patients[patient] for patient in patients)), stratum))
    return units


def _strata(cohort: Cohort, spec: SplitSpec) -> list[str]:
    if not spec.stratify:
        return [""] * len(cohort.patients)
    return [cohort.classes[label] if label >= 0 else "" for label in cohort.patient_label.tolist()]
