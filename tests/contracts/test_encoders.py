"""What every tower must hold, run over all that are registered."""

import socket
from typing import Any

import pytest
import torch

from hlss.config import validate
from hlss.encoders.base import TextEncoder
from hlss.registry import ENCODERS, TEXTS

# Settings that keep a tower small; towers that need an extra are marked with it.
IMAGES: dict[str, dict[str, Any]] = {
    "timm": {"architecture": "resnet18", "dim": 16, "input_px": 64},
    "lite0": {"input_px": 64},
    "clip": {"architecture": "RN50"},
}
TEXT_SETTINGS: dict[str, dict[str, Any]] = {"clip": {"architecture": "RN50"}}
EXTRAS = {"lite0": "lite0", "minilm": "minilm"}
NOT_ALONE = {"huggingface"}  # wants a folder: tested with MiniLM's in tests/encoders


def cases(names: list[str]) -> list[Any]:
    return [
        pytest.param(name, marks=[getattr(pytest.mark, EXTRAS[name])] if name in EXTRAS else [])
        for name in names
        if name not in NOT_ALONE
    ]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a tower reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", cases(list(ENCODERS)))
def test_image_tower(name: str) -> None:
    spec = validate({"name": name, **IMAGES.get(name, {})}, ENCODERS[name], where=name)
    encoder = spec.build().eval()
    again = spec.build().eval()
    pixels = torch.randint(0, 256, (2, 3, encoder.input_px, encoder.input_px), dtype=torch.uint8)
    z = encoder(encoder.normalised(pixels))
    assert z.shape == (2, encoder.dim)
    assert torch.isfinite(z).all()
    torch.testing.assert_close(encoder(encoder.normalised(pixels)), z, rtol=0, atol=0)
    torch.testing.assert_close(again(again.normalised(pixels)), z, rtol=0, atol=0)
    torch.testing.assert_close(encoder.normalised(pixels), encoder.normalised(pixels.float() / 255), rtol=0, atol=1e-5)
    z.square().sum().backward()
    first = next(encoder.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    staged = {id(p) for stage in encoder.stages() for module in stage for p in module.parameters()}
    loose = [n for n, p in encoder.named_parameters() if id(p) not in staged]
    assert len(encoder.stages()) >= 2
    assert all(n.startswith(("projection", "visual.")) for n in loose), loose
    assert isinstance(spec.notices, tuple)


@pytest.mark.parametrize("name", cases(list(TEXTS)))
def test_text_tower(name: str) -> None:
    spec = validate({"name": name, **TEXT_SETTINGS.get(name, {})}, TEXTS[name], where=name)
    encoder = spec.build()
    assert isinstance(encoder, TextEncoder)
    texts = ["Nuclei are round", "Glands with a central lumen lie back to back in the section", "Nuclei are round"]
    z = encoder.encode(texts)
    assert z.shape == (3, encoder.dim)
    assert z.dtype == torch.float32
    assert not z.requires_grad
    torch.testing.assert_close(z[0], z[2])
    torch.testing.assert_close(encoder.encode(texts[1:2])[0], z[1], rtol=1e-4, atol=1e-5)
    counts = encoder.token_counts(texts)
    assert counts[0] < counts[1] <= encoder.context
    assert spec.build().fingerprint == encoder.fingerprint
