"""The patches that a characteristic rests on: those of a unit that match it best, from as many sources as there are."""

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from hlss.explain.gauge import Gauge


def best_rows(
    gauge: Gauge,
    rows: Int64[ndarray, " r"],
    owners: Int64[ndarray, " r"],
    text: Float[ndarray, " d"],
    count: int,
) -> list[tuple[int, float]]:
    """At most `count` of these rows with their σ among all patches, the best first.

    owners: slide (of a class: patient) of each row; the best of every owner comes before the second best of any.
    """
    scores = gauge.scores(rows, text[:, None])[:, 0]
    order = np.argsort(-scores, kind="stable")
    turn = np.empty(len(order), np.int64)  # of each row among those of its owner
    by_owner = np.argsort(owners[order], kind="stable")
    starts = np.unique(owners[order][by_owner], return_index=True)[1]
    turn[by_owner] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    chosen = np.sort(np.lexsort((np.arange(len(order)), turn))[:count])
    middle, spread = float(gauge.mean @ text), float(gauge.spread(text[None])[0])
    return [(int(rows[order[i]]), (float(scores[order[i]]) - middle) / spread) for i in chosen]
