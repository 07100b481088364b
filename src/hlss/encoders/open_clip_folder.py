"""A CLIP as a folder that open_clip loads: `open_clip.create_model_and_transforms("local-dir:FOLDER")`."""

import json
from pathlib import Path

from safetensors.torch import save

from hlss.encoders.clip import Clip
from hlss.encoders.clip_towers import ClipImageEncoder, open_clip_quietly
from hlss.encoders.tiny import ARCHITECTURE, Tiny
from hlss.encoders.weights import tensors_of

OPEN_CLIP_WEIGHTS, _CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


def write_open_clip(spec: Clip | Tiny, encoder: ClipImageEncoder, folder: Path) -> None:
    """Both towers: the image tower as `encoder` has it, the text tower as the spec's weights have it: none is trained.

    Raises UserError where those weights cannot be had, OSError where writing fails.
    """
    model = spec.model()
    visual = model.get_submodule("visual")
    visual.load_state_dict(encoder.visual.state_dict())
    with open_clip_quietly() as open_clip:
        settings = open_clip.get_model_config(ARCHITECTURE if isinstance(spec, Tiny) else spec.architecture)
    seen = {key: value for key, value in visual.preprocess_cfg.items() if key in _PREPROCESSING}  # type: ignore[operator, union-attr]
    config = {"model_cfg": settings, "preprocess_cfg": seen}
    (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / OPEN_CLIP_WEIGHTS).write_bytes(save(tensors_of(model)))
