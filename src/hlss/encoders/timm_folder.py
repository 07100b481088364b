"""A timm backbone as a folder that timm loads: `timm.create_model("local-dir:FOLDER", pretrained=True)`.

A projection becomes the model's classifier: the linear layer that timm puts after the same pooled features.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from hlss.encoders.timm import TimmEncoder
from hlss.encoders.torchvision_guard import import_guarded
from hlss.encoders.weights import tensors_of

TIMM_WEIGHTS, _CONFIG = "model.safetensors", "config.json"
_KEPT = ("interpolation", "crop_mode", "fixed_input_size", "first_conv", "classifier", "min_input_size")
_NEAR = 1e-5  # of the largest feature: what the order of sums may change


def write_timm(architecture: str, encoder: TimmEncoder, folder: Path) -> bool:
    """Write it, and say so; False, with nothing written, where timm's own model does not give the same features."""
    encoder.eval()
    model = _whole(architecture, encoder)
    if model is None or not _same(model, encoder):
        return False
    stated: Mapping[str, Any] = encoder.backbone.pretrained_cfg  # type: ignore[assignment]
    px = encoder.input_px
    preprocessing = {
        "input_size": [3, px, px],
        "mean": encoder.get_buffer("mean").flatten().tolist(),
        "std": encoder.get_buffer("std").flatten().tolist(),
        "crop_pct": 1.0,  # a tile is seen whole
    }
    config = {
        "architecture": architecture,
        "num_classes": 0 if encoder.projection is None else encoder.dim,
        "num_features": int(encoder.backbone.num_features),  # type: ignore[arg-type]
        "pretrained_cfg": {key: stated[key] for key in _KEPT if stated.get(key) is not None} | preprocessing,
    }
    (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / TIMM_WEIGHTS).write_bytes(save(tensors_of(model)))
    return True


def timm_weights(stored: Mapping[str, Tensor], encoder: TimmEncoder) -> dict[str, Tensor]:
    """Weights of the folder under the names of our tower."""
    classifier = f"{_classifier(encoder)}."
    own = encoder.backbone.state_dict()
    found = {}
    for name, tensor in stored.items():
        projects = name not in own and name.startswith(classifier)
        found[f"projection.{name.removeprefix(classifier)}" if projects else f"backbone.{name}"] = tensor
    return found


def _whole(architecture: str, encoder: TimmEncoder) -> nn.Module | None:
    """timm's model with these weights; None where it has no place for the projection."""
    projection = encoder.projection
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = import_guarded("timm").create_model(
            architecture, num_classes=0 if projection is None else encoder.dim
        )
    state = tensors_of(encoder.backbone)
    if projection is not None:
        state |= {f"{_classifier(encoder)}.{name}": tensor for name, tensor in tensors_of(projection).items()}
    own = model.state_dict()
    if own.keys() != state.keys() or any(own[name].shape != tensor.shape for name, tensor in state.items()):
        return None
    model.load_state_dict(state)
    return model.eval()


def _classifier(encoder: TimmEncoder) -> str:
    stated: Mapping[str, Any] = encoder.backbone.pretrained_cfg  # type: ignore[assignment]
    return str(stated.get("classifier", "fc"))


def _same(model: nn.Module, encoder: TimmEncoder) -> bool:
    """Whether both give the same features of two images of noise."""
    px = encoder.input_px
    images = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0))
    device = encoder.get_buffer("mean").device
    with torch.no_grad():
        ours, theirs = encoder(images.to(device)).cpu(), model(images)
    return ours.shape == theirs.shape and bool((ours - theirs).abs().max() <= _NEAR * ours.abs().max())
