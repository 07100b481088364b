"""`tiny`: a CLIP of our own, small enough for a CPU. Its weights are random for now, and the program says so."""

from pathlib import Path
from typing import Literal

from torch import nn

from hlss.encoders.clip import ClipModel
from hlss.encoders.clip_towers import ClipImageEncoder, ClipTextEncoder, open_clip_quietly
from hlss.encoders.specs import EncoderSpec, TextSpec
from hlss.registry import ENCODERS, TEXTS

_CONFIGS = Path(__file__).parent / "tiny_clip"


class TinyModel(ClipModel):
    """What both towers are set up by; weights: a local file of this architecture."""

    architecture: Literal["hlss-tiny"] = "hlss-tiny"

    def model(self) -> nn.Module:
        """The whole model, as `ClipModel.model`, from the configuration that lies here."""
        with open_clip_quietly() as open_clip:
            if open_clip.get_model_config(self.architecture) is None:
                open_clip.add_model_config(_CONFIGS)
        return super().model()


@ENCODERS.register("tiny")
class Tiny(TinyModel, EncoderSpec):
    """The image tower: 96 px, 128 dimensions."""

    name: Literal["tiny"] = "tiny"

    def text(self) -> "TinyText":
        return TinyText(**self.model_dump(exclude={"name"}))

    def build(self) -> ClipImageEncoder:
        return ClipImageEncoder(self.model(), self.family)


@TEXTS.register("tiny")
class TinyText(TinyModel, TextSpec):
    """The text tower, with CLIP's vocabulary."""

    name: Literal["tiny"] = "tiny"

    def build(self) -> ClipTextEncoder:
        return ClipTextEncoder(self.model(), self.architecture, self.family)
