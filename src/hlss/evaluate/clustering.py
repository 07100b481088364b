"""How features cluster by class, site, patient or slide: shares of nearest neighbours, and the same by chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped
from numpy import ndarray

from hlss.evaluate.knn import unit

LIMITS = (2.5, 97.5)  # percentiles of the share by chance


@dataclass(frozen=True)
class Clustering:
    """share: of the k nearest neighbours, those of the same kind, mean over patches. chance, low, high: mean and 95 %
    of the same with kinds dealt anew. n: patches asked; kinds: how many.
    """

    share: float
    chance: float
    low: float
    high: float
    n: int
    kinds: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "share": self.share,
            "chance": self.chance,
            "chance_interval": [self.low, self.high],
            "patches": self.n,
            "kinds": self.kinds,
        }


def clustering(
    features: Float[ndarray, "n d"],
    kinds: Shaped[ndarray, " n"],
    units: Shaped[ndarray, " n"],
    strata: Shaped[ndarray, " n"] | None = None,
    *,
    k: int,
    permutations: int,
    seed: int,
) -> Clustering | None:
    """Do neighbours by cosine (features less their mean) share a kind?

    units: neighbours are looked for among other units than a patch's own (other patients, say), and kinds are dealt
    anew to whole units, within strata where these are given. A unit has the kind and stratum of its first patch.
    Patches of kind "" are left out. None where nothing could be found: below two kinds, no kind of two units, or not
    more than k patches in other units. Memory O(n²).
    """
    known = np.flatnonzero(np.asarray(kinds, dtype=str) != "")
    kind, unit_of = _numbers(kinds[known]), _numbers(units[known])
    first = np.unique(unit_of, return_index=True)[1] if len(known) else np.empty(0, np.int64)
    of_unit = kind[first]
    if len(np.unique(of_unit)) < 2 or np.bincount(of_unit).max() < 2:
        return None
    near = _neighbours(unit(features[known], features[known].mean(axis=0)), unit_of, k)
    if near is None:
        return None
    stratum = np.zeros(len(first), np.int64) if strata is None else _numbers(strata[known])[first]
    rng = np.random.default_rng(seed)
    dealt = [_share(_dealt(of_unit, stratum, rng)[unit_of], near) for _ in range(permutations)]
    low, high = np.percentile(dealt, LIMITS)
    share = _share(of_unit[unit_of], near)
    return Clustering(share, float(np.mean(dealt)), float(low), float(high), len(known), len(np.unique(of_unit)))


def _neighbours(z: Float[ndarray, "n d"], units: Int64[ndarray, " n"], k: int) -> Int64[ndarray, "n k"] | None:
    """Rows of the k nearest of other units; None where some patch has fewer."""
    similarity = z @ z.T
    own: Bool[ndarray, "n n"] = units[:, None] == units[None, :]
    if (~own).sum(axis=1).min() < k:
        return None
    similarity[own] = -np.inf
    found: Int64[ndarray, "n k"] = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    return found


def _share(kind: Int64[ndarray, " n"], near: Int64[ndarray, "n k"]) -> float:
    return float((kind[near] == kind[:, None]).mean())


def _dealt(kind: Int64[ndarray, " u"], stratum: Int64[ndarray, " u"], rng: np.random.Generator) -> Int64[ndarray, " u"]:
    """The kinds of units in another order, within each stratum."""
    result = kind.copy()
    for number in np.unique(stratum):
        mine = np.flatnonzero(stratum == number)
        result[mine] = kind[rng.permutation(mine)]
    return result


def _numbers(names: Shaped[ndarray, " n"] | Sequence[str]) -> Int64[ndarray, " n"]:
    found: Int64[ndarray, " n"] = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.int64)
    return found
