"""The scorer of weighted nearest neighbours: protocols paper, small, and other k."""

from collections.abc import Iterator
from dataclasses import dataclass

from hlss.evaluate.fold import Task
from hlss.evaluate.knn import Protocol, knn_probabilities_of
from hlss.evaluate.scorer import Row, Scored, of_patches


@dataclass(frozen=True)
class Neighbours:
    """A row a protocol; one search serves all that share a centring. Raises UserError for a k larger than a bank."""

    protocols: tuple[Protocol, ...]

    def score(self, task: Task) -> Iterator[Scored]:
        bank, queries = task.bank, task.queries
        found = knn_probabilities_of(bank.features, bank.labels, queries.features, len(task.classes), self.protocols)
        for protocol, probabilities in zip(self.protocols, found, strict=True):
            yield Scored(Row(protocol.name, "kNN", protocol.k), of_patches(task, probabilities))
