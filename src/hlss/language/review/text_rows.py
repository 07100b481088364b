"""Texts under review as a text tower reads them, each read once."""

from collections.abc import Sequence
from threading import RLock

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.encoders.base import TextEncoder
from hlss.errors import UserError
from hlss.language.encode import encode
from hlss.language.review.entries import Wording
from hlss.types import Level


class TextRows:
    """The row that a training makes of four descriptions (language/encode.py), kept until the server ends: an edited
    text is another one. Tabs may ask at the same time.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._rows: dict[tuple[str, ...], Float32[ndarray, " d"]] = {}
        self._lock = RLock()

    def row(self, wording: Wording) -> Float32[ndarray, " d"]:
        """Length 1. Raises UserError where a description is longer than the tower reads."""
        found: Float32[ndarray, " d"] = self.rows([wording])[0]
        if not found.any():
            fix = "Shorten it."
            raise UserError(
                f"a description is longer than the {self.encoder.context} tokens that the text tower reads",
                where=wording.place,
                fix=fix,
            )
        return found

    def rows(self, wordings: Sequence[Wording]) -> Float32[ndarray, "k d"]:
        """In order; zeros where a description is longer than the tower reads."""
        with self._lock:
            new = list(dict.fromkeys(one.descriptions for one in wordings if one.descriptions not in self._rows))
            if new:
                self._read(new)
            return np.stack([self._rows[one.descriptions] for one in wordings])

    def _read(self, new: Sequence[tuple[str, ...]]) -> None:
        counts = np.reshape(self.encoder.token_counts([text for texts in new for text in texts]), (len(new), -1))
        fits: list[bool] = np.all(counts <= self.encoder.context, axis=1).tolist()
        rows = np.zeros((len(new), self.encoder.dim), dtype=np.float32)
        short = [list(texts) for texts, fit in zip(new, fits, strict=True) if fit]
        if short:
            rows[fits] = encode({Level.PATCH: short}, self.encoder, None)[Level.PATCH].numpy()
        self._rows.update(zip(new, rows, strict=True))
