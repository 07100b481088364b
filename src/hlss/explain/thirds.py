"""Whether what is said of a unit is so: where it stands among all units of its kind in what the words name."""

from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

Third = Literal["true", "middle", "false"]
_UPPER, _LOWER = 2 / 3, 1 / 3


def shares_below(values: Float64[ndarray, " u"], end: str) -> Float64[ndarray, " u"]:
    """Of each unit, the share of all that have less of a factor (end `low`: more of it), equal ones counted half.

    NaN where a unit's value is unknown; unknown ones count as none.
    """
    known = np.isfinite(values)
    ordered = np.sort(values[known])
    below, up_to = (np.searchsorted(ordered, values[known], side=side) for side in ("left", "right"))
    result = np.full(len(values), np.nan)
    result[known] = (below + up_to) / 2 / max(len(ordered), 1)
    return result if end == "high" else 1 - result


def third(share: float) -> Third | None:
    """true: the unit is in the third that has most of it; false: in the third that has least; None: unknown."""
    if not np.isfinite(share):
        return None
    return "true" if share >= _UPPER else "false" if share <= _LOWER else "middle"
