"""CLIP by open_clip: settings of the two towers of one model, trained together (where they are trained at all)."""

from difflib import get_close_matches
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
from hlss.registry import ENCODERS, TEXTS

_ACTIVATIONS = {False: "GELU", True: "QuickGELU"}


class ClipModel(Part):
    """What both towers of a model are set up by.

    architecture: open_clip's name; pretrained: open_clip's tag (needs the network or its cache); weights: a local
    file, with `activation`, the one it was trained with, where its name does not say so. Neither: random weights.
    """

    architecture: str = "RN50"
    pretrained: str | None = None
    weights: Path | None = None
    activation: Literal["gelu", "quick_gelu"] | None = None
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> Self:
        if self.pretrained is not None and self.weights is not None:
            raise ValueError("give `pretrained` or `weights`, not both")
        if self.activation is not None and self.weights is None:
            raise ValueError("`activation` goes with `weights`; remove it")
        return self

    @property
    def notices(self) -> tuple[str, ...]:
        if self.family is None:
            return (f"CLIP {self.architecture} has random weights: nothing it says of text means anything",)
        return ()

    @property
    def family(self) -> str | None:
        """Names the weights; equal for the two towers of one trained model."""
        if self.pretrained is None and self.weights is None:
            return None
        return f"open_clip/{self.architecture}/{self.pretrained or Path(str(self.weights)).resolve()}"

    def model(self) -> nn.Module:
        """The whole model. Raises UserError for an unknown name, weights that cannot be had or do not fit, and for
        weights trained with another activation than the architecture has (SPEC §5).
        """
        with open_clip_quietly() as open_clip:
            if ":" in self.architecture:
                raise UserError(
                    f"{self.architecture!r} is a place, not an architecture",
                    where="architecture",
                    fix="Name open_clip's architecture, such as ViT-B-32, and give `weights`, a local file.",
                )
            config = open_clip.get_model_config(self.architecture)
            if config is None:
                near = ", ".join(get_close_matches(self.architecture, open_clip.list_models(), 5, 0.0))
                raise UserError(
                    f"open_clip has no model {self.architecture!r}", where="architecture", fix=f"Near: {near}."
                )
            self._refuse_mismatch(self._wants_quick(self._tags()), bool(config.get("quick_gelu", False)))
            try:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(self.seed)
                    model: nn.Module = open_clip.create_model(self.architecture, pretrained=self.pretrained)
            except (OSError, RuntimeError) as error:
                raise UserError(
                    f"cannot get the weights {self.pretrained!r} of {self.architecture}: {error!s:.160}",
                    where="pretrained",
                    fix="Connect to the network once, or give `weights`, a local file.",
                ) from error
        if self.weights is not None:
            fill(model, read_weights(self.weights), self.weights)
        return model.eval()

    def _tags(self) -> dict[str, bool]:
        """open_clip's tags of weights for this architecture under both activations: whether each wants QuickGELU."""
        with open_clip_quietly() as open_clip:
            base = self.architecture.removesuffix("-quickgelu")
            found: dict[str, bool] = {}
            for name in (base, f"{base}-quickgelu"):
                for tag in open_clip.list_pretrained_tags_by_model(name):
                    wants = open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False)
                    found[tag] = found.get(tag, False) or bool(wants)
        return found

    def _wants_quick(self, tags: dict[str, bool]) -> bool | None:
        """Whether the weights were trained with QuickGELU; None: there are no weights."""
        if self.pretrained is not None:
            if self.pretrained not in tags:
                known = ", ".join(sorted(tags)) or "none"
                raise UserError(
                    f"open_clip has no weights {self.pretrained!r} of {self.architecture}",
                    where="pretrained",
                    fix=f"Known: {known}. A file of your own goes into `weights`.",
                )
            return tags[self.pretrained]
        if self.weights is None:
            return None
        says_quick = "quickgelu" in self.weights.name.lower().replace("_", "")
        if says_quick and self.activation == "gelu":
            raise UserError("activation: gelu, and a name that says quickgelu", where=self.weights, fix="Which is it?")
        if not says_quick and self.activation is None:
            raise UserError(
                "nothing says which activation these weights were trained with",
                where=self.weights,
                fix="Set activation: quick_gelu (OpenAI's and most early models) or activation: gelu.",
            )
        return says_quick or self.activation == "quick_gelu"

    def _refuse_mismatch(self, wants: bool | None, has: bool) -> None:
        if wants is None or wants == has:
            return
        base = self.architecture.removesuffix("-quickgelu")
        raise UserError(
            f"these weights were trained with {_ACTIVATIONS[wants]}, {self.architecture} has {_ACTIVATIONS[has]}",
            where=self.weights or f"pretrained={self.pretrained}",
            fix=f"Set architecture: {base}-quickgelu." if wants else f"Set architecture: {base}.",
        )


@ENCODERS.register("clip")
class Clip(ClipModel, EncoderSpec):
    """The image tower of a CLIP model."""

    name: Literal["clip"] = "clip"

    def text(self) -> "ClipText":
        return ClipText(**self.model_dump(exclude={"name"}))

    def build(self) -> ClipImageEncoder:
        return ClipImageEncoder(self.model(), self.family)


@TEXTS.register("clip")
class ClipText(ClipModel, TextSpec):
    """The text tower of a CLIP model."""

    name: Literal["clip"] = "clip"

    def build(self) -> ClipTextEncoder:
        """Raises UserError, beside what `model` raises, where the text tower is not of CLIP's causal kind."""
        return ClipTextEncoder(self.model(), self.architecture, self.family)
