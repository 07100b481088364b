"""Does the class of a patient hang on the site? Cramér's V beside what chance alone gives."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from hlss.cohorts.base import Cohort

PERMUTATIONS = 999
LEVEL = 0.05  # of p, below which the words say that class hangs on site


@dataclass(frozen=True)
class Association:
    """v: Cramér's V of class and site over patients that have one of each; None where there is nothing to compare.

    chance: the mean V of classes permuted over patients, which is high where sites have few patients each.
    p: share of permutations (with the one found) whose V is as high. patients: how many were asked. words: what that
    means.
    """

    v: float | None
    chance: float | None
    p: float | None
    patients: int
    words: str


def sites_and_classes(cohort: Cohort, seed: int = 0) -> Association:
    """Association of site and class over patients; deterministic in `seed`."""
    known = (cohort.patient_label >= 0) & (cohort.patient_site >= 0)
    label, site = _dense(cohort.patient_label[known]), _dense(cohort.patient_site[known])
    n, classes, sites = len(label), _count(label), _count(site)
    if classes < 2 or sites < 2:
        return Association(None, None, None, n, _too_few(cohort, n, classes, sites))
    v = cramers_v(label, site)
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = np.array([cramers_v(rng.permutation(label), site) for _ in range(PERMUTATIONS)])
    p = (1 + int((drawn >= v - 1e-12).sum())) / (1 + PERMUTATIONS)
    return Association(v, float(drawn.mean()), p, n, _words(_table(label, site), p))


def cramers_v(label: Int64[ndarray, " n"], site: Int64[ndarray, " n"]) -> float:
    """√(χ² / (n · (min(rows, columns) − 1))) of two numberings without gaps; 0 where one of them is constant."""
    table = _table(label, site)
    rows, columns = table.shape
    if min(rows, columns) < 2:
        return 0.0
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi2 / (table.sum() * (min(rows, columns) - 1))))


def _table(label: ndarray, site: ndarray) -> Float64[ndarray, "c s"]:
    """How many patients of each class and site."""
    classes, sites = _count(label), _count(site)
    return np.bincount(label * sites + site, minlength=classes * sites).reshape(classes, sites).astype(np.float64)


def _words(table: Float64[ndarray, "c s"], p: float) -> str:
    alone = int((table.sum(0) == 1).sum())
    if alone == table.shape[1]:
        return "every patient has a site of its own: nothing can be said of sites"
    if ((table > 0).sum(0) == 1).all():
        return "every site has one class: site predicts the class"
    if p < LEVEL:
        pure = int((((table > 0).sum(0) == 1) & (table.sum(0) > 1)).sum())
        more = f"; {pure} of {table.shape[1]} sites have patients of one class only" if pure else ""
        return f"class hangs on site, more than chance would have it{more}"
    return "no sign that class hangs on site"


def _too_few(cohort: Cohort, n: int, classes: int, sites: int) -> str:
    if not cohort.sites:
        return "no sites are known"
    if not cohort.classes:
        return "no classes are known"
    return f"nothing to compare: {n} patients with one class and one site each, of {classes} classes at {sites} sites"


def _count(numbers: ndarray) -> int:
    return int(numbers.max()) + 1 if len(numbers) else 0


def _dense(numbers: ndarray) -> Int64[ndarray, " n"]:
    """The same numbering without gaps."""
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)
