"""The mean of overlapping tiles at a place of the slide, as a plain loop of float64."""

import numpy as np


def by_the_formula(corners: np.ndarray, side: int, step: int, values: np.ndarray, x: float, y: float) -> float:
    """At one place of the slide: tiles that cover it, by the product of how near their middles are on either axis."""
    total = weight = 0.0
    for (left, top), value in zip(corners.tolist(), values.tolist(), strict=True):
        away = abs(left + side / 2 - x), abs(top + side / 2 - y)
        if max(away) < side / 2:
            own = (1 - away[0] / (side / 2 + step / 2)) * (1 - away[1] / (side / 2 + step / 2))
            total, weight = total + own * value, weight + own
    return total / weight if weight else float("nan")
