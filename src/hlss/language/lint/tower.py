"""What a text tower makes of a bank: what it cannot read to the end, cannot tell apart, or puts elsewhere."""

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from hlss.encoders.base import TextEncoder
from hlss.language.bank import DESCRIPTIONS, DescriptionBank, Place, token_counts
from hlss.language.lint.findings import Finding, Findings, Severity

CLOSER_THAN = 0.99  # of pairs of descriptions that are meant to say the same
FARTHER_THAN = 0.5  # of other characteristics

Rows = Float32[ndarray, "... d"]
Counted = list[tuple[Place, str, int]]


def by_tower(bank: DescriptionBank, encoder: TextEncoder) -> Findings:
    """Rules tokens (error), too_near and apart (warnings), by the tower's own measure of the bank: cosines of
    descriptions of one characteristic say what it takes for the same. A description apart does not speak of its
    characteristic, as far as the tower can tell: it is no nearer to its name and siblings than to half of all others.
    """
    counted = token_counts(bank, encoder)
    for place, text, count in counted:
        if count > encoder.context:
            yield Finding("tokens", Severity.ERROR, place, text, f"{count} tokens, the tower reads {encoder.context}")
    texts = _unit(encoder, [text for _, text, _ in counted])
    names = _unit(encoder, [one.name for _, one in bank.characteristics()])
    if len(names) < 2:
        return
    yield from _too_near(counted, texts)
    yield from _apart(counted, texts, names)


def _too_near(counted: Counted, texts: Rows) -> Findings:
    cosines, of = texts @ texts.T, np.arange(len(texts)) // DESCRIPTIONS
    siblings, itself = of[:, None] == of, np.eye(len(of), dtype=bool)
    near = float(np.quantile(cosines[siblings & ~itself], CLOSER_THAN))
    cosines[siblings] = -1
    for row, (place, text, _) in enumerate(counted):
        nearest = int(cosines[row].argmax())
        if cosines[row, nearest] > near:
            reason = f"cosine {cosines[row, nearest]:.3f} with {counted[nearest][1]!r} of {counted[nearest][0]}"
            yield Finding("too_near", Severity.WARNING, place, text, reason)


def _apart(counted: Counted, texts: Rows, names: Rows) -> Findings:
    whole = names + texts.reshape(len(names), DESCRIPTIONS, -1).sum(axis=1)
    cosines = texts @ _normed(whole).T
    for row, (place, text, _) in enumerate(counted):
        of = row // DESCRIPTIONS
        own = float(_normed(whole[of] - texts[row]) @ texts[row])
        others = float(np.quantile(np.delete(cosines[row], of), FARTHER_THAN))
        if own < others:
            reason = f"cosine {own:.3f} with its name and siblings, {others:.3f} with half of all other characteristics"
            yield Finding("apart", Severity.WARNING, place, text, reason)


def _unit(encoder: TextEncoder, texts: list[str]) -> Rows:
    with torch.no_grad():
        return _normed(encoder.encode(texts).float().cpu().numpy())


def _normed(rows: Rows) -> Rows:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
