"""timm backbones: projections placed by PCA, weights from files, stages; EfficientNet-Lite0 and MiniLM for real."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.decomposition import PCA

from hlss.encoders.huggingface import HuggingFace, MiniLM
from hlss.encoders.lite0 import Lite0
from hlss.encoders.timm import Timm
from hlss.encoders.torchvision_guard import guard_torchvision, import_torchvision
from hlss.errors import UserError

SMALL = {"architecture": "resnet18", "input_px": 64}


def test_projection_is_a_centred_pca_of_the_features():
    encoder = Timm(**SMALL, dim=5).build()
    assert encoder.wants_features()
    scales = torch.linspace(3, 0.1, 512)
    features = torch.randn(400, 512, generator=torch.Generator().manual_seed(0)) * scales + 2
    encoder.fit_projection(features)
    assert not encoder.wants_features()
    found = encoder.projection(features).detach().numpy()
    expected = PCA(5, svd_solver="full").fit_transform(features.numpy())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3)
    assert [p.shape for p in encoder.fresh_parameters()] == [(5, 512), (5,)]


def test_fewer_features_than_dimensions_are_filled_up_orthogonally():
    encoder = Timm(**SMALL, dim=20).build()
    encoder.fit_projection(torch.randn(8, 512, generator=torch.Generator().manual_seed(0)))
    gram = encoder.projection.weight @ encoder.projection.weight.T
    torch.testing.assert_close(gram, torch.eye(20), atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="cannot be projected to 20"):
        encoder.fit_projection(torch.randn(30, 10))


def test_stages_go_from_stem_to_depth():
    stages = Timm(**SMALL).build().stages()
    assert len(stages) == 5
    assert sum(p.numel() for m in stages[0] for p in m.parameters()) < sum(p.numel() for m in stages[4] for p in m.parameters())


def test_local_weights_round_trip_and_misfits_are_listed(tmp_path):
    source = Timm(**SMALL, seed=1).build()
    save_file({f"module.{k}": v for k, v in source.backbone.state_dict().items()}, tmp_path / "w.safetensors")
    loaded = Timm(**SMALL, weights=tmp_path / "w.safetensors").build()
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), loaded.parameters(), strict=True))
    with pytest.raises(UserError, match=r"weights of another model: missing .* and \d+ more"):
        Timm(architecture="resnet34", weights=tmp_path / "w.safetensors").build()
    with pytest.raises(UserError, match="timm has no model 'resnet1'"):
        Timm(architecture="resnet1").build()


def test_the_guard_lets_torchvision_import_and_can_be_called_twice():
    guard_torchvision()
    guard_torchvision()
    assert import_torchvision().transforms.functional is not None


@pytest.mark.lite0
def test_lite0_is_the_imagenet_model():
    encoder = Lite0(input_px=128).build().eval()
    assert (encoder.dim, encoder.mean.flatten().tolist(), encoder.std.flatten().tolist()) == (1280, [0.5] * 3, [0.5] * 3)
    assert len(encoder.stages()) == 9
    with torch.no_grad():
        z = encoder(encoder.normalised(torch.full((1, 3, 128, 128), 200, dtype=torch.uint8)))
    random = Timm(architecture="tf_efficientnet_lite0", input_px=128).build().eval()
    with torch.no_grad():
        unlike = random(random.normalised(torch.full((1, 3, 128, 128), 200, dtype=torch.uint8)))
    assert torch.isfinite(z).all()
    assert not torch.allclose(z, unlike, atol=1e-2)


@pytest.mark.minilm
def test_minilm_knows_what_sentences_mean():
    encoder = MiniLM().build()
    texts = ["The nuclei are large and dark", "Big hyperchromatic nuclei", "A train arrives at the station"]
    z = torch.nn.functional.normalize(encoder.encode(texts), dim=1)
    similarity = z @ z.T
    assert encoder.dim == 384
    assert similarity[0, 1] > similarity[0, 2] + 0.3
    alone = torch.nn.functional.normalize(encoder.encode(texts[:1]), dim=1)
    torch.testing.assert_close(alone[0], z[0], atol=1e-5, rtol=0)  # padding has no effect
    with pytest.raises(UserError, match="tokens of at most 256"):
        encoder.encode(["cell " * 300])


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config\.json is missing|transformers is not installed"):
        HuggingFace(folder=tmp_path).build()
