"""The image tower of a run's checkpoint, with the statistics of its batch norms."""

from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save as serialised

from hlss.cohorts.base import Cohort
from hlss.encoders.base import ImageEncoder
from hlss.encoders.weights import read_weights
from hlss.errors import UserError
from hlss.evaluate.by_slide import tower_hash
from hlss.experiment import Experiment
from hlss.files import digest, replacing
from hlss.jobs.claims import awaited
from hlss.jobs.notes import sweep_begun
from hlss.jobs.setup import Data, Say, batch_norms, build_encoder, experiment_of, open_data, refuse_misfit, renew_norms
from hlss.train.checkpoint import MIDWAY, Checkpoints

Norms = Literal["own", "train"]


def tower_of(
    experiment: Experiment,
    folder: Path,
    checkpoint: str,
    data: Data,
    norms: Norms | None,
    say: Say,
    kept: Path | None = None,
) -> tuple[ImageEncoder, dict[str, Any]]:
    """The image tower of a run's checkpoint, and what it was made of.

    data: what is to be embedded.
    norms: statistics of its batch norms, `own` or taken anew from the run's training tiles (`train`), whatever is
        embedded, so that a checkpoint is one tower. Where nothing is said, midway of trained norms has new ones: the
        mean of two towers' statistics fits neither (decision 0017).
    kept: folder in which statistics that were taken anew are kept for other processes, so that all have the same.
        Raises UserError.
    """
    encoder = build_encoder(experiment, say)
    refuse_misfit(experiment, data.cohort, encoder)
    facts: dict[str, Any] = {"checkpoint": Checkpoints(folder / "checkpoints").load_encoder(checkpoint, encoder)}
    between = checkpoint == MIDWAY and not experiment.train.freeze.norms
    if (norms or ("train" if between else "own")) == "own":
        return encoder, facts
    train = _training(experiment, folder, data, say)
    renewed = renew_norms(encoder, experiment, train) if kept is None else _shared(encoder, experiment, train, kept)
    if norms is not None and not renewed:
        say("note: this tower has no batch norms, --norms changes nothing")
    return encoder, facts | {"norms_renewed": renewed}


def _training(experiment: Experiment, folder: Path, data: Data, say: Say) -> Cohort:
    """The run's own training tiles, also where another cohort is embedded. Raises UserError."""
    own, fix = experiment_of(folder), "Use --norms own."
    if (own.cohort, own.split) != (experiment.cohort, experiment.split):
        say("statistics of norms are taken from the training tiles of the run's own cohort")
        try:
            data = open_data(own, say)
        except UserError as error:
            raise UserError(f"statistics want the run's own cohort: {error}", where="--norms", fix=fix) from error
    if "train" not in data.sides:
        raise UserError("no training patients to take statistics from", where="--norms", fix=fix)
    return data.sides["train"]


def _shared(encoder: ImageEncoder, experiment: Experiment, train: Cohort, kept: Path) -> int:
    """As `renew_norms`, with the statistics that the first of all processes took."""
    norms = batch_norms(encoder)
    if not norms:
        return 0
    made_of = digest([tower_hash(encoder), train.fingerprint, train.source.freshness])
    path = kept / f"norms-{made_of}.safetensors"
    statistics = {f"{name}.{kind}": value for name, norm in norms.items() for kind, value in norm.named_buffers()}
    with awaited(kept / "claims" / ".norms"):
        if not path.exists():
            sweep_begun([path])
            renew_norms(encoder, experiment, train)
            with replacing(path) as temporary:
                temporary.write_bytes(serialised(statistics))
    stored = read_weights(path)
    for name, value in statistics.items():
        value.copy_(stored[name])
    encoder.eval()
    return len(norms)
