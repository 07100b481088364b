"""open_clip's towers: the activation mismatch refused, texts trimmed without effect, weights from files."""

import pytest
import torch
from safetensors.torch import save_file

from hlss.encoders.base import aligned
from hlss.encoders.clip import Clip
from hlss.encoders.tiny import Tiny
from hlss.errors import UserError


@pytest.fixture(scope="module")
def model():
    return Tiny().prepared().model()


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        ({"architecture": "RN50", "pretrained": "openai"}, "Set architecture: RN50-quickgelu"),
        ({"architecture": "RN50", "pretrained": "cc12m"}, "Set architecture: RN50-quickgelu"),
        ({"architecture": "ViT-B-32-quickgelu", "pretrained": "laion2b_s34b_b79k"}, "Set architecture: ViT-B-32"),
        ({"architecture": "RN50", "weights": "rn50-quickgelu-cc12m.pt"}, "Set architecture: RN50-quickgelu"),
        ({"architecture": "RN50", "weights": "mine.pt"}, "Set activation: quick_gelu"),
        ({"architecture": "RN50-quickgelu", "weights": "mine.pt", "activation": "gelu"}, "Set architecture: RN50"),
    ],
)
def test_weights_of_another_activation_are_refused_before_anything_is_loaded(settings, fix):
    with pytest.raises(UserError) as refused:
        Clip(**settings).model()
    assert fix in str(refused.value)


def test_unknown_architecture_is_named():
    with pytest.raises(UserError, match="no model 'RN51'"):
        Clip(architecture="RN51").model()


def test_trimmed_texts_encode_as_untrimmed_ones(model):
    texts = ["mitoses", "a dense lymphoid infiltrate fills the stroma between irregular glands", "necrosis " * 60]
    encoder = Tiny().text().build()
    tokens = encoder._tokenizer(texts)
    with torch.no_grad():
        whole = model.encode_text(tokens)
    torch.testing.assert_close(encoder.encode(texts), whole, rtol=1e-4, atol=1e-5)


def test_a_78th_token_is_refused():
    encoder = Tiny().text().build()
    assert encoder.token_counts(["cell " * 76]) == [78]
    with pytest.raises(UserError, match="78 tokens of at most 77"):
        encoder.encode(["cell " * 76])
    assert encoder.encode(["cell " * 75]).shape == (1, 128)


def test_local_weights_make_both_towers_and_align_them(model, weights):
    spec = Tiny(weights=weights, activation="gelu", seed=9)
    encoder, texts = spec.build().eval(), spec.text().build()
    pixels = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels), model.visual(pixels))
        torch.testing.assert_close(texts.encode(["glands"]), model.encode_text(texts._tokenizer(["glands"])), rtol=1e-4, atol=1e-5)
    assert aligned(encoder.family, texts.family)
    assert spec.notices == ()


def test_random_towers_are_not_aligned_and_say_so():
    spec = Tiny()
    assert not aligned(spec.build().family, spec.text().build().family)
    assert "random weights" in spec.notices[0]


@pytest.mark.parametrize("damage", ["cut", "absent", "no weights", "other"])
def test_broken_weight_files_are_refused(weights, tmp_path, damage):
    path = tmp_path / "broken.safetensors"
    if damage == "cut":
        path.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no weights":
        path = tmp_path / "list.pt"
        torch.save([1, 2], path)
    elif damage == "other":
        save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=path.name):
        Tiny(weights=path, activation="gelu").build()
