"""`tiny`: a CLIP of our own, small enough for a CPU. Its weights are random for now, and the program says so."""

from pathlib import Path
from typing import Literal

from hlss.encoders.clip import ClipImageEncoder, ClipTextEncoder, _ClipModel, _open_clip
from hlss.encoders.specs import EncoderSpec, TextSpec
from hlss.registry import ENCODERS, TEXTS

_CONFIGS = Path(__file__).parent / "tiny_clip"


class _TinyModel(_ClipModel):
    architecture: Literal["hlss-tiny"] = "hlss-tiny"

    def prepared(self) -> "_TinyModel":
        """Makes open_clip know the architecture."""
        _open_clip().add_model_config(_CONFIGS)
        return self


@ENCODERS.register("tiny")
class Tiny(_TinyModel, EncoderSpec):
    """The image tower: 96 px, 128 dimensions."""

    name: Literal["tiny"] = "tiny"

    def text(self) -> "TinyText":
        return TinyText(**self.model_dump(exclude={"name"}))

    def build(self) -> ClipImageEncoder:
        return ClipImageEncoder(self.prepared().model(), self.family)


@TEXTS.register("tiny")
class TinyText(_TinyModel, TextSpec):
    """The text tower, with CLIP's vocabulary."""

    name: Literal["tiny"] = "tiny"

    def build(self) -> ClipTextEncoder:
        return ClipTextEncoder(self.prepared().model(), self.architecture, self.family)
