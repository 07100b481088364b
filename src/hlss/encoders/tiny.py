"""`tiny`: a CLIP of our own, small enough for a CPU, trained on drawn tissue (docs/tiny.md); it knows no other."""

from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from hlss.config import Part
from hlss.encoders.clip_towers import ClipImageEncoder, ClipTextEncoder, open_clip_quietly
from hlss.encoders.specs import EncoderSpec, TextSpec
from hlss.encoders.weights import fill, read_weights
from hlss.errors import UserError
from hlss.files import file_digest
from hlss.registry import ENCODERS, TEXTS

ARCHITECTURE = "hlss-tiny"
_FOLDER = Path(__file__).parent / "tiny_clip"
SHIPPED = _FOLDER / "tiny.safetensors"


class TinyModel(Part):
    """What both towers are set up by. weights: a local file instead of the shipped one; random: none, drawn by seed."""

    weights: Path | None = None
    random: bool = False
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> Self:
        if self.random and self.weights is not None:
            raise ValueError("give `weights` or `random: true`, not both")
        return self

    @property
    def file(self) -> Path | None:
        """Where the weights come from; None where they are random."""
        return None if self.random else self.weights or SHIPPED

    @property
    def family(self) -> str | None:
        """Names the weights; equal for the two towers of one trained model. Raises UserError where they are missing."""
        if self.file is None:
            return None
        if not self.file.is_file():
            raise UserError("the weights are missing", where=self.file, fix="Check the path, or set random: true.")
        return f"{ARCHITECTURE}/{file_digest(self.file)}"

    @property
    def notices(self) -> tuple[str, ...]:
        if self.random:
            return ("tiny has random weights: nothing it says of text means anything",)
        return ("tiny has seen drawn tissue only: nothing it says of real tissue means anything",)

    def model(self) -> nn.Module:
        """The whole model, in evaluation mode. Raises UserError for weights that are missing or do not fit."""
        with open_clip_quietly() as open_clip:
            if open_clip.get_model_config(ARCHITECTURE) is None:
                open_clip.add_model_config(_FOLDER)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                model: nn.Module = open_clip.create_model(ARCHITECTURE)
        if self.file is not None:
            fill(model, read_weights(self.file), self.file)
        return model.eval()


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
        return ClipTextEncoder(self.model(), ARCHITECTURE, self.family)
