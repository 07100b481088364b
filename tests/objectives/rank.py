"""One rank of a run with DDP and an autograd-aware gather: `python rank.py RANK WORLD STORE OUT`.

Run by test_distributed.py; without the command line, `gradients` of one process is the truth that ranks are held to.
"""

import sys
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from hlss.objectives.base import Gathered, Given, Objective
from hlss.objectives.byol import Byol
from hlss.objectives.hidisc import HiDisc
from hlss.objectives.hlss import Hlss
from hlss.objectives.simclr import SimClr
from hlss.objectives.simsiam import SimSiam
from hlss.objectives.supervised import Supervised
from hlss.objectives.vicreg import VicReg
from hlss.types import LEVELS

M, PIXELS, DIM = 16, 10, 12
SPECS = {
    "hidisc": HiDisc(width=6),
    "fixed": Hlss(),
    "balanced": Hlss(selection="balanced"),
    "centred": Hlss(selection="centred", tau_a=0.5, lambda_ha=2.0),
    "plus": Hlss(mode="plus"),
    "paper": Hlss(mode="paper"),
    "released": Hlss(mode="released"),
    "hvc": Hlss(alignment=False, text_levels=("patch", "slide")),
    "simclr": SimClr(width=6),
    "simsiam": SimSiam(width=6, hidden=4),
    "byol": Byol(width=6, hidden=8),
    "vicreg": VicReg(width=6),
    "supervised": Supervised(),
}


class Net(nn.Module):
    """A tower without statistics, and the heads."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.tower, self.objective = nn.Linear(PIXELS, DIM, dtype=torch.float64), objective
        with torch.no_grad():
            self.tower.weight.copy_(torch.randn(DIM, PIXELS, generator=draw))
            self.tower.bias.zero_()

    def encode(self, tower: nn.Module, views: Tensor) -> Tensor:
        return torch.tanh(tower(views))

    def forward(self, views: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        projected = self.objective.project(self.encode(self.tower, views))
        return dict(projected.shared), dict(projected.own)


def gradients(name: str, rank: int, world: int) -> dict[str, Any]:
    """Terms (mean over ranks) and gradients of tower and heads."""
    draw = torch.Generator().manual_seed(0)
    views = torch.randn(M, PIXELS, generator=draw, dtype=torch.float64)
    ids = {level: torch.arange(M) // size for level, size in zip(LEVELS, (2, 4, 8), strict=True)}
    ids[LEVELS[0]][:3] = torch.tensor([50, 51, 52])  # patches seen once: rank 0 has fewer anchors than the others
    texts = {level: F.normalize(torch.randn(6, DIM, generator=draw, dtype=torch.float64), dim=1) for level in LEVELS}
    labels = torch.arange(M) % 3
    labels[:5] = -1  # rank 0 has fewer labels than the others
    tower = nn.Linear(PIXELS, DIM)
    nn.init.constant_(tower.weight, 0.3)
    nn.init.constant_(tower.bias, -0.1)
    net = Net(SPECS[name].build(Given(tower, DIM, texts, classes=3, aligned=True)).double())
    net.objective.eval()  # statistics of a head's norms are each rank's own
    rows = slice(rank * M // world, (rank + 1) * M // world)
    wrapped = nn.parallel.DistributedDataParallel(net) if world > 1 else net
    shared, own = wrapped(views[rows])
    if world > 1:
        shared = {key: torch.cat(all_gather(value)) for key, value in shared.items()}
    own |= net.objective.targets(lambda tower: net.encode(tower, views[rows]))
    terms = net.objective.loss(Gathered(shared, own, ids, labels, rows))
    torch.stack(list(terms.values())).sum().backward()
    found = {key: term.detach().clone() for key, term in terms.items()}
    if world > 1:
        for term in found.values():
            dist.all_reduce(term)
            term /= world
    return found | {key: value.grad for key, value in net.named_parameters() if value.requires_grad}


def main() -> None:
    rank, world, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    found = {name: gradients(name, rank, world) for name in SPECS}
    if rank == 0:
        torch.save(found, out)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
