"""Independent truth for objectives: Eq. 1 and Eq. 6 as loops in float64, and hierarchies of every awkward shape."""

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.objectives.base import Gathered, Given, Objective
from hlss.types import LEVELS, Level

Ids = dict[Level, Tensor]


def _ids(patch: list[int], slide: list[int], patient: list[int]) -> Ids:
    return {Level.PATCH: torch.tensor(patch), Level.SLIDE: torch.tensor(slide), Level.PATIENT: torch.tensor(patient)}


HIERARCHIES: dict[str, Ids] = {
    "regular": _ids([i // 2 for i in range(24)], [i // 4 for i in range(24)], [i // 8 for i in range(24)]),
    # each patient has one slide, which fills both places
    "single_slide": _ids([i // 2 for i in range(24)], [i // 8 for i in range(24)], [i // 8 for i in range(24)]),
    # patch 3 drawn twice, in two places
    "duplicated": _ids([3, 3, 9, 9, 3, 3, 4, 4, 5, 5, 6, 6], [1] * 6 + [2] * 2 + [8] * 4, [0] * 8 + [7] * 4),
    # views 4, 7 have no positives at patch level, view 7 none at any
    "lacking": _ids([0, 0, 1, 1, 2, 3, 3, 90, 5, 5], [0, 0, 0, 0, 1, 1, 1, 91, 2, 2], [4, 4, 4, 4, 4, 4, 4, 92, 2, 2]),
    "shuffled": _ids([7, 2, 7, 5, 2, 5, 9, 9], [40, 3, 40, 3, 3, 3, 8, 8], [1, 6, 1, 6, 6, 6, 1, 1]),
}


@pytest.fixture(params=HIERARCHIES)
def ids(request: pytest.FixtureRequest) -> Ids:
    """Identity of each view, by level."""
    return HIERARCHIES[request.param]


@pytest.fixture
def lacking() -> Ids:
    """A hierarchy in which some anchors have no positives."""
    return HIERARCHIES["lacking"]


@pytest.fixture
def unit_rows() -> Callable[..., Tensor]:
    """unit_rows(n, width, seed=0, dtype=…): random unit rows, a leaf that takes gradient."""

    def make(n: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        draw = torch.Generator().manual_seed(seed)
        rows = F.normalize(torch.randn(n, width, generator=draw, dtype=torch.float64), dim=1)
        return rows.to(dtype).requires_grad_()

    return make


@pytest.fixture
def positives() -> Callable[[Tensor], Tensor]:
    """positives(ids): M × M, whether two views are different ones of equal id."""

    def mask(ids: Tensor) -> Tensor:
        return (ids[:, None] == ids) & ~torch.eye(len(ids), dtype=torch.bool)

    return mask


@pytest.fixture
def naive_contrast() -> Callable[[Tensor, Tensor, float], Tensor]:
    """Eq. 1, meaned over the anchors that have positives: one anchor, one positive, one negative at a time."""

    def loss(z: Tensor, ids: Tensor, tau: float) -> Tensor:
        names, anchors = ids.tolist(), []
        for i in range(len(names)):
            positives = [p for p in range(len(names)) if p != i and names[p] == names[i]]
            if not positives:
                continue
            logits = {a: (z[i] * z[a]).sum() / tau for a in range(len(names)) if a != i}
            log_total = torch.logsumexp(torch.stack(list(logits.values())), dim=0)
            anchors.append(-torch.stack([logits[p] - log_total for p in positives]).sum() / len(positives))
        return torch.stack(anchors).sum() / len(anchors)

    return loss


@pytest.fixture
def naive_kl() -> Callable[[Tensor, Tensor], Tensor]:
    """KL(softmax(a)‖softmax(b)) of two vectors, entry by entry."""

    def kl(a: Tensor, b: Tensor) -> Tensor:
        p, q = a.exp() / a.exp().sum(), b.exp() / b.exp().sum()
        return torch.stack([p[i] * torch.log(p[i] / q[i]) for i in range(len(a))]).sum()

    return kl


@pytest.fixture
def naive_choice() -> Callable[[Tensor, Tensor], int]:
    """argmax_k cos(t_k, z) for one view, one text at a time."""

    def choice(z: Tensor, texts: Tensor) -> int:
        cosines = [float((t * z).sum().detach() / (t.norm() * z.detach().norm())) for t in texts]
        return cosines.index(max(cosines))

    return choice


@pytest.fixture
def texts() -> dict[Level, Tensor]:
    """Unit text rows of three levels, a number of its own each, 16 dimensions, float64."""
    draw = torch.Generator().manual_seed(7)
    return {
        level: F.normalize(torch.randn(k, 16, generator=draw, dtype=torch.float64), dim=1)
        for level, k in zip(LEVELS, (5, 6, 7), strict=True)
    }


@pytest.fixture
def given(texts: dict[Level, Tensor]) -> Given:
    """What objectives are built from here: 16-dimensional features and texts, towers that belong together."""
    return Given(encoder=torch.nn.Identity(), dim=16, texts=texts, classes=3, aligned=True, seed=3)


@pytest.fixture
def terms_of() -> Callable[[Objective, Tensor, Mapping[Level, Tensor]], dict[str, Tensor]]:
    """Terms of an objective in one process."""

    def terms(objective: Objective, z: Tensor, ids: Mapping[Level, Tensor]) -> dict[str, Tensor]:
        projected = objective.project(z)
        return objective.loss(Gathered(projected.shared, projected.own, ids, None, slice(0, len(z))))

    return terms
