"""Settings and layers of the baselines as they come are those of their papers.

BYOL:    Grill et al., NeurIPS 2020, arXiv 2006.07733, "Implementation details".
VICReg:  Bardes, Ponce & LeCun, ICLR 2022, arXiv 2105.04906, §4.2.
SimCLR:  Chen et al., ICML 2020, arXiv 2002.05709: head §2.1, its width §2.3, τ Table 5.
SimSiam: Chen & He, CVPR 2021, arXiv 2011.10566, §3 "Baseline settings".
HiDisc:  Jiang et al., CVPR 2023, arXiv 2303.01605, and its released configuration.
"""

from typing import Any

import pytest
from torch import nn

from hlss.objectives.base import Given
from hlss.registry import OBJECTIVES

SETTINGS: dict[str, dict[str, Any]] = {
    "byol": {"momentum": 0.996, "hidden": 4096, "width": 256},
    "vicreg": {"invariance": 25.0, "variance": 25.0, "covariance": 1.0, "width": 8192},
    "simclr": {"tau": 0.1, "hidden": None, "width": 128},
    "simsiam": {"width": 2048, "hidden": 512},
    "hidisc": {"tau": 0.7, "width": 128},
}
NORMED = "Linear BatchNorm1d ReLU "
LAYERS: dict[tuple[str, str], tuple[str, list[int]]] = {  # by method and head: layers, and the widths between them
    ("byol", "projection"): (NORMED + "Linear", [64, 4096, 256]),
    ("byol", "predictor"): (NORMED + "Linear", [256, 4096, 256]),
    ("vicreg", "expander"): (NORMED * 2 + "Linear", [64, 8192, 8192, 8192]),
    ("simclr", "head"): ("Linear ReLU Linear", [64, 64, 128]),  # hidden: as wide as the feature
    ("simsiam", "projection"): (NORMED * 2 + "Linear BatchNorm1d", [64, 2048, 2048, 2048]),
    ("simsiam", "predictor"): (NORMED + "Linear", [2048, 512, 2048]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_the_papers(name: str):
    assert OBJECTIVES[name]().model_dump() == {"name": name, **SETTINGS[name]}


@pytest.mark.parametrize(("name", "head"), LAYERS)
def test_layers_are_the_papers(name: str, head: str):
    layers = list(getattr(OBJECTIVES[name]().build(Given(nn.Identity(), 64)), head))
    kinds, widths = LAYERS[name, head]
    assert [type(layer).__name__ for layer in layers] == kinds.split()
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    assert [linear[0].in_features, *(layer.out_features for layer in linear)] == widths
