"""CLIP's towers against open_clip's own forward passes."""

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from hlss.encoders.clip import Clip
from hlss.encoders.clip_towers import ClipTextEncoder
from hlss.encoders.tiny import Tiny
from hlss.encoders.torchvision_guard import import_guarded
from hlss.errors import UserError


@pytest.fixture(scope="module")
def whole() -> nn.Module:
    """The model, untouched: the oracle."""
    return Tiny(random=True, seed=2).model()


@pytest.fixture(scope="module")
def text_tower() -> ClipTextEncoder:
    """The text tower of the same weights."""
    return Tiny(random=True, seed=2).text().build()


def _oracle(model: nn.Module, texts: list[str]) -> torch.Tensor:
    open_clip = import_guarded("open_clip")
    with torch.no_grad():
        return model.encode_text(open_clip.get_tokenizer("RN50")(texts))  # type: ignore[operator]


def test_trimmed_text_equals_open_clip_at_full_length(whole: nn.Module, text_tower: ClipTextEncoder, texts: list[str]):
    full = _oracle(whole, texts)
    torch.testing.assert_close(text_tower.encode(texts), full, rtol=1e-5, atol=1e-5)
    for index, text in enumerate(texts):
        torch.testing.assert_close(text_tower.encode([text])[0], full[index], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["RN50", "ViT-B-32-quickgelu"])
def test_trimming_is_exact_for_the_published_towers(architecture: str, texts: list[str]):
    spec = Clip(architecture=architecture)
    torch.testing.assert_close(spec.text().build().encode(texts), _oracle(spec.model(), texts), rtol=1e-4, atol=1e-5)


def test_batches_come_back_in_the_order_of_the_texts(text_tower: ClipTextEncoder):
    texts = [f"{'very ' * (i * 7 % 30)}dense field {i}" for i in range(150)]
    together = text_tower.encode(texts)
    for index in (0, 17, 127, 128, 149):
        torch.testing.assert_close(together[index], text_tower.encode([texts[index]])[0], rtol=1e-5, atol=1e-5)


def test_texts_are_encoded_without_gradient_and_nothing_of_the_image_side_stays(text_tower: ClipTextEncoder):
    found = text_tower.encode(["gland"])
    assert (found.dtype, found.requires_grad, found.shape) == (torch.float32, False, (1, 128))
    assert text_tower.encode([]).shape == (0, 128)
    assert not any(name.startswith("visual") for name in text_tower._model.state_dict())


def test_77_tokens_pass_and_78_are_refused(text_tower: ClipTextEncoder):
    longest, too_long = " ".join(["cell"] * 75), " ".join(["cell"] * 76)
    assert text_tower.token_counts(["", longest, too_long]) == [2, 77, 78]
    text_tower.encode([longest])
    with pytest.raises(UserError, match="a text has 78 tokens of at most 77"):
        text_tower.encode(["gland", too_long])


def test_images_go_through_as_in_open_clip(whole: nn.Module):
    encoder = Tiny(random=True, seed=2).build().eval()
    raw = torch.randint(0, 256, (2, 3, 96, 96), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.no_grad():
        expected = whole.encode_image((raw / 255 - mean) / std)  # type: ignore[operator]
        torch.testing.assert_close(encoder(encoder.normalised(raw)), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder.normalised(raw / 255), encoder.normalised(raw), rtol=1e-4, atol=1e-5)


VISION = {"image_size": 32, "layers": 3, "width": 64, "patch_size": 16, "head_width": 32}
CAUSAL = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
OTHER = {"vocab_size": 100, "width": 8, "heads": 1, "layers": 1, "no_causal_mask": True, "pool_type": "last"}


@pytest.fixture
def known(tmp_path: Path) -> None:
    """Two small ViTs that open_clip knows: one with CLIP's text tower, one with another kind."""
    for name, text in (("vit-causal", CAUSAL), ("vit-other", OTHER)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"embed_dim": 16, "vision_cfg": VISION, "text_cfg": text}))
    import_guarded("open_clip").add_model_config(tmp_path)


def test_stages_of_a_vit_are_its_blocks(known: None):
    encoder = Clip(architecture="vit-causal").build()
    assert (encoder.dim, encoder.input_px) == (16, 32)
    assert len(encoder.stages()) == 1 + 3 + 1


def test_a_text_tower_of_another_kind_is_refused(known: None):
    with pytest.raises(UserError, match="the text tower of vit-other is not of CLIP's causal kind"):
        Clip(architecture="vit-other").text().build()


def test_building_adds_no_log_handler():
    before = list(logging.getLogger().handlers)
    Tiny(random=True).build()
    assert logging.getLogger().handlers == before
