"""Class prompts of zero-shot: sentences of each class, by the text tower of the run that a table lies in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hlss.config import Part, read_settings, read_yaml, validate
from hlss.encoders.base import aligned
from hlss.encoders.specs import TextSpec
from hlss.errors import UserError
from hlss.evaluate.fold import ClassPrompts
from hlss.experiment import Experiment
from hlss.jobs.setup import build_encoder
from hlss.language.bank import Text
from hlss.language.encode import encode
from hlss.types import Level


class PromptFile(Part):
    """Sentences of each class, as `{glioma: [H&E of a glioma, ...], ...}`."""

    prompts: Mapping[Text, Annotated[tuple[Text, ...], Field(min_length=1)]] = Field(min_length=1)


def read_prompts(path: Path) -> dict[str, list[str]]:
    """Sentences of each class. Raises UserError where the file is missing or holds anything else."""
    found = validate({"prompts": read_yaml(path, "prompts")}, PromptFile, where=path)
    return {name: list(sentences) for name, sentences in found.prompts.items()}


def prompts_of(tables: Sequence[Path], sentences: Mapping[str, Sequence[str]]) -> list[ClassPrompts]:
    """Of each table, rows of these sentences by the text tower of the run it lies in: RUN/embeddings/NAME.

    A row is the normalised mean of its normalised sentences. Raises UserError where a run or its tower is missing.
    """
    runs = [table.resolve().parent.parent for table in tables]
    for table, run in zip(tables, runs, strict=True):
        if not (run / "config.yaml").exists():
            fix = "Zero-shot wants a table in its run's folder: RUN/embeddings/NAME, as `hlss embed` writes it."
            raise UserError("no run beside this table, so no text tower", where=table, fix=fix)
    settings = {run: read_settings(run / "config.yaml", Experiment) for run in dict.fromkeys(runs)}
    found = {run: prompts_of_run(experiment, sentences) for run, experiment in settings.items()}
    return [found[run] for run in runs]


def prompts_of_run(experiment: Experiment, sentences: Mapping[str, Sequence[str]]) -> ClassPrompts:
    """Rows of these sentences by the text tower that goes with the image tower, whatever text the run was trained with
    (of random vectors, say), and where it has none, by that text. Raises UserError where there is neither.
    """
    language = experiment.language
    spec: TextSpec | None = experiment.encoder.text() or (None if language is None else language.text)
    if spec is None:
        fix = "Leave out this table, or the prompts."
        raise UserError("this run has no text tower", where=experiment.name, fix=fix)
    tower = spec.build()
    groups = {Level.PATCH: [list(texts) for texts in sentences.values()]}
    rows = encode(groups, tower, experiment.cache / "texts")[Level.PATCH].numpy()
    notices = [f"zero-shot, {experiment.name}: {notice}" for notice in spec.notices]
    if not aligned(build_encoder(experiment, lambda line: None).family, tower.family):
        apart = "its towers were not trained together before this run: what their nearness means is open"
        notices.append(f"zero-shot, {experiment.name}: {apart}")
    return ClassPrompts(dict(zip(sentences, rows, strict=True)), tuple(notices))
