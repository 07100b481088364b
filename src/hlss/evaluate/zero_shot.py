"""The scorer of class prompts: no bank is asked, only the texts of the classes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hlss.evaluate.fold import Task
from hlss.evaluate.knn import unit
from hlss.evaluate.scorer import Row, Scored, of_patches

CLIP_TEMPERATURE = 0.01  # CLIP's learnt logit scale is clipped at 100 (Radford et al. 2021, section 2.5)


@dataclass(frozen=True)
class ZeroShot:
    """Probabilities = softmax over classes of cos(z, prompt row) / T."""

    temperature: float = CLIP_TEMPERATURE

    def score(self, task: Task) -> Iterator[Scored]:
        """Raises UserError as `ClassPrompts.matrix`; a task without prompts has none to score."""
        z, prompts = unit(task.queries.features).astype(np.float64), task.prompts
        assert prompts is not None
        cosines = z @ prompts.matrix(task.classes, z.shape[1], task.name).T
        powers = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / self.temperature)
        found = of_patches(task, powers / powers.sum(axis=1, keepdims=True))
        unused = ", ".join(sorted(set(prompts.rows) - set(task.classes)))
        said = (f"prompts of classes that no table has are not used: {unused}",) if unused else ()
        yield Scored(Row("zero-shot", "zero-shot"), found, notices=(*prompts.notices, *said))
