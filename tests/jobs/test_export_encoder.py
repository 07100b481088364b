"""The trained tower for others: their own calls load it and give the features that ours does."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from stored_features import table
from torch import Tensor
from typer.testing import CliRunner

from hlss.cli import app
from hlss.config import validate, write_settings
from hlss.encoders.base import ImageEncoder
from hlss.encoders.clip_towers import open_clip_quietly
from hlss.encoders.exported import Exported, read_config
from hlss.encoders.tiny import TinyText
from hlss.encoders.torchvision_guard import import_guarded
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.export_encoder import export_encoder, push

PROVENANCE = {
    "config_hash": "abc123",
    "method": "made up",
    "seed": 4,
    "fold": None,
    "data_hash": "fed321",
    "bank_fingerprint": "0123",
    "bank_status": "unreviewed",
    "notices": ["texts are random vectors"],
    "steps": 10,
    "code_version": "0.1.0 (deadbee)",
    "command": "hlss train /home/me/secret.yaml",
    "hardware": "a machine of mine",
    "time": "2026-01-02T03:04:05+00:00",
}
TREE = {
    "name": "made up",
    "cohort": {"name": "phantom"},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": 16}},
    "objective": "hlss",
}
TOWERS: dict[str, dict[str, Any]] = {
    "tiny": {"name": "tiny"},
    "timm": {"name": "timm", "architecture": "resnet10t", "input_px": 64},
    "projected": {"name": "timm", "architecture": "resnet10t", "input_px": 64, "dim": 16},
    "adapter": {"name": "adapter", "width": 12, "dim": 8, "hidden": 4},
}
Run = Callable[[str], tuple[Path, ImageEncoder]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run's folder, as far as an export reads it, and its tower: other weights than those it was built with."""

    def make(tower: str) -> tuple[Path, ImageEncoder]:
        folder = tmp_path / "run"
        experiment = validate({**TREE, "encoder": TOWERS[tower]}, Experiment, where="test")
        encoder = experiment.encoder.build()
        draw = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(0.05 * parameter.std(correction=0) * torch.randn(parameter.shape, generator=draw))
        if encoder.wants_features():
            encoder.get_buffer("placed").fill_(True)
        for step in (0, 10):
            path = folder / "checkpoints" / f"step-{step:08d}"
            path.mkdir(parents=True)
            (path / "encoder.safetensors").write_bytes(
                save({k: v.contiguous() for k, v in encoder.state_dict().items()})
            )
        write_settings(experiment, folder / "config.yaml")
        (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
        return folder, encoder.eval()

    return make


def pixels(encoder: ImageEncoder) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    if encoder.input_px == 0:
        return torch.randn(3, 12, generator=draw)
    raw = torch.randint(0, 256, (3, 3, encoder.input_px, encoder.input_px), generator=draw, dtype=torch.uint8)
    return encoder.normalised(raw)


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert expected.std() > 1e-3
    assert float((found - expected).abs().max()) <= 1e-6 * max(1.0, float(expected.abs().max()))


@torch.no_grad()
def test_open_clip_loads_a_clip_by_its_own_call(run: Run, tmp_path: Path):
    folder, encoder = run("tiny")
    out = export_encoder(folder, "last", tmp_path / "out")
    with open_clip_quietly() as open_clip:
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{out}")
        words = open_clip.get_tokenizer(f"local-dir:{out}")(["round cells"])
    images = pixels(encoder)
    assert_same(model.eval().encode_image(images), encoder(images))
    normalise = preprocess.transforms[-1]
    torch.testing.assert_close(torch.tensor(normalise.mean), encoder.get_buffer("mean").flatten())
    text = TinyText().build().encode(["round cells"])
    assert_same(model.encode_text(words), text)


@torch.no_grad()
@pytest.mark.parametrize("tower", ["timm", "projected"])
def test_timm_loads_a_backbone_by_its_own_call(run: Run, tmp_path: Path, tower: str):
    folder, encoder = run(tower)
    out = export_encoder(folder, "last", tmp_path / "out")
    model = import_guarded("timm").create_model(f"local-dir:{out}", pretrained=True).eval()
    images = pixels(encoder)
    assert_same(model(images), encoder(images))
    assert model.pretrained_cfg["input_size"][-1] == 64
    assert model.pretrained_cfg["crop_pct"] == 1.0


@torch.no_grad()
@pytest.mark.parametrize("tower", TOWERS)
def test_hlss_takes_every_tower_up_again(run: Run, tmp_path: Path, tower: str):
    folder, encoder = run(tower)
    out = export_encoder(folder, "last", tmp_path / "out")
    again = validate({"name": "exported", "folder": str(out)}, Exported, where="test").build()
    assert (again.dim, again.input_px, again.family) == (encoder.dim, encoder.input_px, None)
    assert not again.wants_features()
    assert_same(again(pixels(encoder)), encoder(pixels(encoder)))
    assert read_config(out)["library"] == {"tiny": "open_clip", "adapter": "hlss"}.get(tower, "timm")


@torch.no_grad()
def test_an_exported_tower_trains_on_and_is_exported_again(run: Run, tmp_path: Path):
    folder, encoder = run("projected")
    out = export_encoder(folder, "last", tmp_path / "out")
    TOWERS["again"] = {"name": "exported", "folder": str(out)}
    try:
        (tmp_path / "run").rename(tmp_path / "first")
        second, moved = run("again")
        twice = export_encoder(second, "last", tmp_path / "twice")
    finally:
        del TOWERS["again"]
    (out / "hlss.json").unlink()  # the second does not hang on the first
    assert_same(Exported(folder=twice).build()(pixels(encoder)), moved(pixels(encoder)))


@pytest.mark.lite0
@torch.no_grad()
def test_lite0_with_its_projection_is_a_timm_model(tmp_path: Path):
    from hlss.encoders.exported import write_tower
    from hlss.encoders.lite0 import Lite0

    spec = Lite0(dim=8, input_px=64)
    encoder = spec.build().eval()
    assert write_tower(spec, encoder, tmp_path, {}) == "timm"
    model = import_guarded("timm").create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert_same(model(pixels(encoder)), encoder(pixels(encoder)))


def test_the_card_says_what_is_on_record_and_no_more(run: Run, tmp_path: Path):
    folder, _ = run("projected")
    card = (export_encoder(folder, "10", tmp_path / "out") / "README.md").read_text()
    for words in ("phantom", "fed321", "general_he", "| unreviewed |", "| hlss |", "| 10 |", "step-00000010"):
        assert words in card, words
    for words in ("0.1.0 (deadbee)", "abc123", "random weights", "**unreviewed**", "- texts are random vectors"):
        assert words in card, words
    assert "| Fold of the split | not recorded |" in card
    assert card.startswith("---\nlibrary_name: timm\n")
    everything = "".join(path.read_text() for path in (tmp_path / "out").iterdir() if path.suffix != ".safetensors")
    assert not {word for word in ("secret", "a machine of mine", str(tmp_path)) if word in everything}


def test_a_bank_that_an_expert_approved_is_not_called_unreviewed(run: Run, tmp_path: Path):
    folder, _ = run("adapter")
    (folder / "provenance.json").write_text(json.dumps({**PROVENANCE, "bank_status": "approved"}))
    card = (export_encoder(folder, "last", tmp_path / "out") / "README.md").read_text()
    assert "unreviewed" not in card
    assert "hlss alone loads it" in card


def test_weights_are_safe_and_complete(run: Run, tmp_path: Path):
    folder, encoder = run("tiny")
    out = export_encoder(folder, "last", tmp_path / "out")
    names = {"README.md", "hlss.json", "open_clip_config.json", "open_clip_model.safetensors"}
    assert {path.name for path in out.iterdir()} == names
    with safe_open(out / "open_clip_model.safetensors", "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys() if name.startswith("visual.")}  # noqa: SIM118
    assert all(torch.equal(stored[name], tensor) for name, tensor in encoder.state_dict().items())


def test_what_is_missing_or_in_the_way_is_said(run: Run, tmp_path: Path):
    folder, _ = run("adapter")
    with pytest.raises(UserError, match="no checkpoint '7'"):
        export_encoder(folder, "7", tmp_path / "out")
    with pytest.raises(UserError, match="no run folder"):
        export_encoder(tmp_path, "last", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        export_encoder(folder, "last", tmp_path / "full")
    assert not (tmp_path / "out").exists()


def test_folders_that_are_not_whole_are_refused(run: Run, tmp_path: Path):
    folder, _ = run("adapter")
    out = export_encoder(folder, "last", tmp_path / "out")
    with pytest.raises(UserError, match=r"hlss\.json is missing"):
        Exported(folder=tmp_path).build()
    config = json.loads((out / "hlss.json").read_text())
    (out / "hlss.json").write_text(json.dumps({**config, "format": 2}))
    with pytest.raises(UserError, match="format 2, this version reads 1"):
        Exported(folder=out).build()
    (out / "hlss.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Exported(folder=out).build()
    (out / "hlss.json").write_text(json.dumps(config))
    weights = load_file(out / "encoder.safetensors")
    (out / "encoder.safetensors").write_bytes(save({k: v for k, v in weights.items() if k != "placed"}))
    with pytest.raises(UserError, match="missing placed"):
        Exported(folder=out).build()


class Hub(ModuleType):
    """huggingface_hub as far as it is used, without a network."""

    def __init__(self, token: str | None = "hf_secret", error: Exception | None = None) -> None:
        super().__init__("huggingface_hub")
        self.token, self.error, self.calls = token, error, list[tuple[str, dict[str, Any]]]()

    def get_token(self) -> str | None:
        return self.token

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))
        if self.error is not None:
            raise self.error

    def upload_folder(self, **options: Any) -> None:
        self.calls.append(("upload", options))


@pytest.fixture
def exported(run: Run, tmp_path: Path) -> Path:
    return export_encoder(run("adapter")[0], "last", tmp_path / "out")


def test_push_uploads_the_folder_and_keeps_no_token(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hub = Hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    result = CliRunner().invoke(app, ["push", str(exported), "me/tower"], catch_exceptions=False)
    assert (result.exit_code, result.output) == (0, "Output: https://huggingface.co/me/tower\n")
    (_, created), (_, uploaded) = hub.calls
    assert created == {"repo_id": "me/tower", "private": True, "exist_ok": True}
    assert (uploaded["repo_id"], uploaded["folder_path"]) == ("me/tower", exported)
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hf_secret" not in held
    push(exported, "me/tower", public=True)
    assert hub.calls[2][1]["private"] is False


def test_push_says_in_a_line_what_it_lacks(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hub = Hub(token=None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(UserError, match=r"no token.*hf auth login"):
        push(exported, "me/tower")
    assert not hub.calls
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(error=ConnectionError("no route\nto host")))
    with pytest.raises(UserError, match="cannot push: ConnectionError: no route to host") as error:
        push(exported, "me/tower")
    assert "\n" not in str(error.value)
    table().write(tmp_path / "table")
    with pytest.raises(UserError, match="no exported encoder here"):
        push(tmp_path / "table", "me/tower")
    (exported / "README.md").unlink()
    with pytest.raises(UserError, match=r"README\.md is missing"):
        push(exported, "me/tower")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    (exported / "README.md").write_text("card")
    with pytest.raises(UserError, match="huggingface_hub is not installed"):
        push(exported, "me/tower")
