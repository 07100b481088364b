"""`hlss train`: from an experiment file to a run folder with checkpoints."""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from lightning_fabric import Fabric
from lightning_fabric.utilities.rank_zero import _get_rank

from hlss.batches.features import FeatureStream, FeatureViews
from hlss.batches.loader import BatchStream
from hlss.batches.sampler import Sampler
from hlss.config import read_settings, settings_text
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.monitor import ValidationMonitor
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import Data, Say, build_encoder, build_objective, open_data, place_projection, refuse_misfit
from hlss.train.checkpoint import Checkpoints
from hlss.train.device import launched, uses_bf16
from hlss.train.loop import Batches, Run, train
from hlss.train.problems import TRAINING, Problems
from hlss.train.run_folder import RunFolder


def first_process() -> bool:
    """Whether this is the process that writes, as far as the environment (torchrun, SLURM, Fabric) tells."""
    return _get_rank() in (None, 0)


def say_once(text: str) -> None:
    """One line on standard error, from the first process only."""
    if first_process():
        print(text, file=sys.stderr, flush=True)


def train_run(config: Path, overrides: Sequence[str]) -> Path:
    """Train the experiment of a file; returns the run folder. Raises UserError, Stopped."""
    return train_experiment(read_settings(config, Experiment, overrides))


def train_experiment(experiment: Experiment, say: Say = say_once) -> Path:
    """Train an experiment to its end, from wherever its folder stands."""
    folder = RunFolder(experiment.folder, experiment.hash, settings_text(experiment), {})
    first = first_process()
    with folder if first else nullcontext():
        if first and _finished(experiment):
            say(f"nothing to do: {experiment.folder} is trained to its last step")
            return experiment.folder
        _train(experiment, folder, say)
    return experiment.folder


def _train(experiment: Experiment, folder: RunFolder, say: Say) -> None:
    fabric = launched(experiment.train)
    with fabric.rank_zero_first():  # the first process fills the caches, the others find them full
        data = open_data(experiment, say)
        if "train" not in data.sides:
            raise UserError("no patients to train on", where="split", fix="Leave some on the train side.")
        encoder = build_encoder(experiment, say)
        refuse_misfit(experiment, data.cohort, encoder)
    steps, sampler = _length(experiment, data, fabric.world_size, say)
    begun = bool(Checkpoints(folder.folder / "checkpoints").steps())
    if encoder.wants_features() and not begun:
        place_projection(encoder, experiment, data.sides["train"])  # before an objective copies the tower
    with fabric.rank_zero_first():
        objective, texts = build_objective(experiment, encoder, len(data.cohort.classes), say)
    bf16 = uses_bf16(experiment.train, fabric.device)
    facts = provenance(
        method=experiment.name,
        seed=experiment.seed,
        fold=experiment.split.fold,
        data_hash=data.cohort.fingerprint,
        bank_fingerprint=None if texts is None else texts.fingerprint,
        bank_status=None if texts is None else texts.bank.status,
        notices=[*(() if texts is None else texts.notices), *objective.notices],
        steps=steps,
        precision="bf16" if bf16 else "fp32",
        processes=fabric.world_size,
    )
    if fabric.global_rank == 0:
        folder.note(facts)
        Problems(folder.folder, TRAINING).images(data.cohort.problems)
    say(f"training {steps} steps of {sampler.patients} patients in {facts['precision']} on {fabric.device}")
    batches = stream_of(experiment, data, sampler, encoder.input_px, steps, fabric)
    run = Run(
        encoder=encoder,
        objective=objective,
        batches=batches,
        tiles=data.sides["train"].n_tiles,
        spec=experiment.train,
        steps=steps,
        seed=experiment.seed,
        bf16=bf16,
        monitor=ValidationMonitor.of(data.sides, experiment, fabric.device) if fabric.global_rank == 0 else None,
    )
    train(run, fabric, folder)


def _length(experiment: Experiment, data: Data, world: int, say: Say) -> tuple[int, Sampler]:
    sampler = Sampler(data.sides["train"], experiment.batches, experiment.seed, world)
    for notice in sampler.notices:
        say(f"note: {notice}")
    return experiment.train.length(sampler.steps_per_epoch), sampler


def stream_of(
    experiment: Experiment, data: Data, sampler: Sampler, px: int, steps: int, fabric: Fabric
) -> Callable[[int], Batches]:
    """The stream from a step on, of pixels or of stored features."""
    cohort, seed, rank, views = data.sides["train"], experiment.seed, fabric.global_rank, experiment.views
    if isinstance(views, FeatureViews):
        return lambda start: FeatureStream(cohort, sampler, views, seed, start, steps, rank)
    loader = experiment.loader
    return lambda start: BatchStream(
        cohort=cohort,
        sampler=sampler,
        views=views,
        input_px=px,
        seed=seed,
        start=start,
        stop=steps,
        rank=rank,
        workers=loader.workers,
        executor=loader.executor,
        device=fabric.device,
    )


def _finished(experiment: Experiment) -> bool:
    steps = experiment.train.steps
    done = Checkpoints(experiment.folder / "checkpoints").steps()
    return bool(done) and steps is not None and done[-1] >= steps
