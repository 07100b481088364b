"""What the paper reports, as far as it is at hand: beside ours in a table, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hlss.types import LEVELS, Level

PaperName = Literal["table1", "table3"]


@dataclass(frozen=True)
class PaperTable:
    """source: what the figures are of; accuracy: by method (an experiment's name) and level, in %."""

    source: str
    accuracy: Mapping[str, Mapping[Level, float]]


def _by_level(patch: float, slide: float, patient: float) -> dict[Level, float]:
    return dict(zip(LEVELS, (patch, slide, patient), strict=True))


_HLSS = _by_level(84.1, 89.5, 91.7)

PAPER: Mapping[PaperName, PaperTable] = {
    "table1": PaperTable(
        "OpenSRH, kNN (Watawana et al. 2024, Table 1)",
        {
            "supervised": _by_level(88.9, 89.0, 93.9),
            "simclr": _by_level(81.0, 82.1, 87.8),
            "simsiam": _by_level(80.3, 81.4, 86.0),
            "byol": _by_level(83.5, 84.3, 90.5),
            "vicreg": _by_level(82.1, 83.4, 87.4),
            "hidisc": _by_level(82.2, 87.6, 88.3),
            "hlss": _HLSS,
        },
    ),
    "table3": PaperTable(
        "OpenSRH, kNN (Watawana et al. 2024, Table 3)",
        {"hvc": _by_level(82.6, 89.5, 91.7), "hlss": _HLSS},
    ),
}
