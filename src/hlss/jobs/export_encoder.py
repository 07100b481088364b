"""`hlss export encoder` and `hlss push`: a trained image tower as a folder, and that folder on the Hugging Face Hub."""

import importlib
from pathlib import Path
from typing import Any

from hlss.encoders.base import ImageEncoder
from hlss.encoders.card import model_card
from hlss.encoders.exported import read_config, write_tower
from hlss.encoders.specs import EncoderSpec
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import refuse_filled, replacing
from hlss.jobs.provenance import code_version
from hlss.jobs.setup import Say, build_encoder, experiment_of, open_data
from hlss.jobs.tower import tower_of
from hlss.jobs.train import say_once
from hlss.train.checkpoint import MIDWAY, Checkpoints
from hlss.train.run_folder import recorded

CARD_FILE = "README.md"
_RECORDED = (
    *("method", "seed", "fold", "data_hash", "bank_fingerprint", "bank_status", "notices", "steps", "precision"),
    *("config_hash", "code_version", "torch", "time"),
)


def export_encoder(folder: Path, checkpoint: str, out: Path, say: Say = say_once) -> Path:
    """Write the image tower of a run's checkpoint to the folder `out`, which appears whole, with its card. Raises
    UserError where the run or its checkpoint is missing, or `out` is not empty.
    """
    experiment = experiment_of(folder)
    refuse_filled(out)
    encoder, filled = _tower(experiment, folder, checkpoint, say)
    facts = _facts(experiment, folder) | {"checkpoint": filled}
    with replacing(out) as temporary:
        temporary.mkdir()
        library = write_tower(experiment.encoder, encoder, temporary, facts)
        card = model_card(experiment.name, library, encoder.dim, encoder.input_px, facts)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    say(f"{library} loads it" if library != "hlss" else "this tower is of no other library's kind: hlss alone loads it")
    return out


def push(folder: Path, repo: str, public: bool = False) -> str:
    """Upload an exported folder to the Hub as the model `repo` (OWNER/NAME), private unless `public`; returns its
    address. The token is huggingface_hub's own business: it is neither read into a file nor shown. Raises UserError
    for another folder, and without token, network or permission.
    """
    read_config(folder)
    if not (folder / CARD_FILE).is_file():
        raise UserError(f"{CARD_FILE} is missing", where=folder, fix="Export the encoder again.")
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UserError("huggingface_hub is not installed", fix="Run: pip install huggingface_hub") from error
    if not hub.get_token():
        raise UserError("there is no token of the Hugging Face Hub", where="push", fix="Run `hf auth login` once.")
    try:
        hub.create_repo(repo, private=not public, exist_ok=True)
        hub.upload_folder(repo_id=repo, folder_path=folder, commit_message=f"Export by hlss {code_version()}")
    except Exception as error:  # network, permission, name: the hub and its transport have errors of their own
        fix = "Check the network, the name (OWNER/NAME) and that the token may write."
        raise UserError(f"cannot push: {type(error).__name__}: {error!s:.160}", where=repo, fix=fix) from error
    return f"https://huggingface.co/{repo}"


def _tower(experiment: Experiment, folder: Path, checkpoint: str, say: Say) -> tuple[ImageEncoder, str]:
    """The tower, and what it was filled from. Midway alone needs tiles: its norms have no statistics of their own."""
    if checkpoint == MIDWAY:
        encoder, facts = tower_of(experiment, folder, checkpoint, open_data(experiment, say), None, say)
        return encoder.cpu(), str(facts["checkpoint"])
    encoder = build_encoder(experiment, say)
    return encoder, Checkpoints(folder / "checkpoints").load_encoder(checkpoint, encoder)


def _facts(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """What is on record of the run that others may see: no path, no command, no name of a machine."""
    made = recorded(folder)
    spec: EncoderSpec = experiment.encoder
    language = experiment.language if experiment.objective.needs_text else None
    return {
        **{key: made[key] for key in _RECORDED if made.get(key) is not None},
        "tower": " ".join(str(part) for part in (spec.name, getattr(spec, "architecture", None)) if part),  # type: ignore[attr-defined]
        "start": _start(spec),
        "cohort": experiment.cohort.name,
        "views": getattr(experiment.views, "preset", None),
        "bank": "none" if language is None else Path(language.bank).name,
        "objective": experiment.objective.name,
    }


def _start(spec: EncoderSpec) -> str:
    """Where the weights came from before training, as far as the settings say."""
    weights, pretrained = getattr(spec, "weights", None), getattr(spec, "pretrained", None)
    if weights is not None:
        return f"the file {Path(weights).name}"
    if pretrained:
        return "the library's own" if pretrained is True else f"the library's {pretrained!r}"
    notices = "; ".join(spec.notices)
    return notices or f"those that `{spec.name}` comes with"  # type: ignore[attr-defined]
