"""Towers as folders that others can use: weights and settings in the layout of open_clip or timm where the tower is
theirs, and in our own beside it; `encoder: {name: exported, folder: ...}` takes any of them up again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor

from hlss.config import validate
from hlss.encoders.base import ImageEncoder
from hlss.encoders.clip import Clip
from hlss.encoders.clip_towers import ClipImageEncoder
from hlss.encoders.lite0 import ARCHITECTURE as LITE0
from hlss.encoders.lite0 import Lite0
from hlss.encoders.open_clip_folder import OPEN_CLIP_WEIGHTS, write_open_clip
from hlss.encoders.specs import EncoderSpec
from hlss.encoders.timm import Timm, TimmEncoder
from hlss.encoders.timm_folder import TIMM_WEIGHTS, timm_weights, write_timm
from hlss.encoders.tiny import Tiny
from hlss.encoders.weights import fill, read_weights, tensors_of
from hlss.errors import UserError
from hlss.registry import ENCODERS

CONFIG_FILE, OWN_WEIGHTS = "hlss.json", "encoder.safetensors"
FORMAT = 1
Library = Literal["open_clip", "timm", "hlss"]
_ELSEWHERE = {"weights", "pretrained", "activation", "words", "paired"}  # where weights once came from


@ENCODERS.register("exported")
class Exported(EncoderSpec):
    """An image tower that `hlss export encoder` wrote. It has no text tower; its card says what it was trained with."""

    name: Literal["exported"] = "exported"
    folder: Path

    def build(self) -> ImageEncoder:
        """Raises UserError for a folder that is none, of a later version, or whose weights do not fit."""
        config = read_config(self.folder)
        bare = validate(config["encoder"], ENCODERS[config["encoder"]["name"]], where=self.folder / CONFIG_FILE)
        assert isinstance(bare, EncoderSpec)
        encoder = bare.build()
        path = self.folder / config["weights"]
        fill(encoder, _as_ours(config["library"], read_weights(path), encoder), path)
        encoder.family = None
        return encoder.eval()


def write_tower(spec: EncoderSpec, encoder: ImageEncoder, folder: Path, facts: Mapping[str, Any]) -> Library:
    """Write a built (and trained) tower of `spec` into an empty folder: weights, the library's own config, hlss.json.

    facts: its provenance. Returns whose loader takes the folder: timm's and open_clip's where they give the very
    features that ours does, which is tried, and hlss's alone otherwise. Raises UserError, OSError.
    """
    bare, library = bare_settings(spec), _written(spec, encoder, folder)
    if library == "hlss":
        (folder / OWN_WEIGHTS).write_bytes(save(tensors_of(encoder)))
    config = {
        "format": FORMAT,
        "library": library,
        "weights": {"open_clip": OPEN_CLIP_WEIGHTS, "timm": TIMM_WEIGHTS, "hlss": OWN_WEIGHTS}[library],
        "encoder": bare,
        "dim": encoder.dim,
        "input_px": encoder.input_px,
        "mean": encoder.get_buffer("mean").flatten().tolist(),
        "std": encoder.get_buffer("std").flatten().tolist(),
        "provenance": dict(facts),
    }
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    return library


def read_config(folder: Path) -> dict[str, Any]:
    """What hlss.json says. Raises UserError where it is missing, broken or of a later version."""
    path = Path(folder) / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        fits = {"library", "weights", "encoder"} <= config.keys() and "name" in config["encoder"]
    except FileNotFoundError as error:
        fix = "Name a folder that `hlss export encoder` wrote."
        raise UserError(f"no exported encoder here: {CONFIG_FILE} is missing", where=folder, fix=fix) from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix="Export the encoder again.") from error
    if config.get("format") != FORMAT or not fits:
        what = f"is of format {config.get('format')!r}, this version reads {FORMAT}"
        raise UserError(what, where=path, fix="Use the version of hlss that its card names.")
    found: dict[str, Any] = config
    return found


def bare_settings(spec: EncoderSpec) -> dict[str, Any]:
    """Settings that build the same tower with other weights, without any file or network."""
    if isinstance(spec, Exported):
        settings: dict[str, Any] = read_config(spec.folder)["encoder"]
        return settings
    if isinstance(spec, Lite0):
        return Timm(architecture=LITE0, dim=spec.dim, input_px=spec.input_px).model_dump(
            mode="json", exclude=_ELSEWHERE
        )
    settings = spec.model_dump(mode="json", exclude=_ELSEWHERE)
    return settings | ({"random": True} if isinstance(spec, Tiny) else {})


def _written(spec: EncoderSpec, encoder: ImageEncoder, folder: Path) -> Library:
    """Write it as the library it comes from would, where that can be done; says which."""
    if isinstance(encoder, ClipImageEncoder) and isinstance(spec, Clip | Tiny):
        write_open_clip(spec, encoder, folder)
        return "open_clip"
    if isinstance(encoder, TimmEncoder) and write_timm(str(bare_settings(spec)["architecture"]), encoder, folder):
        return "timm"
    return "hlss"


def _as_ours(library: Library, weights: Mapping[str, Tensor], encoder: ImageEncoder) -> dict[str, Tensor]:
    """Weights of the library's file under the names of our tower."""
    if library == "open_clip":
        return {name: tensor for name, tensor in weights.items() if name.startswith("visual.")}
    if library == "timm" and isinstance(encoder, TimmEncoder):
        return timm_weights(weights, encoder) | {"placed": torch.tensor(True)}
    return dict(weights)
