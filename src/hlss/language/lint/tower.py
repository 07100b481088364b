"""What a text tower makes of a bank: what it cannot read to the end, cannot tell apart, or puts elsewhere."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float
from numpy import ndarray

from hlss.encoders.base import TextEncoder
from hlss.language.bank import DESCRIPTIONS, DescriptionBank, token_counts
from hlss.language.lint.findings import Finding, Findings, Severity

CLOSER_THAN = 0.99  # of pairs of descriptions that are meant to say the same
FARTHER_THAN = 0.5  # of pairs of descriptions of different characteristics


def by_tower(bank: DescriptionBank, encoder: TextEncoder) -> Findings:
    """Rules tokens (error), too_near and apart (warnings), by the tower's own measure of the bank: cosines of
    descriptions of one characteristic say what it takes for the same.
    """
    counted = token_counts(bank, encoder)
    for place, text, count in counted:
        if count > encoder.context:
            yield Finding("tokens", Severity.ERROR, place, text, f"{count} tokens, the tower reads {encoder.context}")
    cosines = _cosines([text for _, text, _ in counted], encoder)
    of = np.arange(len(counted)) // DESCRIPTIONS
    siblings, itself = of[:, None] == of, np.eye(len(of), dtype=bool)
    alike, others = cosines[siblings & ~itself], cosines[~siblings]
    if not len(others):
        return
    near, far = float(np.quantile(alike, CLOSER_THAN)), float(np.quantile(others, FARTHER_THAN))
    own = np.where(siblings & ~itself, cosines, 0).sum(axis=1) / (DESCRIPTIONS - 1)
    cosines[siblings] = -1
    for row, (place, text, _) in enumerate(counted):
        nearest = int(cosines[row].argmax())
        if cosines[row, nearest] > near:
            reason = f"cosine {cosines[row, nearest]:.3f} with {counted[nearest][1]!r} of {counted[nearest][0]}"
            yield Finding("too_near", Severity.WARNING, place, text, reason)
        if own[row] < far:
            reason = f"cosine {own[row]:.3f} with its three siblings, {far:.3f} is that of any two"
            yield Finding("apart", Severity.WARNING, place, text, reason)


def _cosines(texts: list[str], encoder: TextEncoder) -> Float[ndarray, "n n"]:
    with torch.no_grad():
        unit = F.normalize(encoder.encode(texts).float(), dim=1).cpu()
    return np.asarray((unit @ unit.T).numpy())
