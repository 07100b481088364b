"""Random unit vectors in place of text: the control that says what the words are worth (SPEC §3)."""

import hashlib
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from hlss.encoders.specs import TextSpec
from hlss.registry import TEXTS


@TEXTS.register("random")
class RandomText(TextSpec):
    """Settings. dim: that of the image features; seed: of the vectors."""

    name: Literal["random"] = "random"
    dim: int = Field(default=384, ge=2)
    seed: int = Field(default=0, ge=0)

    @property
    def notices(self) -> tuple[str, ...]:
        return ("texts are random vectors: a control, not a model of language",)

    def build(self) -> "RandomEncoder":
        return RandomEncoder(self.dim, self.seed)


class RandomEncoder:
    """A unit vector a text, by (seed, text) alone."""

    def __init__(self, dim: int, seed: int) -> None:
        self.dim, self.seed, self.context = dim, seed, 10_000
        self.family: str | None = None

    @property
    def fingerprint(self) -> str:
        return f"random-{self.dim}-{self.seed}"

    def token_counts(self, texts: list[str]) -> list[int]:
        """Words, for want of tokens."""
        return [len(text.split()) for text in texts]

    def encode(self, texts: list[str]) -> Float[Tensor, "t d"]:
        """Unit rows, float32."""
        rows = torch.empty(len(texts), self.dim)
        for number, text in enumerate(texts):
            rows[number] = self._vector(text)
        return torch.nn.functional.normalize(rows, dim=1)

    def _vector(self, text: str) -> Tensor:
        key = int.from_bytes(hashlib.sha256(f"{self.seed}\0{text}".encode()).digest()[:8])
        return torch.from_numpy(np.random.Generator(np.random.Philox(key)).standard_normal(self.dim, dtype=np.float32))
