"""torchvision beside a CPU build of torch: declare the operators whose absence breaks its import, and nothing else.

timm, open_clip and transformers import torchvision. Built for CUDA and installed beside a CPU torch, it fails with
`operator torchvision::nms does not exist`, an operator that is not needed here (docs/decisions/0005).
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from torch import library as operators

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def guard_needed() -> bool:
    """Whether torch is a CPU build and torchvision's own operators cannot be loaded beside it."""
    if torch.version.cuda is not None or find_spec("torchvision") is None:
        return False
    return not _loads_own_operators()


def guard_torchvision() -> None:
    """Declare the missing operators, once, where that is needed."""
    if not guard_needed():
        return
    for name, schema in _SCHEMAS.items():
        if not _declared(name):
            operators.define(f"torchvision::{name}", schema)


def import_guarded(module: str) -> ModuleType:
    """Import `torchvision`, `timm`, `open_clip`, `transformers` or another module that imports torchvision."""
    guard_torchvision()
    return import_module(module)


def import_torchvision() -> ModuleType:
    """Import torchvision."""
    return import_guarded("torchvision")


def _declared(name: str) -> bool:
    try:
        torch._C._dispatch_find_schema_or_throw(f"torchvision::{name}", "")
    except RuntimeError:
        return False
    return True


def _loads_own_operators() -> bool:
    """Try the compiled library alone: importing the whole of torchvision and failing would leave it half imported."""
    spec = find_spec("torchvision")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    libraries = [p for place in spec.submodule_search_locations for p in Path(place).glob("_C*.so")]
    libraries += [p for place in spec.submodule_search_locations for p in Path(place).glob("_C*.pyd")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return bool(libraries)
