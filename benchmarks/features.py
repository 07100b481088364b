"""Training on stored features: 10⁵ tiles of 1024 numbers, HLSS and HiDisc, batches of 256 views.

The floor is the arithmetic of the adapter (forward and backward) and of the loss; how views are gathered and disturbed,
the objective and the optimiser stand beside it, in steps a second and minutes for all tiles seen ten times.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from hlss.batches.features import FeatureStream, FeatureViews
from hlss.batches.sampler import Sampler, SamplerSpec
from hlss.cohorts.base import Cohort
from hlss.cohorts.embeddings import EmbeddingsSpec
from hlss.config import validate
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.adapter import Adapter
from hlss.objectives.base import Gathered, Given
from hlss.registry import OBJECTIVES
from hlss.train.network import Network, whole_batch
from hlss.types import LEVELS, ViewBatch

PATIENTS, SLIDES = 250, 2
SPEC = SamplerSpec(patients=32, slides=2, patches=2, views=2)
TEXTS = 128


def cohort(tiles: int, width: int, folder: Path) -> Cohort:
    """Random features of patients with two slides each."""
    slide = np.arange(tiles) * PATIENTS * SLIDES // tiles
    named = {
        "patient": [f"p{i // SLIDES:04d}" for i in slide],
        "slide": [f"s{i:05d}" for i in slide],
        "image": [f"s{i:05d}" for i in slide],
        **{name: [""] * tiles for name in ("site", "label")},
        "side": ["train"] * tiles,
    }
    columns = {name: np.array(values, dtype=object) for name, values in named.items()}
    columns |= {"x_px0": np.arange(tiles), "y_px0": np.zeros(tiles, dtype=np.int64)}
    features = np.random.default_rng(0).standard_normal((tiles, width), dtype=np.float32)
    EmbeddingTable(features, columns, {}).write(folder)
    return EmbeddingsSpec(path=[folder]).open()


def train(name: str, batches: list[ViewBatch], width: int) -> None:
    """Steps of an objective over these batches."""
    encoder = Adapter(width=width).build()
    draw = torch.Generator().manual_seed(1)
    texts = {level: torch.nn.functional.normalize(torch.randn(TEXTS, width, generator=draw), dim=1) for level in LEVELS}
    objective = validate({"name": name}, OBJECTIVES[name], where=name).build(  # type: ignore[attr-defined]
        Given(encoder, width, texts, classes=7)
    )
    network = Network(encoder, objective, bf16=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    for batch in batches:
        views = batch.flat()

        def loss_of(_: object, projected: object, batch: ViewBatch = batch) -> torch.Tensor:
            shared, own = projected.shared, projected.own  # type: ignore[attr-defined]
            terms = objective.loss(Gathered(shared, own, batch.flat_ids(), batch.flat_labels(), slice(0, batch.m)))
            return torch.stack(list(terms.values())).sum()

        optimizer.zero_grad()
        whole_batch(network, network, views, loss_of, torch.Tensor.backward)
        optimizer.step()


def seconds(action: object) -> float:
    began = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        opened = cohort(given.tiles, given.width, Path(folder) / "table")
        stream = FeatureStream(
            opened, Sampler(opened, SPEC, 0), FeatureViews(preset="features"), seed=0, start=0, stop=given.steps
        )
        next(iter(stream))  # the spread of the features is measured once
        batches: list[ViewBatch] = []
        made = seconds(lambda: batches.extend(stream))
    views = batches[0].m
    print(f"{given.tiles} tiles of {given.width} features, {views} views a step, {torch.get_num_threads()} threads")
    print(f"  views          {1000 * made / given.steps:7.1f} ms a step")
    for name in ("hidisc", "hlss"):
        train(name, batches[:3], given.width)
        took = seconds(lambda name=name: train(name, batches, given.width))
        whole = 10 * given.tiles * SPEC.views / views * (made + took) / given.steps / 60
        print(f"  {name:14s} {1000 * took / given.steps:7.1f} ms a step; all tiles ten times: {whole:.1f} min")


if __name__ == "__main__":
    main()
