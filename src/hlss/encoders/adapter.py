"""A small network on stored features, for those who have the features of a large model and no GPU."""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from hlss.config import choice
from hlss.encoders.base import ImageEncoder
from hlss.encoders.projection import orthogonal, place_as_pca
from hlss.encoders.specs import EncoderSpec, TextSpec
from hlss.registry import ENCODERS, TEXTS


@ENCODERS.register("adapter")
class Adapter(EncoderSpec):
    """Starts as the features themselves, or as their PCA, and learns what to add: z = x + change(x).

    width:   length of a stored feature; dim: project to this dimension (that of the text) first, by a PCA; None: keep.
    hidden:  units of the hidden layer of `change`; 0: it is linear.
    words:   the text tower for `language`; paired: the features come from the image tower that was trained with it,
             so that a nearest text means something.
    """

    name: Literal["adapter"] = "adapter"
    width: int = Field(default=1024, ge=2)
    dim: int | None = Field(default=None, ge=2)
    hidden: int = Field(default=0, ge=0)
    words: choice(TEXTS) | None = None  # type: ignore[valid-type]
    paired: bool = False
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _pair_is_known(self) -> "Adapter":
        if self.paired and (self.words is None or self.words.family is None):
            raise ValueError("`paired` needs `words` to name a text tower that was trained with an image tower")
        if self.paired and self.dim is not None:
            raise ValueError("`paired` features keep their own axes: leave `dim` out")
        return self

    def text(self) -> TextSpec | None:
        words: TextSpec | None = self.words
        return words

    def build(self) -> "AdapterEncoder":
        words = self.text()
        family = words.family if self.paired and words is not None else None
        return AdapterEncoder(self.width, self.dim, self.hidden, family, self.seed)


class AdapterEncoder(ImageEncoder):
    """Takes features (b, width) where other towers take pixels."""

    def __init__(self, width: int, dim: int | None, hidden: int, family: str | None, seed: int) -> None:
        super().__init__(dim or width, 0, (0.0,), (1.0,))
        self.width, self.family = width, family
        self.projection = None if dim is None else orthogonal(width, dim, seed)
        self.change = _change(self.dim, hidden, seed)
        self.register_buffer("placed", torch.tensor(dim is None))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Features as they are, in float32."""
        return pixels.to(torch.float32)

    def features(self, pixels: Float[Tensor, "b w"]) -> Float[Tensor, "b w"]:
        return pixels

    def forward(self, pixels: Float[Tensor, "b w"]) -> Float[Tensor, "b d"]:
        x = pixels if self.projection is None else self.projection(pixels)
        z: Tensor = x + self.change(x)
        return z

    def stages(self) -> list[list[nn.Module]]:
        return [[self.change]]

    def fresh_parameters(self) -> list[nn.Parameter]:
        return [] if self.projection is None else list(self.projection.parameters())

    def wants_features(self) -> bool:
        return not bool(self.placed)

    def fit_projection(self, features: Float[Tensor, "n f"]) -> None:
        """Start the projection as a PCA of these features. Raises UserError where they are narrower than it."""
        assert self.projection is not None
        place_as_pca(self.projection, features)
        self.get_buffer("placed").fill_(True)


def _change(dim: int, hidden: int, seed: int) -> nn.Module:
    """Gives zero until it has learnt something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        last = nn.Linear(hidden or dim, dim, bias=False)
        change = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), last) if hidden else last
    nn.init.zeros_(last.weight)
    return change
