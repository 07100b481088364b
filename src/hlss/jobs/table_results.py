"""What a table keeps of each run: a small file that stands for the run once its folder is gone."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hlss.config import Part, validate
from hlss.embedding_table import FEATURES_FILE, IDS_FILE, EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.fold import by_side, classes_of
from hlss.evaluate.health import effective_rank
from hlss.evaluate.predict import scored_fold
from hlss.evaluate.stored import StoredFold
from hlss.experiment import Experiment
from hlss.files import digest, file_digest, replacing
from hlss.jobs.embed import embed_run
from hlss.jobs.setup import Say
from hlss.jobs.table_folder import embeddings_of, facts_of, patches
from hlss.jobs.table_spec import START, Planned, start_of
from hlss.train.checkpoint import ENCODER_FILE, name_of
from hlss.train.run_folder import recorded


class Health(Part):
    """Of test features. rank: effective rank (RankMe), at most dim; spread: √d times the mean over dimensions of the
    standard deviation of unit features (Chen and He 2021), near 1 where they fill the sphere. Of a full collapse rank
    is 1 and spread 0.
    """

    rank: float
    spread: float
    dim: int


class RunResult(Part):
    """All that a table needs of a run, or of a start.

    scoring, embeddings: digests of how and of what it was scored; start: name of its start's file, None of a start;
    made: what was noted when it was finished; provenance: of its training; embedded: of its embeddings.
    """

    config_hash: str
    scoring: str
    embeddings: str
    start: str | None = None
    made: Mapping[str, Any] = {}
    provenance: Mapping[str, Any] = {}
    embedded: Mapping[str, Any]
    health: Health
    fold: StoredFold


class Results(Part):
    """Where results are kept and starts embedded, and the class prompts of zero-shot (None: no zero-shot)."""

    folder: Path
    starts: Path
    prompts: Mapping[str, tuple[str, ...]] | None = None

    def of(self, experiment: Experiment) -> RunResult | None:
        """The result of this very run, scored as it asks for; None where there is none."""
        found = self._read(experiment.folder.name)
        if found is None or (found.config_hash, found.scoring) != (experiment.hash, self._scoring(experiment)):
            return None
        return found

    def start(self, name: str) -> RunResult:
        """Of the start with this name. Raises UserError where it is not there."""
        found = self._read(name)
        if found is None:
            fix = "Restore it, or remove the results that name it: their runs are made again."
            raise UserError("the result of this start is missing", where=self._path(name), fix=fix)
        return found

    def made(self, experiment: Experiment) -> bool:
        """Whether this very run is finished, or its result is kept."""
        return facts_of(experiment) is not None or self.of(experiment) is not None

    def keep(self, experiment: Experiment, say: Say) -> RunResult | None:
        """Score a finished run and its start, where that is not done, and keep the results; returns the run's.

        Raises UserError.
        """
        run = experiment.folder
        start = self._keep_start(experiment, say)
        facts, table = facts_of(experiment), embeddings_of(experiment)
        assert facts is not None
        found = self.of(experiment)
        if found is None or (found.embeddings, found.start) != (_digest(table), start):
            made_by = recorded(run)
            about = {"start": start, "made": facts, "provenance": made_by}
            self._write(run.name, self._scored(experiment, table, experiment.name, about))
            found = self.of(experiment)
        return found

    def _keep_start(self, experiment: Experiment, say: Say) -> str:
        """Embed and score the weights that a run started from; equal weights are embedded once. Returns its name."""
        weights = experiment.folder / "checkpoints" / name_of(0) / ENCODER_FILE
        name = f"{START}-{digest([file_digest(weights), start_of(experiment), experiment.split.fold])}"
        with _locked(self.starts / ".lock"):
            table = self.starts / name
            if not table.is_dir():
                say(f"embedding the start of seed {experiment.seed}, fold {experiment.split.fold}")
                embed_run(experiment.folder, START, table, patches(experiment), say=say)
            found = self._read(name)
            if found is None or (found.embeddings, found.scoring) != (_digest(table), self._scoring(experiment)):
                self._write(name, self._scored(experiment, table, START, {}))
        return name

    def _scored(self, experiment: Experiment, folder: Path, method: str, about: Mapping[str, Any]) -> RunResult:
        from hlss.jobs.class_prompts import prompts_of_run  # towers: only where asked for

        spec, read = experiment.evaluate, EmbeddingTable.read(folder)
        table = replace(read, provenance={**read.provenance, "method": method})
        fold = by_side(table, "test")
        if self.prompts is not None:
            fold = replace(fold, prompts=prompts_of_run(experiment, self.prompts))
        scorers, _ = spec.scorers([fold], self.prompts is not None)  # what is left out is said of all folds together
        scored = scored_fold(fold, classes_of([table]), scorers, spec.scorings)
        return RunResult(
            config_hash=experiment.hash,
            scoring=self._scoring(experiment),
            embeddings=_digest(folder),
            embedded=read.provenance,
            health=health(table.features[table["side"] == "test"]),
            fold=StoredFold.of(scored),
            **about,
        )

    def _scoring(self, experiment: Experiment) -> str:
        """Of all that rules predictions; how intervals are drawn from them does not."""
        prompts = None if self.prompts is None else {name: list(texts) for name, texts in self.prompts.items()}
        return digest([experiment.evaluate.model_dump(mode="json", exclude={"resamples"}), prompts])

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _read(self, name: str) -> RunResult | None:
        path = self._path(name)
        if not path.exists():
            return None
        fix = "Remove it: it is made again from its run, or the run is."
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            return validate(tree, RunResult, where=path)
        except (OSError, ValueError) as error:
            raise UserError(f"broken result of a run: {error!s:.200}", where=path, fix=fix) from error
        except UserError as error:
            raise UserError(f"broken result of a run: {error.what:.200}", where=path, fix=fix) from error

    def _write(self, name: str, result: RunResult) -> None:
        text = json.dumps(result.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        with replacing(self._path(name)) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def kept(plan: Sequence[Planned], results: Results, say: Say) -> dict[Path, RunResult]:
    """By run folder, the result of every run of the plan that is finished; where the folder is there, it rules."""
    found: dict[Path, RunResult] = {}
    for run in plan:
        finished = facts_of(run.experiment) is not None
        result = results.keep(run.experiment, say) if finished else results.of(run.experiment)
        if result is not None:
            found[run.folder] = result
    return found


def health(z: Float[ndarray, "n d"]) -> Health:
    """Of these features."""
    rows = z.astype(np.float64)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    dim = z.shape[1]
    return Health(rank=effective_rank(z), spread=float(np.sqrt(dim) * unit.std(axis=0).mean()), dim=dim)


def _digest(folder: Path) -> str:
    """Of the features and identities of an embedding table."""
    return digest([file_digest(folder / name) for name in (IDS_FILE, FEATURES_FILE)])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; another waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
