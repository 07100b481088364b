"""From a bank to the text matrices t_l (SPEC §1): once, without gradient, and from then on from a cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hlss.config import Part, choice
from hlss.encoders.base import TextEncoder
from hlss.encoders.specs import TextSpec
from hlss.errors import UserError
from hlss.files import digest, replacing
from hlss.language.bank import DescriptionBank, check_tokens, read_bank
from hlss.registry import TEXTS
from hlss.types import LEVELS, Level

Rows = dict[Level, Float[Tensor, "k d"]]


@dataclass(frozen=True)
class Texts:
    """Text matrices by level, unit rows, and where they come from. family: of the tower that wrote them."""

    rows: Mapping[Level, Float[Tensor, "k d"]]
    family: str | None
    bank: DescriptionBank
    fingerprint: str
    notices: tuple[str, ...] = ()


class LanguageSpec(Part):
    """Which words. bank: a shipped bank's name or a path; text: the text tower (default: the image tower's own).

    variant: granular, each level its own characteristics; generic, one level's (`generic_level`) at all levels
    (Table 5); permuted, a control: all descriptions of the bank are dealt anew, by `seed`, to levels and
    characteristics, so that a row is the mean of four unrelated texts (SPEC §3).
    """

    bank: str = "general_he"
    text: choice(TEXTS) | None = None  # type: ignore[valid-type]
    variant: Literal["granular", "generic", "permuted"] = "granular"
    generic_level: Level = Level.SLIDE
    seed: int = Field(default=0, ge=0)

    def encoded(self, default: TextSpec | None, cache: Path | None) -> Texts:
        """The matrices of this bank by its text tower, or by `default` where none is set. Raises UserError."""
        spec: TextSpec | None = self.text if self.text is not None else default
        if spec is None:
            raise UserError(
                "the image encoder has no text tower of its own", where="language.text", fix="Name one, as minilm."
            )
        bank, encoder = read_bank(self.bank), spec.build()
        check_tokens(bank, encoder)
        groups = self.groups(bank)
        notices = (*spec.notices, *_bank_notices(bank))
        fingerprint = digest([bank.fingerprint, self.variant, self.generic_level, self.seed])
        if self.variant == "granular":
            fingerprint = bank.fingerprint
        return Texts(encode(groups, encoder, cache), encoder.family, bank, fingerprint, notices)

    def groups(self, bank: DescriptionBank) -> dict[Level, list[list[str]]]:
        """By level, the descriptions that make each row, as the variant has them."""
        if self.variant == "generic":
            return {level: bank.texts(self.generic_level) for level in LEVELS}
        groups = {level: bank.texts(level) for level in LEVELS}
        if self.variant == "granular":
            return groups
        every = [text for level in LEVELS for row in groups[level] for text in row]
        dealt = iter(np.random.Generator(np.random.Philox(self.seed)).permutation(np.array(every, dtype=object)))
        return {level: [[str(next(dealt)) for _ in row] for row in groups[level]] for level in LEVELS}


def encode(groups: Mapping[Level, list[list[str]]], encoder: TextEncoder, cache: Path | None) -> Rows:
    """Row k of a level = normalize(mean_j normalize(F_L(description_kj))), float32, on the CPU.

    cache: folder of matrices by (texts, tower); a broken file there is made anew.
    """
    if cache is None:
        return _encoded(groups, encoder)
    path = Path(cache) / f"{digest([dict(groups), encoder.fingerprint], 20)}.safetensors"
    try:
        stored = load(path.read_bytes())
        return {level: stored[level] for level in groups}
    except (OSError, SafetensorError, KeyError):
        rows = _encoded(groups, encoder)
        with replacing(path) as temporary:
            temporary.write_bytes(save({str(level): matrix for level, matrix in rows.items()}))
        return rows


def _encoded(groups: Mapping[Level, list[list[str]]], encoder: TextEncoder) -> Rows:
    """Every different text goes through the tower once."""
    texts = list(dict.fromkeys(text for rows in groups.values() for row in rows for text in row))
    with torch.no_grad():
        embedded = F.normalize(encoder.encode(texts).float(), dim=1).cpu()
    if not bool(torch.isfinite(embedded).all()):
        raise UserError("the text tower gave embeddings that are not finite", where=encoder.fingerprint)
    place = {text: number for number, text in enumerate(texts)}
    return {
        level: torch.stack([F.normalize(embedded[[place[text] for text in row]].mean(dim=0), dim=0) for row in rows])
        for level, rows in groups.items()
    }


def _bank_notices(bank: DescriptionBank) -> tuple[str, ...]:
    if bank.status == "approved":
        return ()
    return (f"bank {bank.title!r} is unreviewed: no pathologist has verified its descriptions",)
