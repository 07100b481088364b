"""The two towers of an open_clip model, each without the other."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from hlss.encoders.base import ImageEncoder
from hlss.encoders.torchvision_guard import import_guarded
from hlss.errors import UserError
from hlss.files import digest

_BATCH = 32  # of like length: small enough to be cut short, large enough to keep the cores busy


@contextmanager
def open_clip_quietly() -> Iterator[ModuleType]:
    """open_clip, kept from setting up the root logger: it logs there that weights are random, as `notices` say."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        yield import_guarded("open_clip")
    finally:
        root.removeHandler(silent)


class ClipImageEncoder(ImageEncoder):
    """`visual` of an open_clip model; features are its outputs, before normalisation."""

    def __init__(self, model: nn.Module, family: str | None) -> None:
        visual = model.visual
        assert isinstance(visual, nn.Module)
        preprocess: dict[str, Any] = visual.preprocess_cfg  # type: ignore[assignment]
        size = preprocess["size"]
        px = int(size if isinstance(size, int) else size[0])
        with torch.no_grad():
            dim = int(visual.eval()(torch.zeros(1, 3, px, px)).shape[1])
        super().__init__(dim, px, preprocess["mean"], preprocess["std"])
        self.visual, self.family = visual, family

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        found: Tensor = self.visual(pixels)
        return found

    def stages(self) -> list[list[nn.Module]]:
        """Stem, the stages of a ResNet or the blocks of a ViT, head."""
        children = dict(self.visual.named_children())
        names = list(children)
        deep = [name for name in names if name == "transformer" or (name[:5] == "layer" and name[5:].isdigit())]
        if not deep:
            return [[module] for module in children.values()]
        stem, head = names[: names.index(deep[0])], names[names.index(deep[-1]) + 1 :]
        middle = [[children[name]] for name in deep]
        if deep == ["transformer"]:
            middle = [[block] for block in children["transformer"].resblocks]  # type: ignore[union-attr]
        return [[children[name] for name in stem], *middle, [children[name] for name in head]]


class ClipTextEncoder:
    """The text side of an open_clip model. Texts go through in batches of like length, cut to the longest of each:
    the mask is causal and the end mark is read, so that what follows it has no effect.
    """

    def __init__(self, model: Any, architecture: str, family: str | None) -> None:
        if getattr(model, "text_pool_type", None) != "argmax" or model.attn_mask is None:
            raise UserError(
                f"the text tower of {architecture} is not of CLIP's causal kind",
                where="language.text",
                fix="Choose another architecture, as RN50 or ViT-B-32.",
            )
        with open_clip_quietly() as open_clip:
            self._tokenizer: Any = open_clip.get_tokenizer(architecture)
        model.visual = None  # not needed here, and most of the memory
        self._model: Any = model.requires_grad_(False)
        self.family, self.context = family, int(model.context_length)
        self.dim = int(_projected(model, torch.zeros(1, model.ln_final.normalized_shape[0])).shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """Of the text side's weights, wherever they lie."""
        weights = hashlib.sha256()
        for name, weight in self._model.state_dict().items():
            weights.update(name.encode() + weight.numpy().tobytes())
        return f"clip-{digest([weights.hexdigest(), str(self._model.transformer)])}"

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
            result[chosen] = encode_tokens(self._model, tokens).float()
        return result


def encode_tokens(model: Any, tokens: Int64[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    """Text features of a CLIP model from its tokens, cut short to the longest text (its mask is causal)."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    return _projected(model, x[torch.arange(len(tokens)), tokens.argmax(dim=-1)])  # the end mark: largest number


def _projected(model: Any, states: Tensor) -> Tensor:
    projection = model.text_projection
    if projection is None:
        return states
    found: Tensor = projection(states) if isinstance(projection, nn.Module) else states @ projection
    return found
