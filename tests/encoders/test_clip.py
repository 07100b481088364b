"""CLIP's settings: which weights fit which architecture, and what is refused."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from hlss.encoders.base import aligned
from hlss.encoders.clip import Clip, ClipText
from hlss.encoders.tiny import Tiny
from hlss.encoders.torchvision_guard import import_guarded
from hlss.errors import UserError


@pytest.fixture(scope="module")
def tiny_model() -> nn.Module:
    """A whole small CLIP."""
    return Tiny(random=True, seed=5).model()


@pytest.fixture
def tiny_file(tiny_model: nn.Module, tmp_path: Path) -> Path:
    """Its weights."""
    path = tmp_path / "tiny.safetensors"
    save_file({name: w.contiguous() for name, w in tiny_model.state_dict().items()}, path)
    return path


@pytest.fixture
def pretend_tag(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """open_clip.create_model that records and fails, so that nothing is fetched."""
    asked: list[str] = []

    def fail(architecture: str, pretrained: str | None = None) -> None:
        asked.append(architecture)
        raise RuntimeError("no route to host")

    monkeypatch.setattr(import_guarded("open_clip"), "create_model", fail)
    return asked


@pytest.mark.parametrize("tag", ["openai", "yfcc15m", "cc12m"])
def test_quickgelu_weights_in_a_gelu_architecture_are_refused(tag: str, offline: None):
    with pytest.raises(UserError, match=r"trained with QuickGELU, RN50 has GELU\. Set architecture: RN50-quickgelu"):
        Clip(architecture="RN50", pretrained=tag).build()


def test_gelu_weights_in_a_quickgelu_architecture_are_refused(offline: None):
    with pytest.raises(UserError, match=r"trained with GELU, ViT-B-32-quickgelu has QuickGELU.*architecture: ViT-B-32"):
        Clip(architecture="ViT-B-32-quickgelu", pretrained="laion2b_s34b_b79k").build()


def test_a_local_file_named_quickgelu_is_refused_in_a_gelu_architecture(tmp_path: Path):
    path = tmp_path / "rn50-quickgelu-cc12m.pt"
    with pytest.raises(UserError, match=r"rn50-quickgelu-cc12m\.pt.*Set architecture: RN50-quickgelu"):
        Clip(architecture="RN50", weights=path).build()
    with pytest.raises(UserError, match="activation: gelu, and a name that says quickgelu"):
        Clip(architecture="RN50", weights=path, activation="gelu").build()


def test_a_local_file_whose_name_says_nothing_needs_its_activation(tmp_path: Path):
    with pytest.raises(UserError, match="nothing says which activation"):
        Clip(architecture="RN50", weights=tmp_path / "mine.pt").build()
    with pytest.raises(UserError, match="RN50-quickgelu"):
        Clip(architecture="RN50", weights=tmp_path / "mine.pt", activation="quick_gelu").build()


def test_matching_tags_are_asked_for_and_an_unreachable_one_is_explained(pretend_tag: list[str]):
    with pytest.raises(UserError, match=r"cannot get the weights 'openai' of RN50-quickgelu: no route.*local file"):
        Clip(architecture="RN50-quickgelu", pretrained="openai").build()
    assert pretend_tag == ["RN50-quickgelu"]


def test_unknown_names_are_answered_with_near_ones(offline: None):
    with pytest.raises(UserError, match=r"no model 'RN51'\. Near: .*RN50"):
        Clip(architecture="RN51").build()


@pytest.mark.parametrize("place", ["hf-hub:wisdomik/QuiltNet-B-32", "local-dir:/data/quiltnet"])
def test_places_are_no_architectures(place: str, offline: None):
    with pytest.raises(UserError, match=r"is a place, not an architecture.*`weights`, a local file"):
        Clip(architecture=place).build()
    with pytest.raises(UserError, match=r"no weights 'opanai' of RN50.*openai"):
        Clip(pretrained="opanai").build()


def test_contradicting_settings_are_refused(tmp_path: Path):
    with pytest.raises(ValidationError, match="not both"):
        Clip(pretrained="openai", weights=tmp_path / "x.pt")
    with pytest.raises(ValidationError, match="goes with `weights`"):
        Clip(activation="gelu")


def test_the_text_tower_of_an_image_tower_is_the_same_model(tmp_path: Path):
    spec = Clip(architecture="RN50-quickgelu", pretrained="openai", seed=3)
    assert spec.text() == ClipText(architecture="RN50-quickgelu", pretrained="openai", seed=3)
    assert aligned(spec.family, spec.text().family)
    assert not aligned(spec.family, ClipText(architecture="RN50-quickgelu", pretrained="cc12m").family)


def test_random_weights_are_never_aligned_and_say_so():
    assert Clip().family is None
    assert not aligned(Clip().family, Clip().text().family)
    assert any("random weights" in notice for notice in Clip().notices)
    assert Clip(pretrained="openai").notices == ()


def test_local_weights_come_back(tiny_model: nn.Module, tiny_file: Path, offline: None):
    spec = Tiny(weights=tiny_file)
    image, text = spec.build(), spec.text().build()
    own = {f"visual.{name}": w for name, w in image.visual.state_dict().items()}
    assert all(torch.equal(w, tiny_model.state_dict()[name]) for name, w in own.items())
    assert aligned(image.family, text.family)
    assert text.fingerprint != Tiny(random=True, seed=9).text().build().fingerprint


def test_weights_of_another_model_and_broken_files_are_refused(tiny_model: nn.Module, tiny_file: Path, tmp_path: Path):
    table = {name: w.contiguous() for name, w in tiny_model.state_dict().items() if name != "ln_final.bias"}
    save_file(table, tmp_path / "less.safetensors")
    with pytest.raises(UserError, match=r"less\.safetensors: weights of another model: missing ln_final\.bias"):
        Tiny(weights=tmp_path / "less.safetensors").build()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut\.safetensors: cannot read weights"):
        Tiny(weights=cut).build()
    with pytest.raises(UserError, match=r"gone\.pt: (the weights are missing|cannot read weights)"):
        Tiny(weights=tmp_path / "gone.pt").build()


def test_building_is_by_seed_and_leaves_the_global_random_state_alone(offline: None):
    state = torch.random.get_rng_state()
    first, again, other = (Tiny(random=True, seed=seed).build() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    key = "visual.conv1.weight"
    assert torch.equal(first.state_dict()[key], again.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], other.state_dict()[key])
