"""Any timm backbone, with a projection to the text dimension where one is wanted."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from hlss.encoders.base import ImageEncoder
from hlss.encoders.projection import orthogonal, place_as_pca
from hlss.encoders.specs import EncoderSpec
from hlss.encoders.torchvision_guard import import_guarded
from hlss.encoders.weights import fill, read_weights
from hlss.errors import UserError
from hlss.registry import ENCODERS


@ENCODERS.register("timm")
class Timm(EncoderSpec):
    """Settings. weights: a local file; pretrained: timm's own weights (needs the network or its cache).

    dim: project to this dimension (that of the text); None: features as they are. input_px: None: the model's own.
    seed: of random weights and of the projection before it is placed.
    """

    name: Literal["timm"] = "timm"
    architecture: str = "resnet50"
    weights: Path | None = None
    pretrained: bool = False
    dim: int | None = Field(default=None, ge=2)
    input_px: int | None = Field(default=None, ge=8)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> Self:
        if self.pretrained and self.weights is not None:
            raise ValueError("give `pretrained` or `weights`, not both")
        return self

    @property
    def notices(self) -> tuple[str, ...]:
        if self.weights is not None or self.pretrained:
            return ()
        return (f"image tower {self.architecture} has random weights",)

    def build(self) -> "TimmEncoder":
        """Raises UserError where timm knows no such model, or not at this size, or its weights cannot be had or do
        not fit.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            backbone = _backbone(self)
        if self.weights is not None:
            fill(backbone, _without_classifier(read_weights(self.weights), backbone), self.weights)
        return TimmEncoder(backbone, self.dim, self.input_px, self.seed)


class TimmEncoder(ImageEncoder):
    """A timm backbone without its classifier, and a linear projection after it where `dim` is given."""

    def __init__(self, backbone: nn.Module, dim: int | None, input_px: int | None, seed: int) -> None:
        config: dict[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]
        own_px = int(config["input_size"][-1])
        px = input_px or own_px
        if px != own_px and config.get("fixed_input_size", False):
            raise UserError(
                f"this backbone takes {own_px} px alone", where=f"encoder.input_px={px}", fix="Leave input_px out."
            )
        # some heads widen the features after pooling: what comes out then has another length than `num_features`
        features = int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]
        super().__init__(dim or features, px, config["mean"], config["std"])
        self.backbone = backbone
        self.projection: nn.Linear | None = None
        if dim is not None:
            self.projection = orthogonal(features, dim, seed)
        self.register_buffer("placed", torch.tensor(dim is None))

    def features(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f"]:
        """Pooled features of the backbone, before the projection."""
        found: Tensor = self.backbone(pixels)
        return found

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        found = self.features(pixels)
        return found if self.projection is None else self.projection(found)

    def wants_features(self) -> bool:
        return not bool(self.placed)

    def fit_projection(self, features: Float[Tensor, "n f"]) -> None:
        """Start the projection as a PCA of these features. Raises UserError where they are narrower than it."""
        assert self.projection is not None
        place_as_pca(self.projection, features)
        self.get_buffer("placed").fill_(True)

    def fresh_parameters(self) -> list[nn.Parameter]:
        return [] if self.projection is None else list(self.projection.parameters())

    def stages(self) -> list[list[nn.Module]]:
        """timm's own grouping of a model into stem, stages and head, as far as it has one."""
        children = dict(self.backbone.named_children())
        deep = [name for name in ("blocks", "stages", "layers") if name in children]
        if deep:
            before, after = _around(list(children), deep[0])
            return [
                [children[name] for name in before],
                *[[stage] for stage in children[deep[0]].children()],
                [children[name] for name in after],
            ]
        layers = [name for name in children if name.startswith("layer")]
        if not layers:
            return [[module] for module in children.values()]
        stem = list(children)[: list(children).index(layers[0])]
        return [[children[name] for name in stem], *[[children[name]] for name in layers]]


def _backbone(spec: Timm) -> nn.Module:
    timm = import_guarded("timm")
    if not timm.is_model(spec.architecture):
        near = ", ".join(get_close_matches(spec.architecture, timm.list_models(), 5, 0.0))
        raise UserError(f"timm has no model {spec.architecture!r}", where="encoder.architecture", fix=f"Near: {near}.")
    try:
        backbone: nn.Module = timm.create_model(spec.architecture, pretrained=spec.pretrained, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot get weights of {spec.architecture}: {error!s:.200}",
            where="encoder.pretrained",
            fix="Connect to the network once, or give `weights`, a local file.",
        ) from error
    return backbone


def _without_classifier(weights: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    classifier = str(cast("dict[str, Any]", backbone.pretrained_cfg).get("classifier", "fc"))
    own = backbone.state_dict()
    return {name: w for name, w in weights.items() if name in own or not name.startswith(f"{classifier}.")}


def _around(names: list[str], middle: str) -> tuple[list[str], list[str]]:
    at = names.index(middle)
    return names[:at], names[at + 1 :]
