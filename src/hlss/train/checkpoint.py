"""Checkpoints: safetensors and JSON only (nothing is executed on loading), whole or absent, kept by a rule."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor, nn

from hlss.encoders.weights import tensors_of
from hlss.errors import UserError
from hlss.files import replacing, write_json

ENCODER_FILE = "encoder.safetensors"
MIDWAY = "midway"


@dataclass
class State:
    """What a run is at, beside its weights. step: number of steps taken (or skipped)."""

    step: int = 0
    bad_in_a_row: int = 0
    skipped: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    best_step: int | None = None
    best_score: float | None = None


def name_of(step: int) -> str:
    """Of the checkpoint of a step; of the start, step 0."""
    return f"step-{step:08d}"


class Checkpoints:
    """The folder of a run's checkpoints: `step-00000100` and so on, `best` and `start` found by name.

    Kept: the start (step 0), the best, the newest `keep_last`, and every `keep_every`-th step.
    """

    def __init__(self, folder: Path, keep_last: int = 2, keep_every: int | None = None) -> None:
        self.folder, self.keep_last, self.keep_every = Path(folder), keep_last, keep_every

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, ascending."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*") if path.is_dir())

    def path(self, which: str | int) -> Path:
        """Folder of checkpoint `start`, `best`, `last` or a step. Raises UserError where there is none."""
        steps = self.steps()
        if not steps:
            raise UserError("no checkpoint here", where=self.folder, fix="Run `hlss train` first.")
        step = {"start": 0, "last": steps[-1]}.get(str(which))
        if which == "best":
            step = _read_state(self._at(steps[-1])).best_step
            if step is None:
                raise UserError("no best checkpoint: the run validated nothing", where=self.folder, fix="Take `last`.")
        if step is None and str(which).isdigit():
            step = int(which)
        if step not in steps:
            raise UserError(f"no checkpoint {which!r}", where=self.folder, fix=f"There are: {_listed(steps)}.")
        return self._at(step)

    def save(self, encoder: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> Path:
        """Write a checkpoint of `state.step`, then remove those that the rule lets go."""
        path = self._at(state.step)
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / ENCODER_FILE).write_bytes(serialised(tensors_of(encoder)))
            (temporary / "objective.safetensors").write_bytes(serialised(tensors_of(objective)))
            (temporary / "optimizer.safetensors").write_bytes(serialised(_optimizer_tensors(optimizer)))
            write_json(temporary / "state.json", asdict(state))
        self._prune(state)
        return path

    def load_encoder(self, which: str | int, encoder: nn.Module) -> str:
        """Fill an encoder from checkpoint `which`, or `midway`; returns what it was filled from, for the record.

        midway: each weight the mean of its start's and its last value (WiSE-FT, Wortsman et al. 2022, eq. 1 with
        α = ½), which keeps what the start could read in words. Counters stay the last's; statistics of norms are to
        be taken anew (`hlss embed` does). Raises UserError.
        """
        last = self.path("last" if which == MIDWAY else which)
        load_weights(last / ENCODER_FILE, encoder)
        if which != MIDWAY:
            return last.name
        start = self.path("start")
        moved = {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}
        load_weights(start / ENCODER_FILE, encoder)
        with torch.no_grad():
            for name, tensor in encoder.state_dict().items():
                tensor.copy_((tensor + moved[name]) / 2 if tensor.is_floating_point() else moved[name])
        return f"{start.name} + {last.name}"

    def load(
        self, which: str | int, encoder: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer
    ) -> State:
        """Fill the modules and the optimiser from a checkpoint and return its state."""
        path = self.path(which)
        load_weights(path / ENCODER_FILE, encoder)
        load_weights(path / "objective.safetensors", objective)
        _fill_optimizer(optimizer, _read_tensors(path / "optimizer.safetensors"))
        return _read_state(path)

    def _at(self, step: int) -> Path:
        return self.folder / name_of(step)

    def _prune(self, state: State) -> None:
        steps = self.steps()
        kept = {0, state.best_step, *steps[-self.keep_last :]}
        if self.keep_every:
            kept |= {step for step in steps if step % self.keep_every == 0}
        for step in set(steps) - kept:
            shutil.rmtree(self._at(step))


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill `module` from a safetensors file. Raises UserError where the file is missing, broken or of another model."""
    try:
        module.load_state_dict(_read_tensors(path))
    except RuntimeError as error:
        raise UserError(
            f"weights of another model: {error}", where=path, fix="Take a checkpoint of this experiment."
        ) from error


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value.detach().cpu().clone() for i, entry in state.items() for key, value in entry.items()}


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except Exception as error:  # safetensors raises its own type for a broken file, OSError for a missing one
        raise UserError(f"cannot read weights: {error}", where=path, fix="Take another checkpoint.") from error
    return tensors


def _read_state(path: Path) -> State:
    try:
        return State(**json.loads((path / "state.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read the state: {error}", where=path, fix="Take another checkpoint.") from error


def _listed(items: Any, most: int = 5) -> str:
    items = [str(item) for item in items]
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "") or "none"
