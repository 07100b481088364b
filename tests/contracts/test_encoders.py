"""What every registered tower promises."""

from pathlib import Path

import pytest
import torch
from text_vectors import vectors_file
from torch import Tensor

from hlss.config import validate
from hlss.encoders.adapter import AdapterEncoder
from hlss.encoders.base import ImageEncoder, TextEncoder
from hlss.encoders.specs import EncoderSpec, TextSpec
from hlss.registry import ENCODERS, TEXTS

NEED = {"lite0": [pytest.mark.lite0], "minilm": [pytest.mark.minilm], "clip": [pytest.mark.slow]}
# small where the default is large; a folder of one's own has no default (tests/encoders/test_huggingface.py, and
# tests/jobs/test_export_encoder.py for `exported`)
SETTINGS = {"timm": {"architecture": "resnet10t", "dim": 32, "input_px": 64}, "lite0": {"dim": 64, "input_px": 64}}
IMAGES = [pytest.param(name, marks=NEED.get(name, [])) for name in ENCODERS if name != "exported"]
WORDS = [pytest.param(name, marks=NEED.get(name, [])) for name in TEXTS if name != "huggingface"]
SENTENCES = ["Sheets of round cells", "gland", "Spindle cells in long bundles that cross at sharp angles"]


@pytest.fixture(scope="module", params=IMAGES)
def spec(request: pytest.FixtureRequest) -> EncoderSpec:
    """Every image tower."""
    made = validate(SETTINGS.get(request.param, {}), ENCODERS[request.param], where=request.param)
    assert isinstance(made, EncoderSpec)
    return made


@pytest.fixture(scope="module")
def encoder(spec: EncoderSpec) -> ImageEncoder:
    """Built once a tower."""
    return spec.build()


@pytest.fixture(scope="module")
def ready(encoder: ImageEncoder) -> Tensor:
    """Two images, or stored features, as `forward` wants them."""
    draw = torch.Generator().manual_seed(0)
    if isinstance(encoder, AdapterEncoder):
        return torch.randn(2, encoder.width, generator=draw)
    raw = torch.randint(0, 256, (2, 3, encoder.input_px, encoder.input_px), generator=draw, dtype=torch.uint8)
    return encoder.normalised(raw)


@pytest.fixture(scope="module", params=WORDS)
def text_tower(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """Every text tower."""
    settings = {}
    if request.param == "vectors":
        settings["path"] = vectors_file(tmp_path_factory.mktemp("vectors") / "v.npz", SENTENCES, width=64)
    made = validate(settings, TEXTS[request.param], where=request.param)
    assert isinstance(made, TextSpec)
    return made.build()


def test_features_have_the_stated_shape_and_eval_repeats_itself(encoder: ImageEncoder, ready: Tensor):
    encoder.eval()
    with torch.no_grad():
        z = encoder(ready)
        assert z.shape == (2, encoder.dim)
        assert torch.isfinite(z).all()
        assert torch.equal(z, encoder(ready))
        assert encoder.features(ready).shape[0] == 2
        torch.testing.assert_close(encoder(ready[:1]), z[:1], rtol=1e-3, atol=1e-4)


def test_gradients_reach_every_stage(encoder: ImageEncoder, ready: Tensor):
    encoder.train().zero_grad()
    encoder(ready).square().sum().backward()
    for stage in encoder.stages():
        parameters = [p for module in stage for p in module.parameters()]
        assert not parameters or any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters)


def test_stages_and_fresh_parameters_are_of_the_tower_and_disjoint(encoder: ImageEncoder):
    own = {id(p) for p in encoder.parameters()}
    staged = [id(p) for stage in encoder.stages() for module in stage for p in module.parameters()]
    fresh = [id(p) for p in encoder.fresh_parameters()]
    assert staged
    assert len(set(staged + fresh)) == len(staged + fresh)
    assert set(staged + fresh) <= own


def test_bf16_and_channels_last_stay_near_float32(encoder: ImageEncoder, ready: Tensor):
    encoder.eval()
    with torch.no_grad():
        z = encoder(ready)
        with torch.autocast("cpu", torch.bfloat16):
            pixels = ready.dim() == 4
            low = encoder(ready.contiguous(memory_format=torch.channels_last) if pixels else ready).float()
    assert float(torch.cosine_similarity(z, low, dim=1).min()) > 0.99


def test_building_draws_from_the_given_seed_alone(spec: EncoderSpec, encoder: ImageEncoder):
    state = torch.random.get_rng_state()
    again = dict(spec.build().named_parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(w, again[name]) for name, w in encoder.named_parameters())


def test_the_text_tower_that_goes_with_it_has_its_dimension(spec: EncoderSpec, encoder: ImageEncoder):
    text = spec.text()
    if text is not None:
        assert text.build().dim == encoder.dim


def test_settings_survive_a_file(spec: EncoderSpec):
    assert validate(spec.model_dump(mode="json"), type(spec), where="x") == spec
    assert all(isinstance(notice, str) and notice for notice in spec.notices)


def test_texts_become_rows_of_their_own(text_tower: TextEncoder):
    rows = text_tower.encode(SENTENCES)
    assert isinstance(text_tower, TextEncoder)
    assert (rows.shape, rows.dtype, rows.requires_grad) == ((3, text_tower.dim), torch.float32, False)
    assert torch.equal(rows, text_tower.encode(SENTENCES))
    torch.testing.assert_close(text_tower.encode(SENTENCES[::-1]).flip(0), rows, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(text_tower.encode(SENTENCES[1:2]), rows[1:2], rtol=1e-4, atol=1e-5)
    assert float(torch.cosine_similarity(rows[0], rows[2], dim=0)) < 0.9999


def test_tokens_are_counted_and_the_fingerprint_stays(text_tower: TextEncoder):
    counts = text_tower.token_counts(SENTENCES)
    assert counts[1] < counts[0] < counts[2] <= text_tower.context
    assert text_tower.fingerprint == text_tower.fingerprint != ""
    assert Path(text_tower.fingerprint).name == text_tower.fingerprint  # it names a file
