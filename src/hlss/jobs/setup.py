"""Putting the rooms together: from an experiment to cohort, towers, texts and objective."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from hlss.batches.features import FeatureViews
from hlss.batches.loader import tiles
from hlss.cohorts.base import Cohort, FeatureSource
from hlss.cohorts.integrity import refuse_duplicates
from hlss.cohorts.pack import packed
from hlss.cohorts.splits import split
from hlss.config import read_settings
from hlss.encoders.adapter import AdapterEncoder
from hlss.encoders.base import ImageEncoder, aligned
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.language.encode import Texts
from hlss.objectives.base import Given, Objective

Say = Callable[[str], None]
PROJECTION_TILES = 2048  # training tiles whose features place a fresh projection
NORM_TILES = 1024  # training tiles that statistics of norm layers are taken from
EMBED_BATCH = 64


@dataclass(frozen=True)
class Data:
    """The cohort and its sides (train, val, test; absent where empty)."""

    cohort: Cohort
    sides: dict[str, Cohort]


def experiment_of(run: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The settings a run was made with, changed by `key.path=value` overrides. Raises UserError where it is no run."""
    config = run / "config.yaml"
    if not config.exists():
        raise UserError("this is no run folder: it has no config.yaml", where=run, fix="Run `hlss train` first.")
    return read_settings(config, Experiment, overrides)


def open_data(experiment: Experiment, say: Say) -> Data:
    """Open the cohort, pack its tiles (once) and split its patients. Raises UserError, also where the same slide is
    there under two names.
    """
    cohort: Cohort = experiment.cohort.open()
    say(str(cohort))
    for notice in cohort.notices:
        say(f"note: {notice}")
    refuse_duplicates(cohort, now_and_then(say, "comparing files of one size", units="files"))
    if experiment.loader.pack is not None and not cohort.holds_features:
        workers = max(1, experiment.loader.workers)
        cohort = packed(
            cohort,
            experiment.cache / "packs",
            experiment.loader.pack,
            workers=workers,
            progress=now_and_then(say, "packing"),
        )
    for path, reason in cohort.problems:
        say(f"left out, unreadable: {path}: {reason}")
    sides = split(cohort, experiment.split)
    parts = (f"{side} {len(part.patients)} patients, {part.n_tiles} tiles" for side, part in sides.items())
    say("split: " + "; ".join(parts))
    return Data(cohort, sides)


def build_encoder(experiment: Experiment, say: Say) -> ImageEncoder:
    """The image tower as its weights have it."""
    encoder: ImageEncoder = experiment.encoder.build()
    for notice in experiment.encoder.notices:
        say(f"note: {notice}")
    return encoder


def refuse_misfit(experiment: Experiment, cohort: Cohort, encoder: ImageEncoder) -> None:
    """Raises UserError where the tower takes pixels and the cohort has features, or the other way round, or the views
    are of the wrong kind, or features are not as wide as the tower takes them.
    """
    takes = isinstance(encoder, AdapterEncoder)
    if cohort.holds_features != takes:
        has, wants = ("features", "pixels") if cohort.holds_features else ("pixels", "features")
        fix = "Set encoder: {name: adapter, width: ...}." if cohort.holds_features else "Choose an image encoder."
        raise UserError(f"the cohort has {has}, the encoder takes {wants}", where="encoder", fix=fix)
    if cohort.holds_features != isinstance(experiment.views, FeatureViews):
        fix = "Set views: {preset: features}." if cohort.holds_features else "Choose views of pixels, as {preset: he}."
        raise UserError("these views are not for this cohort", where="views.preset", fix=fix)
    if isinstance(encoder, AdapterEncoder) and isinstance(cohort.source, FeatureSource):
        found = cohort.source.dim
        if found != encoder.width:
            what = f"features are {found} wide, the adapter expects {encoder.width}"
            raise UserError(what, where="encoder.width", fix=f"Set encoder.width={found}.")


def place_projection(encoder: ImageEncoder, experiment: Experiment, train: Cohort) -> None:
    """Start a fresh projection as a PCA of the features of training tiles."""
    rows = evenly(train.n_tiles, PROJECTION_TILES)
    found: list[Tensor] = []
    encoder.eval()
    with torch.no_grad():
        for _, pixels in tiles(train, rows, encoder.input_px, EMBED_BATCH, experiment.loader.workers):
            found.append(encoder.features(encoder.normalised(pixels)))
    encoder.fit_projection(torch.cat(found))


def renew_norms(encoder: ImageEncoder, experiment: Experiment, train: Cohort) -> int:
    """Take the statistics of batch norms anew, from training tiles without augmentation: mean and variance over mixed
    batches (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima", §3.2; decision 0017). Returns how many
    norms have such statistics; leaves the tower in eval mode.
    """
    norms = list(batch_norms(encoder).values())
    if not norms:
        return 0
    rows = np.random.Generator(np.random.Philox(0)).permutation(evenly(train.n_tiles, NORM_TILES))
    encoder.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for _, pixels in tiles(train, rows, encoder.input_px, EMBED_BATCH, experiment.loader.workers):
            encoder(encoder.normalised(pixels))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()
    return len(norms)


def batch_norms(encoder: ImageEncoder) -> dict[str, _BatchNorm]:
    """Those with statistics, by name."""
    found = encoder.named_modules()
    return {name: norm for name, norm in found if isinstance(norm, _BatchNorm) and norm.track_running_stats}


def evenly(n: int, most: int) -> Int64[ndarray, " k"]:
    """At most so many of the numbers below n, evenly, ascending."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def build_objective(
    experiment: Experiment, encoder: ImageEncoder, classes: int, say: Say
) -> tuple[Objective, Texts | None]:
    """The objective, and the texts it was given (None: it needs none)."""
    texts: Texts | None = None
    if experiment.objective.needs_text:
        if experiment.language is None:
            raise UserError("this objective needs text", where="language", fix="Give it a bank: language: {bank: ...}.")
        texts = experiment.language.encoded(experiment.encoder.text(), experiment.cache / "texts")
    given = Given(
        encoder=encoder,
        dim=encoder.dim,
        texts=None if texts is None else texts.rows,
        classes=classes,
        aligned=texts is not None and aligned(encoder.family, texts.family),
        seed=experiment.seed,
    )
    objective: Objective = experiment.objective.build(given)
    for notice in (*(texts.notices if texts else ()), *objective.notices):
        say(f"note: {notice}")
    return objective, texts


def now_and_then(say: Say, what: str, seconds: float = 3.0, units: str = "tiles") -> Callable[[int, int], None]:
    """Called with units done and in all, says every few seconds how far it is and how long it will take."""
    began = last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds and done < total:
            last = now
            say(f"{what}: {done} of {total} {units}, {(now - began) / done * (total - done):.0f} s left")

    return progress
