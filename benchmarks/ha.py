"""HA's text match (which text of a level does each view match best): one matmul beside the broadcast cosine."""

import argparse

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor
from torch.utils.benchmark import Timer

from hlss.objectives.selection import choose

GOAL = 250.0


def broadcast(z: Tensor, texts: Tensor) -> Tensor:
    """The released code's way: cosine similarity over an (m, K, d) expansion of both."""
    return F.cosine_similarity(z.unsqueeze(1), texts.unsqueeze(0), dim=2).argmax(dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    seconds = 0.2 if parser.parse_args().quick else 1.0
    draw = torch.Generator().manual_seed(0)
    m, k, d = 256, 128, 1024
    z, texts = (F.normalize(torch.randn(n, d, generator=draw), dim=1) for n in (m, k))
    best = {"matmul": float("inf"), "broadcast": float("inf")}
    for _ in range(3):
        for name, way in (("matmul", choose), ("broadcast", broadcast)):
            timer = Timer("f(z, t)", globals={"f": way, "z": z, "t": texts}, num_threads=torch.get_num_threads())
            best[name] = min(best[name], timer.blocked_autorange(min_run_time=seconds).median * 1e3)
    ratio = best["broadcast"] / best["matmul"]
    agree = (choose(z, texts) == broadcast(z, texts)).float().mean()
    print(f"HA text match, m = {m}, K = {k}, d = {d}, {torch.get_num_threads()} threads")
    print("  matmul   broadcast |  ratio (goal) | same choice   largest tensor: matmul   broadcast")
    print(
        f"{best['matmul']:5.2f} ms {best['broadcast']:8.1f} ms | {ratio:5.0f}× ({GOAL:g}×) |"
        f" {100 * agree:9.1f} % {m * k * 4 / 1e6:20.2f} MB {m * k * d * 4 / 1e6:8.0f} MB"
    )


if __name__ == "__main__":
    main()
