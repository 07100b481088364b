"""CLIP by open_clip: image and text tower of one model, trained together (where they are trained at all)."""

from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from hlss.config import Part
from hlss.encoders.base import ImageEncoder
from hlss.encoders.specs import EncoderSpec, TextSpec
from hlss.encoders.torchvision_guard import import_guarded
from hlss.encoders.weights import fill, read_weights
from hlss.errors import UserError
from hlss.files import digest
from hlss.registry import ENCODERS, TEXTS

Activation = Literal["gelu", "quick_gelu"]
_BATCH = 128


class _ClipModel(Part):
    """What both towers of a model are set up by.

    architecture: open_clip's name; pretrained: open_clip's tag (needs the network or its cache); weights: a local
    file, with `activation`, the one it was trained with, where its name does not say so. Neither: random weights.
    """

    architecture: str = "RN50"
    pretrained: str | None = None
    weights: Path | None = None
    activation: Activation | None = None
    seed: int = Field(default=0, ge=0)

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
        open_clip = _open_clip()
        config = open_clip.get_model_config(self.architecture)
        if config is None:
            known = ", ".join(name for name in open_clip.list_models() if name.startswith(self.architecture[:3]))
            raise UserError(
                f"open_clip has no model {self.architecture!r}", where="architecture", fix=f"Near: {known}."
            )
        self._refuse_mismatch(open_clip, bool(config.get("quick_gelu", False)))
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

    def _refuse_mismatch(self, open_clip: ModuleType, quick: bool) -> None:
        wants = self._wants_quick(open_clip)
        if wants is None or wants == quick:
            return
        base = self.architecture.removesuffix("-quickgelu")
        right = f"{base}-quickgelu" if wants else base
        names = ("GELU", "QuickGELU")
        raise UserError(
            f"these weights were trained with {names[wants]}, architecture {self.architecture} has {names[quick]}",
            where=self.weights or f"pretrained={self.pretrained}",
            fix=f"Set architecture: {right}.",
        )

    def _wants_quick(self, open_clip: ModuleType) -> bool | None:
        """Whether the weights were trained with QuickGELU; None: there are no weights."""
        if self.pretrained is not None:
            base = self.architecture.removesuffix("-quickgelu")
            known = open_clip.get_pretrained_cfg(base, self.pretrained) or {}
            return bool(known.get("quick_gelu", "quickgelu" in self.pretrained))
        if self.weights is None:
            return None
        if "quickgelu" in self.weights.name.lower().replace("_", ""):
            return True
        if self.activation is None:
            raise UserError(
                "nothing says which activation these weights were trained with",
                where=self.weights,
                fix="Set activation: quick_gelu (OpenAI's and most early models) or activation: gelu.",
            )
        return self.activation == "quick_gelu"


@ENCODERS.register("clip")
class Clip(_ClipModel, EncoderSpec):
    """The image tower of a CLIP model."""

    name: Literal["clip"] = "clip"

    def text(self) -> "ClipText":
        return ClipText(**self.model_dump(exclude={"name"}))

    def build(self) -> "ClipImageEncoder":
        return ClipImageEncoder(self.model(), self.family)


@TEXTS.register("clip")
class ClipText(_ClipModel, TextSpec):
    """The text tower of a CLIP model."""

    name: Literal["clip"] = "clip"

    def build(self) -> "ClipTextEncoder":
        return ClipTextEncoder(self.model(), self.architecture, self.family)


class ClipImageEncoder(ImageEncoder):
    """`visual` of an open_clip model; features are its outputs, before normalisation."""

    def __init__(self, model: nn.Module, family: str | None) -> None:
        preprocess = _open_clip().get_model_preprocess_cfg(model)
        size = preprocess["size"]
        px = int(size if isinstance(size, int) else size[0])
        dim = _dim(model)
        super().__init__(dim, px, preprocess["mean"], preprocess["std"])
        visual = model.visual
        assert isinstance(visual, nn.Module)
        self.visual, self.family = visual, family

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        found: Tensor = self.visual(pixels)
        return found

    def stages(self) -> list[list[nn.Module]]:
        children = dict(self.visual.named_children())
        layers = [name for name in children if name.startswith("layer") and name[5:].isdigit()]
        if not layers:
            return [[module] for module in children.values()]
        names = list(children)
        stem, head = names[: names.index(layers[0])], names[names.index(layers[-1]) + 1 :]
        return [[children[n] for n in stem], *[[children[n]] for n in layers], [children[n] for n in head]]


class ClipTextEncoder:
    """The text side of an open_clip model. Texts go through in batches of like length, cut to the longest of each:
    the mask is causal and the end mark is read, so that what follows it has no effect.
    """

    def __init__(self, model: nn.Module, architecture: str, family: str | None) -> None:
        self.family = family
        self._tokenizer: Any = _open_clip().get_tokenizer(architecture)
        self.dim = _dim(model)
        self._model: Any = model
        self._model.visual = nn.Identity()  # not needed here, and most of the memory
        self.context = int(model.context_length)  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> str:
        rows = [[name, list(w.shape), float(w.double().sum())] for name, w in self._model.state_dict().items()]
        return f"clip-{digest(rows)}"

    def token_counts(self, texts: list[str]) -> list[int]:
        """Tokens of each text, with start and end marks, untruncated."""
        return [len(self._tokenizer.encode(text)) + 2 for text in texts]

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Float[Tensor, "t d"]:
        """Embeddings, float32, not normalised. Raises UserError for a text over `context` tokens."""
        counts = self.token_counts(texts)
        if max(counts, default=0) > self.context:
            raise UserError(f"a text has {max(counts)} tokens of at most {self.context}", fix="Shorten it.")
        order = sorted(range(len(texts)), key=counts.__getitem__)
        result = torch.empty(len(texts), self.dim)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            tokens = self._tokenizer([texts[i] for i in chosen])[:, : counts[chosen[-1]]]
            result[chosen] = self._encoded(tokens).float()
        return result

    def _encoded(self, tokens: Tensor) -> Tensor:
        model, length = self._model, tokens.shape[1]
        x = model.token_embedding(tokens) + model.positional_embedding[:length]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
        ends = x[torch.arange(len(tokens)), tokens.argmax(dim=-1)]  # the end mark has the largest number
        projected: Tensor = ends @ model.text_projection
        return projected


def _dim(model: Any) -> int:
    return int(model.text_projection.shape[-1])


def _open_clip() -> ModuleType:
    return import_guarded("open_clip")
