"""The whole of training on one screen."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from lightning_fabric import Fabric

from hlss.encoders.base import ImageEncoder
from hlss.objectives.base import Objective
from hlss.train.books import Books
from hlss.train.checkpoint import State
from hlss.train.network import Network
from hlss.train.optim import freeze, learning_rate, optimiser, set_learning_rate
from hlss.train.run_folder import RunFolder
from hlss.train.settings import TrainSpec
from hlss.train.step import NonFiniteLossError, clipped_norm, run_step, step_seed
from hlss.train.stopping import StopRequest
from hlss.types import ViewBatch


class Batches(Protocol):
    """A stream of batches; `unreadable` names the tiles that had to be replaced so far, and why."""

    @property
    def unreadable(self) -> Mapping[str, str]: ...

    def __iter__(self) -> Iterator[ViewBatch]: ...


class Monitor(Protocol):
    """Looks at the encoder on validation patients; `score` names the measure that chooses the best checkpoint."""

    @property
    def score(self) -> str: ...

    def __call__(self, encoder: ImageEncoder) -> dict[str, float]: ...


@dataclass(frozen=True)
class Run:
    """All that a training run is made of.

    batches: the stream from a step on, a pure function of it; tiles: number of tiles it draws from.
    """

    encoder: ImageEncoder
    objective: Objective
    batches: Callable[[int], Batches]
    tiles: int
    spec: TrainSpec
    steps: int
    seed: int
    bf16: bool
    monitor: Monitor | None = None


def train(run: Run, fabric: Fabric, folder: RunFolder) -> State:
    """Train from where the folder stands to the last step; on the same machine a resumed run equals an unbroken one.

    Raises Stopped after a stop that was asked for (the state is saved), UserError where going on makes no sense.
    """
    spec = run.spec
    freeze(run.encoder, spec.freeze)
    inner = Network(run.encoder, run.objective, run.bf16)
    network, optimizer = fabric.setup(inner, optimiser(run.encoder, run.objective, spec))
    parameters = [p for p in inner.parameters() if p.requires_grad]
    books = Books(run, fabric, folder, inner, optimizer.optimizer)
    state = books.begin()
    with StopRequest() as stop, books:
        for batch in books.batches():
            freeze(run.encoder, spec.freeze)
            torch.manual_seed(step_seed(run.seed, state.step, fabric.global_rank))
            rate = learning_rate(spec, state.step, run.steps)
            set_learning_rate(optimizer, rate)
            optimizer.zero_grad()
            try:
                with_norms = state.step % spec.gradients_every == 0
                result = run_step(fabric, network, inner, batch, spec.chunk, with_norms)
                norm = clipped_norm(parameters, spec.clip_norm)
            except NonFiniteLossError as error:
                books.skip(batch, error)
            else:
                optimizer.step()
                run.objective.after_step(run.encoder, (state.step + 1) / run.steps)
                books.took(batch, result, rate, norm)
            books.end_step(stop.asked)
    return state
