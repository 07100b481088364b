"""Text vectors that another machine computed, as a text tower: for towers that are gated, or too large for here."""

import hashlib
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from hlss.encoders.specs import TextSpec
from hlss.errors import UserError
from hlss.registry import TEXTS

_FIX = "Write it by numpy.savez(path, sentences=[...], vectors=[...]), a vector a sentence."
_SHOWN = 80  # characters of a sentence in a message


@TEXTS.register("vectors")
class Vectors(TextSpec):
    """Settings. path: .npz with `sentences`, (n,) strings, and `vectors`, (n, d) floats (docs/guides/features.md)."""

    name: Literal["vectors"] = "vectors"
    path: Path

    @property
    def family(self) -> str:
        """Of the tower that wrote the file: an adapter is `paired` with it on the user's word alone."""
        return f"vectors/{self.path.resolve()}"

    def build(self) -> "VectorEncoder":
        """Raises UserError for a file that is missing, of another layout, repeats a sentence or is not finite."""
        sentences, vectors = _read(self.path)
        return VectorEncoder(sentences, vectors, self.path, self.family)


class VectorEncoder:
    """Looks sentences up, letter by letter. Whether their own tower cut any short is not known here."""

    def __init__(self, sentences: list[str], vectors: Float[Tensor, "n d"], path: Path, family: str) -> None:
        self._place = {sentence: row for row, sentence in enumerate(sentences)}
        self._vectors, self._path = vectors, path
        self.dim, self.context = vectors.shape[1], 10_000
        self.family: str | None = family

    @cached_property
    def fingerprint(self) -> str:
        """Of sentences and vectors, whatever their order in the file."""
        hasher = hashlib.sha256()
        for sentence in sorted(self._place):
            hasher.update(f"{len(sentence)} {sentence}".encode())
            hasher.update(self._vectors[self._place[sentence]].numpy().tobytes())
        return f"vectors-{hasher.hexdigest()[:12]}"

    def token_counts(self, texts: list[str]) -> list[int]:
        """Words, for want of the tokenizer."""
        return [len(text.split()) for text in texts]

    def encode(self, texts: list[str]) -> Float[Tensor, "t d"]:
        """The stored vectors. Raises UserError that names the first sentence without one, and how many lack one."""
        lacking = [text for text in dict.fromkeys(texts) if text not in self._place]
        if lacking:
            raise UserError(
                f"no vector for {len(lacking)} of {len(set(texts))} sentences, the first is {lacking[0]!r:.{_SHOWN}}",
                where=self._path,
                fix="Encode them too: docs/guides/features.md lists the sentences of a bank.",
            )
        return self._vectors[torch.tensor([self._place[text] for text in texts], dtype=torch.long)]


def _read(path: Path) -> tuple[list[str], Float[Tensor, "n d"]]:
    held = _arrays(path)
    if not {"sentences", "vectors"} <= held.keys():
        raise UserError(f"holds {', '.join(held) or 'nothing'}, not `sentences` and `vectors`", where=path, fix=_FIX)
    sentences, vectors = held["sentences"], held["vectors"]
    fits = sentences.ndim == 1 and vectors.ndim == 2 and len(sentences) == len(vectors) > 0 and vectors.shape[1] > 1
    if not fits or sentences.dtype.kind != "U" or vectors.dtype.kind != "f":
        found = " and ".join(f"{name} {held[name].shape} of {held[name].dtype}" for name in ("sentences", "vectors"))
        raise UserError(f"{found} do not belong together", where=path, fix=_FIX)
    named = [str(sentence) for sentence in sentences]
    _refuse_repeated(named, path)
    rows = vectors.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1))
    if len(bad):
        what = f"{len(bad)} of {len(rows)} vectors are not finite or zero, the first of {named[bad[0]]!r:.{_SHOWN}}"
        raise UserError(what, where=path, fix="Encode these sentences again.")
    return named, torch.from_numpy(rows)


def _arrays(path: Path) -> dict[str, ndarray]:
    """Arrays of a .npz by name, read without unpickling anything."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            names: Any = stored.files  # an .npy has none
            return {name: stored[name] for name in names}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read text vectors: {error!s:.200}", where=path, fix=_FIX) from error


def _refuse_repeated(sentences: list[str], path: Path) -> None:
    seen: set[str] = set()
    for sentence in sentences:
        if sentence in seen:
            raise UserError(f"{sentence!r:.{_SHOWN}} stands twice", where=path, fix="Give one vector a sentence.")
        seen.add(sentence)
