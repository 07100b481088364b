"""The two interfaces behind which every tower stands."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImageEncoder(nn.Module):
    """An image tower: pixels in 0..1 to features, not normalised (each objective normalises what its paper does).

    dim:      length of a feature.
    input_px: side of the square input, pixels.
    mean, std: per-channel normalisation its weights expect; `normalised` applies it, `forward` is given its result.
    family:   names the weights it was trained with, as in `open_clip/RN50/openai`; a text tower of the same family is
              aligned with it. None: trained with no text tower, or not trained.
    """

    dim: int
    input_px: int
    family: str | None

    def __init__(self, dim: int, input_px: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.dim, self.input_px, self.family = dim, input_px, None
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 in 0..255 or float in 0..1, b c h w → float as the weights expect it."""
        mean, std = self.mean, self.std
        assert isinstance(mean, Tensor)
        assert isinstance(std, Tensor)
        if pixels.dtype == torch.uint8:
            return (pixels.to(mean.dtype) - mean * 255) / (std * 255)
        return (pixels - mean) / std

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        raise NotImplementedError

    def stages(self) -> list[list[nn.Module]]:
        """The backbone's modules in order of depth, stem first: `freeze.stages=2` freezes the first two groups."""
        raise NotImplementedError

    def fresh_parameters(self) -> list[nn.Parameter]:
        """Parameters that no pretraining gave (a new projection, say); `lr_scale` leaves them at the full rate."""
        return []

    def wants_features(self) -> bool:
        """Whether a fresh projection waits for `fit_projection`."""
        return False

    def features(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f"]:
        """Features before a projection; those of `forward` where there is none."""
        found: Tensor = self(pixels)
        return found

    def fit_projection(self, features: Float[Tensor, "n f"]) -> None:
        """Start a fresh projection from `features` of training tiles."""
        raise NotImplementedError


@runtime_checkable
class TextEncoder(Protocol):
    """A text tower, frozen. `fingerprint` names model and weights (the cache key); `family` as for an image tower."""

    dim: int
    context: int
    family: str | None

    @property
    def fingerprint(self) -> str: ...

    def token_counts(self, texts: list[str]) -> list[int]:
        """Tokens of each text, with start and end marks, untruncated."""
        ...

    def encode(self, texts: list[str]) -> Float[Tensor, "t d"]:
        """Float32 embeddings, not normalised, without gradient. Raises UserError for a text over `context` tokens."""
        ...


def aligned(image_family: str | None, text_family: str | None) -> bool:
    """Whether the two towers were trained together, so that a nearest text means something (SPEC §3)."""
    return image_family is not None and image_family == text_family
