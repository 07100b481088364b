"""Units that are made up, so that what they are near to is known."""

from collections.abc import Callable

import numpy as np
import pytest

from hlss.evaluate.units import Units

MakeUnits = Callable[..., Units]


@pytest.fixture(scope="session")
def make_units() -> MakeUnits:
    """make_units(directions, patients, each, noise, seed): units of each patient along its class's direction.

    Patient number p has class p modulo the number of directions; each: units a patient has, plus p modulo 3.
    """

    def make(directions: np.ndarray, patients: int, each: int, noise: float, seed: int = 0) -> Units:
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(patients), [each + p % 3 for p in range(patients)])
        labels = patient % len(directions)
        rows = directions[labels] + noise * rng.standard_normal((len(labels), directions.shape[1]))
        names = np.array([f"p{p:03d}" for p in patient])
        return Units(rows.astype(np.float32), labels, names, np.arange(len(labels)), 0)

    return make
