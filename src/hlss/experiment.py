"""An experiment: everything that makes a run, as one short YAML file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from hlss.batches.features import FeatureViews
from hlss.batches.recipe import ViewSpec
from hlss.batches.sampler import SamplerSpec
from hlss.cohorts.pack import PackRecipe
from hlss.cohorts.splits import SplitSpec
from hlss.config import Part, choice, settings_hash
from hlss.evaluate.evaluation import EvaluateSpec
from hlss.language.encode import LanguageSpec
from hlss.registry import COHORTS, ENCODERS, OBJECTIVES
from hlss.train.settings import TrainSpec


class LoaderSpec(Part):
    """How pixels come in; none of it changes a result beyond the executors' rounding.

    workers:  processes that decode tiles and draw views.
    executor: where views are computed: OpenCV in the workers, or torch on the device.
    pack:     cut and encode the tiles once, below `cache`; None reads every tile from its image.
    """

    workers: int = Field(2, ge=0)
    executor: Literal["opencv", "torch"] = "opencv"
    pack: PackRecipe | None = PackRecipe()


def _views(given: Any) -> Any:
    """Of pixels or of stored features: the preset tells, and each has its own settings."""
    if not isinstance(given, dict):
        return given
    return (FeatureViews if given.get("preset") == "features" else ViewSpec).model_validate(given)


class Experiment(Part):
    """One run: who, what is seen, what is learnt, how long.

    name: of the method, by which tables group folds and seeds; out: run folder (default runs/NAME);
    cache: folder of packs and text matrices, shared by runs.
    """

    name: str = Field(min_length=1)
    out: Path | None = None
    cache: Path = Path("runs/.cache")
    seed: int = Field(0, ge=0)
    cohort: choice(COHORTS)  # type: ignore[valid-type]
    split: SplitSpec = SplitSpec()
    batches: SamplerSpec = SamplerSpec()
    views: Annotated[SerializeAsAny[ViewSpec | FeatureViews], BeforeValidator(_views)] = ViewSpec()
    loader: LoaderSpec = LoaderSpec()
    encoder: choice(ENCODERS)  # type: ignore[valid-type]
    language: LanguageSpec | None = None
    objective: choice(OBJECTIVES)  # type: ignore[valid-type]
    train: TrainSpec = TrainSpec()
    evaluate: EvaluateSpec = EvaluateSpec()

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.out if self.out is not None else Path("runs") / self.name

    @property
    def hash(self) -> str:
        """Of every setting that can change the weights; how they are scored is recorded beside the scores."""
        return settings_hash(self, exclude={"out", "cache", "evaluate"})
