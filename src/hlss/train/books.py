"""What is kept of a run while it goes: state, checkpoints, log, validation, skipped batches, unreadable tiles."""

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric

from hlss.errors import UserError
from hlss.files import replacing
from hlss.train.checkpoint import Checkpoints, State
from hlss.train.network import Network
from hlss.train.problems import TRAINING, Problems
from hlss.train.progress import Reporter
from hlss.train.run_folder import Log, RunFolder
from hlss.train.step import NonFiniteLossError, Step, any_rank
from hlss.train.stopping import Stopped
from hlss.types import LEVELS, ViewBatch

if TYPE_CHECKING:
    from hlss.train.loop import Batches, Run


class Books:
    """Opened with `with` after `begin`; files are written by the first rank only."""

    def __init__(
        self, run: "Run", fabric: Fabric, folder: RunFolder, network: Network, optimizer: torch.optim.Optimizer
    ) -> None:
        self.run, self.fabric, self.folder, self.network, self.optimizer = (
            run,
            fabric,
            folder.folder,
            network,
            optimizer,
        )
        self.checkpoints = Checkpoints(self.folder / "checkpoints", run.spec.keep_last, run.spec.keep_every)
        self.first = fabric.global_rank == 0
        self.state = State()
        self.problems = Problems(self.folder, TRAINING)
        self._stream: Batches | None = None
        self._buffers: list[torch.Tensor] = []
        self._clock = time.monotonic()

    def begin(self) -> State:
        """Go on from the newest checkpoint; where there is none, write one of the start."""
        if self.checkpoints.steps():
            self.state = self.checkpoints.load("last", self.run.encoder, self.run.objective, self.optimizer)
        elif self.first:
            self._save()
        self.fabric.barrier()
        return self.state

    def __enter__(self) -> "Books":
        self.log = Log(self.folder, self.state.step) if self.first else None
        self.reporter = Reporter(self.run.steps, self.state.step, self.first).__enter__()
        if self.state.step == 0:
            self._validate()
        elif self.state.step < self.run.steps:
            self.reporter.say(f"going on from step {self.state.step} of {self.run.steps}")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.reporter.__exit__(kind, value, at)
        if self.log is not None:
            self.log.close()

    def batches(self) -> Iterator[ViewBatch]:
        """The batches still to come, on the device."""
        self._stream = self.run.batches(self.state.step)
        self._clock = time.monotonic()
        for batch in self._stream:
            self._buffers = [buffer.clone() for buffer in self.network.buffers()]
            yield self._on_device(batch)

    def took(self, batch: ViewBatch, result: Step, rate: float, norm: float) -> None:
        """A step was taken: show it, and log it every `log_every` steps."""
        self.state.bad_in_a_row = 0
        now = time.monotonic()
        speed, self._clock = batch.m * self.fabric.world_size / (now - self._clock), now
        done = self.state.step + 1
        self.reporter.step(done, result.terms, speed)
        measures = self.run.objective.measures(result.z.detach())
        if self.log is None or not (done % self.run.spec.log_every == 0 or result.gradient_norms):
            return
        row = {"loss/total": sum(result.terms.values()), "lr": rate, "gradient/total": norm, "views_per_second": speed}
        row |= {f"loss/{name}": value for name, value in result.terms.items()}
        row |= {f"gradient_at_z/{name}": value for name, value in result.gradient_norms.items()}
        self.log.write(done, row | measures)

    def skip(self, batch: ViewBatch, error: NonFiniteLossError) -> None:
        """Leave a non-finite step out: buffers go back to before it, the batch's ids are kept.

        Raises UserError after `max_bad_steps` in a row.
        """
        for buffer, before in zip(self.network.buffers(), self._buffers, strict=True):
            buffer.copy_(before)
        self.state.skipped += 1
        self.state.bad_in_a_row += 1
        path = self.folder / f"skipped-rank{self.fabric.global_rank}.jsonl"
        ids = {level: sorted(set(batch.ids[level].flatten().tolist())) for level in LEVELS}
        with path.open("a") as file:
            file.write(json.dumps({"step": self.state.step, "why": str(error), "ids": ids}) + "\n")
        self.reporter.say(f"step {self.state.step} skipped, loss not finite: {error}")
        if self.state.bad_in_a_row >= self.run.spec.max_bad_steps:
            raise UserError(
                f"loss not finite {self.state.bad_in_a_row} steps in a row ({error})",
                where=path,
                fix="Lower train.lr, set train.clip_norm=1, or train.precision=fp32.",
            )

    def end_step(self, stop_asked: bool) -> None:
        """Count the step; validate, save, and leave if asked to, all ranks together. Raises Stopped, UserError."""
        self.state.step += 1
        spec, step, last = self.run.spec, self.state.step, self.state.step == self.run.steps
        self._note_unreadable()
        validates = last if spec.validate_every is None else last or step % spec.validate_every == 0
        better = self._validate() if validates else False
        stopping = any_rank(self.fabric, stop_asked) and not last
        if self.first and (last or better or stopping or step % spec.checkpoint_every == 0):
            self._save()
        self.fabric.barrier()
        if stopping:
            raise Stopped(f"stopped at step {step} of {self.run.steps}; run the same command to go on")

    def _validate(self) -> bool:
        """Whether the encoder is the best so far on validation patients. Other ranks wait."""
        better = False
        if self.first and self.run.monitor is not None:
            self.run.encoder.eval()
            measures = self.run.monitor(self.run.encoder)
            if self.log is not None:
                self.log.write(self.state.step, measures)
            score = measures[self.run.monitor.score]
            self.reporter.say(f"step {self.state.step}: " + "  ".join(f"{k} {v:.3f}" for k, v in measures.items()))
            better = self.state.best_score is None or score > self.state.best_score
            if better:
                self.state.best_step, self.state.best_score = self.state.step, score
        self.fabric.barrier()
        return better

    def _note_unreadable(self) -> None:
        found = self._stream.unreadable if self._stream is not None else {}
        if len(found) == 0 or set(found) <= set(self.state.unreadable):
            return
        self.state.unreadable |= found
        self.problems.tiles(found)
        path = self.folder / f"unreadable-rank{self.fabric.global_rank}.txt"
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{tile}\t{why}\n" for tile, why in sorted(self.state.unreadable.items())))
        count = len(self.state.unreadable)
        self.reporter.say(f"{count} unreadable tiles so far, replaced by others of the same patient: see {path}")
        if count > self.run.spec.max_unreadable * self.run.tiles:
            raise UserError(
                f"{count} of {self.run.tiles} tiles are unreadable, more than train.max_unreadable allows",
                where=path,
                fix="Mend the images listed there, or raise train.max_unreadable.",
            )

    def _save(self) -> None:
        self.checkpoints.save(self.run.encoder, self.run.objective, self.optimizer, self.state)

    def _on_device(self, batch: ViewBatch) -> ViewBatch:
        to = self.fabric.to_device
        labels = None if batch.labels is None else to(batch.labels)
        return ViewBatch(to(batch.views), {level: to(ids) for level, ids in batch.ids.items()}, labels)
