"""Weights from files: read without executing anything, refused with a reason where they do not fit."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hlss.errors import UserError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file or of a torch checkpoint (weights only). Raises UserError."""
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            found: Mapping[str, Tensor] = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise UserError(f"cannot read weights: {error!s:.200}", where=path, fix="Check the file.") from error
    for nested in ("state_dict", "model", "model_state_dict"):
        inner = found.get(nested) if isinstance(found, dict) else None
        if isinstance(inner, dict):
            found = inner
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError("this file holds no table of weights", where=path, fix="Save model.state_dict().")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Its state as safetensors takes it: on the CPU, contiguous."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def fill(module: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """Load every weight, none missing, none left over. Raises UserError listing what does not fit."""
    own = module.state_dict()
    missing, unknown = own.keys() - weights.keys(), weights.keys() - own.keys()
    shapes = {name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape}
    complaints = [
        f"{what} {', '.join(sorted(names)[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
        if names
    ]
    if complaints:
        raise UserError(
            f"weights of another model: {'; '.join(complaints)}", where=where, fix="Check `architecture` and `weights`."
        )
    module.load_state_dict(dict(weights))
