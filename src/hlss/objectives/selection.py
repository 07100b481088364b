"""Which text each view is to be aligned with: the paper's hard choice, and ways that do not collapse (CAM, SPEC §3)."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Selection = Literal["hard", "centred", "balanced", "soft"]
# Of Sinkhorn's normalisation. SwAV takes 3, after which texts of crowded views are up to a fifth off equal use
# (96 views, 128 texts); after 5 they are within 4 %.
ROUNDS = 5
# Of `balanced` and `soft`: inverse temperature, scores being in units of their standard deviation. SwAV's (1/ε = 20) is
# for cosines. No paper's and not tuned: at 2 a view's mixture spreads over about a quarter of random texts.
SHARPNESS = 2.0


def choose(z: Float[Tensor, "m d"], texts: Float[Tensor, "k d"]) -> Int[Tensor, " m"]:
    """argmax_k cos(t_k, z) of unit rows: the text each view matches best (SPEC §3). Hard, hence without gradient."""
    return (z.detach() @ texts.T).argmax(dim=1)


@torch.no_grad()
def selected(
    z: Float[Tensor, "M d"], texts: Float[Tensor, "k d"], selection: Selection, rows: slice
) -> Float[Tensor, "m d"]:
    """t', the text row that each of the views `rows` is to be aligned with; z: unit rows of all views of the batch.

    hard:     the nearest text.
    centred:  the nearest after the mean view is taken from views and the mean text from texts, so that a direction
              that all views share decides nothing.
    balanced: of the centred scores, what Sinkhorn's algorithm assigns when every text must be used alike over the
              batch (as in SwAV, Caron et al. 2020, eq. 3), the best of it.
    soft:     the mixture of texts by a softmax of the centred scores, at unit length.
    """
    if selection == "hard":
        return texts[choose(z[rows], texts)]
    scores = centred_scores(z, texts)
    if selection == "soft":
        mixed = torch.softmax(SHARPNESS * scores[rows], dim=1) @ texts
        return torch.nn.functional.normalize(mixed, dim=1)
    if selection == "balanced":
        scores = assigned(SHARPNESS * scores)
    return texts[scores[rows].argmax(dim=1)]


def centred_scores(z: Float[Tensor, "M d"], texts: Float[Tensor, "k d"]) -> Float[Tensor, "M k"]:
    """Products of views less their mean and texts less theirs, in units of their standard deviation."""
    scores = (z - z.mean(dim=0)) @ (texts - texts.mean(dim=0)).T
    return scores / scores.square().mean().sqrt().clamp_min(torch.finfo(scores.dtype).tiny)


def assigned(logits: Float[Tensor, "M k"]) -> Float[Tensor, "M k"]:
    """log of the transport plan of exp(logits) with equal rows and equal columns (Sinkhorn–Knopp, in logarithms)."""
    for _ in range(ROUNDS):
        logits = logits - torch.logsumexp(logits, dim=0)
        logits = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return logits
