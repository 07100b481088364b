"""What a training run can be told."""

from typing import Literal

from pydantic import Field, model_validator

from hlss.config import Part


class FreezeSpec(Part):
    """What of a pretrained tower stays as it is: little data wants gentle steps.

    stages: how many of the backbone's stages, stem first, take no gradient.
    norms:  normalisation layers keep their statistics and their affine parameters.
    """

    stages: int = Field(0, ge=0)
    norms: bool = False


class TrainSpec(Part):
    """Schedule, optimiser, precision, memory and bookkeeping of one run (SPEC §5).

    steps or epochs: length; an epoch is one pass over the patients. Default 40 000 epochs as in the paper.
    chunk:      views per chunk of two-pass gradient caching; None holds the graph of all views at once.
    lr_scale:   factor on the learning rate of pretrained parameters.
    precision:  of the image tower only; `auto` is bf16 where the hardware has it, else float32.
    max_unreadable: fraction of the tiles asked for that may be unreadable before the run stops.
    """

    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    lr: float = Field(1e-3, gt=0)
    lr_scale: float = Field(1.0, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    clip_norm: float | None = Field(None, gt=0)
    freeze: FreezeSpec = FreezeSpec()
    chunk: int | None = Field(None, ge=1)

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int | Literal["auto"] = "auto"
    nodes: int = Field(1, ge=1)
    sync_batchnorm: bool = False

    log_every: int = Field(10, ge=1)
    gradients_every: int = Field(50, ge=1)
    validate_every: int | None = Field(None, ge=1)
    checkpoint_every: int = Field(500, ge=1)
    keep_last: int = Field(2, ge=1)
    keep_every: int | None = Field(None, ge=1)
    max_bad_steps: int = Field(3, ge=1)
    max_unreadable: float = Field(0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _one_length(self) -> "TrainSpec":
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give `steps` or `epochs`, not both")
        return self

    def length(self, steps_per_epoch: int) -> int:
        """Number of steps of the run."""
        if self.steps is not None:
            return self.steps
        return max(1, round((self.epochs or 40_000) * steps_per_epoch))
