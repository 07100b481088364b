"""timm backbones: weights from files, and the projection to the text dimension."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from torch import Tensor

from hlss.encoders.timm import Timm, TimmEncoder
from hlss.encoders.torchvision_guard import import_guarded
from hlss.errors import UserError

SMALL = "resnet10t.c3_in1k"  # the smallest ResNet of timm


@pytest.fixture(scope="module")
def small() -> TimmEncoder:
    """Random weights, projected to 24 dimensions, 64 px."""
    return Timm(architecture=SMALL, dim=24, input_px=64, seed=3).build().eval()


@pytest.fixture
def features() -> Tensor:
    """100 features of 512 numbers, with a mean and unequal axes."""
    draw = torch.Generator().manual_seed(7)
    return torch.randn(100, 512, generator=draw) * torch.linspace(3, 0.1, 512) + 2


def test_projection_is_sklearns_pca_up_to_sign(features: Tensor):
    encoder = Timm(architecture=SMALL, dim=24).build()
    assert encoder.wants_features()
    encoder.fit_projection(features)
    assert not encoder.wants_features()
    assert encoder.projection is not None
    with torch.no_grad():
        ours = encoder.projection(features).numpy()
    theirs = PCA(24, svd_solver="full").fit_transform(features.double().numpy())
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-3)
    assert abs(ours.mean(axis=0)).max() < 1e-4


def test_with_fewer_features_than_dimensions_the_axes_stay_orthonormal(features: Tensor):
    encoder = Timm(architecture=SMALL, dim=24).build()
    encoder.fit_projection(features[:10])
    assert encoder.projection is not None
    weight = encoder.projection.weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(24), rtol=1e-5, atol=1e-5)


def test_a_projection_wider_than_the_features_is_refused(features: Tensor):
    encoder = Timm(architecture=SMALL, dim=600).build()
    with pytest.raises(UserError, match="features of 512 numbers cannot be projected to 600"):
        encoder.fit_projection(features)


def test_a_placed_projection_stays_placed_in_a_checkpoint(features: Tensor):
    encoder, restored = (Timm(architecture=SMALL, dim=24, seed=seed).build() for seed in (0, 1))
    encoder.fit_projection(features)
    restored.load_state_dict(encoder.state_dict())
    assert not restored.wants_features()


def test_before_that_the_projection_is_orthogonal_and_of_its_seed(small: TimmEncoder):
    assert small.projection is not None
    weight = small.projection.weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(24), rtol=1e-5, atol=1e-5)
    again = Timm(architecture=SMALL, dim=24, input_px=64, seed=3).build()
    assert all(torch.equal(a, b) for a, b in zip(small.state_dict().values(), again.state_dict().values(), strict=True))


def test_forward_is_the_projection_of_the_features(small: TimmEncoder, pixels: Tensor):
    with torch.no_grad():
        ready = small.normalised(pixels)
        features = small.features(ready)
        assert features.shape == (3, 512)
        assert small.projection is not None
        torch.testing.assert_close(small(ready), small.projection(features))


def test_normalisation_is_the_models_own():
    encoder = Timm(architecture=SMALL).build()
    gray = torch.full((1, 3, 2, 2), 0.5)
    expected = (torch.tensor([0.5] * 3) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(encoder.normalised(gray)[0, :, 0, 0], expected)


def test_without_dim_nothing_is_fresh():
    encoder = Timm(architecture=SMALL).build()
    assert (encoder.dim, encoder.fresh_parameters(), encoder.wants_features()) == (512, [], False)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_local_weights_come_back_without_their_classifier(suffix: str, tmp_path: Path, offline: None):
    timm = import_guarded("timm")
    torch.manual_seed(11)
    whole = timm.create_model(SMALL)
    path = tmp_path / f"mine.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": {f"module.{k}": w for k, w in whole.state_dict().items()}}, path)
    else:
        save_file(whole.state_dict(), path)
    spec = Timm(architecture=SMALL, weights=path)
    assert spec.notices == ()
    loaded = spec.build().backbone.state_dict()
    assert all(torch.equal(w, whole.state_dict()[name]) for name, w in loaded.items())


def test_weights_that_do_not_fit_are_listed(tmp_path: Path):
    timm = import_guarded("timm")
    save_file(timm.create_model("resnet18", num_classes=0).state_dict(), tmp_path / "r18.safetensors")
    with pytest.raises(
        UserError, match=r"r18\.safetensors: weights of another model: missing .* and \d+ more; unknown"
    ):
        Timm(architecture=SMALL, weights=tmp_path / "r18.safetensors").build()


def test_bad_settings_are_refused(tmp_path: Path, offline: None):
    with pytest.raises(UserError, match=r"timm has no model 'resnet5o'\. Near: .*resnet50"):
        Timm(architecture="resnet5o").build()
    with pytest.raises(ValidationError, match="not both"):
        Timm(pretrained=True, weights=tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"encoder\.input_px=96: this backbone takes 224 px alone"):
        Timm(architecture="vit_tiny_patch16_224", input_px=96).build()


def test_random_weights_say_so():
    assert Timm(architecture=SMALL).notices == (f"image tower {SMALL} has random weights",)


@pytest.mark.parametrize(
    ("architecture", "count"), [(SMALL, 5), ("tf_efficientnet_lite0", 9), ("vit_tiny_patch16_224", 14)]
)
def test_stages_hold_every_module_once_in_order(architecture: str, count: int):
    encoder = Timm(architecture=architecture).build()
    stages = encoder.stages()
    assert len(stages) == count
    found = [id(p) for stage in stages for module in stage for p in module.parameters()]
    own = [id(p) for module in encoder.backbone.children() for p in module.parameters()]
    assert found == own


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_050", "efficientvit_b0"])
def test_heads_that_widen_the_features_are_counted(architecture: str, pixels: Tensor):
    encoder = Timm(architecture=architecture, input_px=64).build().eval()
    with torch.no_grad():
        assert encoder(encoder.normalised(pixels)).shape == (3, encoder.dim)
