"""The stages of a draft: propose, prune, describe, check. Planned and applied in order, whatever comes back first."""

from collections.abc import Mapping
from math import ceil

from hlss.errors import UserError
from hlss.language.bank import Characteristic, normalised
from hlss.language.draft.asker import Asker, Say
from hlss.language.draft.budget import BATCH, ROUND, wanted
from hlss.language.draft.describing import Describing, Task
from hlss.language.draft.prompts import messages
from hlss.language.draft.proposals import Item, Proposals
from hlss.language.draft.schema import Candidates, Verdicts
from hlss.language.draft.sentences import Kept
from hlss.language.draft.workers import Workers
from hlss.types import LEVELS, Level

PASSES = 3  # over all stages, for what pruning and checking took away
IDLE = 2  # rounds with nothing new, after which a level is left as it is
SLOW = 4  # times the rounds that are needed, after which it is too
NONE_GOOD = 16  # characteristics described and none kept, after which the draft is given up


class Drafting:
    """State of a draft. kept: by level, what came through all stages."""

    def __init__(
        self,
        card: Mapping[str, object],
        per_level: int,
        asker: Asker,
        workers: Workers,
        proposals: Proposals,
        say: Say,
    ) -> None:
        self._card, self._per_level, self._asker, self._say = card, per_level, asker, say
        self._workers, self._proposals, self._sentences = workers, proposals, Kept()
        self._describing = Describing(card, asker)
        self._round = self._described = 0
        self.kept: dict[Level, list[Characteristic]] = {level: [] for level in LEVELS}

    def run(self) -> None:
        """Fill `kept`, or stop where nothing new comes. Raises UserError where the model is of no use."""
        for _ in range(PASSES):
            new = [item for level in LEVELS for item in self._proposed(level)]
            if not new:
                return
            self._complete(self._pruned(new))

    def _proposed(self, level: Level) -> list[Item]:
        missing = self._per_level - len(self.kept[level])
        want, found, idle = wanted(missing), list[Item](), 0
        for _ in range(SLOW * ceil(want / ROUND) + IDLE):
            if len(found) >= want or idle >= IDLE:
                break
            count = min(ROUND, want - len(found))
            new = self._round_of(level, count)
            found += new
            idle = 0 if new else idle + 1
            self._say(f"candidates, {level}: {len(found)} of {want}")
        return found

    def _round_of(self, level: Level, count: int) -> list[Item]:
        self._round += 1
        data = {"card": self._card, "known": self._proposals.known()}
        asked = messages("candidates", level, data, count=count, round=self._round)
        answer = self._workers.one("candidates", lambda: self._asker.ask("candidates", asked, Candidates, count))
        said = answer.candidates[:count] if answer else []
        return [item for candidate in said if (item := self._proposals.take(level, candidate))]

    def _pruned(self, items: list[Item]) -> list[Item]:
        by_level = [[item for item in items if item.level == level] for level in LEVELS]
        batches = [group[at : at + BATCH] for group in by_level for at in range(0, len(group), BATCH)]
        return [item for batch in self._workers.map("prune", self._judged, batches) for item in batch or ()]

    def _judged(self, batch: list[Item]) -> list[Item]:
        listed = [{"number": i, **item.candidate.model_dump()} for i, item in enumerate(batch, 1)]
        data = {"card": self._card, "listed": listed, "known": self._proposals.known(but=batch)}
        answer = self._asker.ask("prune", messages("prune", batch[0].level, data), Verdicts, len(batch))
        verdicts = {verdict.number: verdict for verdict in answer.verdicts}
        names = {normalised(item.candidate.name) for item in self._proposals.items}
        kept: list[Item] = []
        dropped: set[str] = set()
        for i, item in enumerate(batch, 1):
            verdict = verdicts.get(i)
            twin = normalised(verdict.same_as or "") if verdict else ""
            copies = twin in names and twin != normalised(item.candidate.name) and twin not in dropped
            if verdict and verdict.visible and verdict.level == item.level and not copies:
                kept.append(item)
            else:
                dropped.add(normalised(item.candidate.name))
        return kept

    def _complete(self, items: list[Item]) -> None:
        """Describe these; what copies a sentence kept before it is rewritten once more, then dropped."""
        copies = self._keep("describe and check", [Task(item) for item in items])
        for task in self._keep("rewrite copies", copies):
            self._say(f"{task.item.level}, {task.item.candidate.name}: dropped, {task.reason}")

    def _keep(self, what: str, tasks: list[Task]) -> list[Task]:
        """Keep what comes through, in order; returns what copies a sentence that is kept."""
        copies: list[Task] = []

        def take(task: Task, found: list[str] | None) -> None:
            kept = self.kept[task.item.level]
            self._described += 1
            if found is not None and len(kept) < self._per_level:
                if copied := self._sentences.copied(found):
                    copies.append(task._replace(descriptions=found, reason=copied))
                    return
                self._sentences.add(found)
                kept.append(Characteristic(name=task.item.candidate.name, descriptions=tuple(found)))
            if self._described >= NONE_GOOD and not any(self.kept.values()):
                fault = f"none of the first {NONE_GOOD} characteristics came through the checks"
                fix = "Try a larger model; the transcript shows what it said."
                raise UserError(fault, where="hlss bank draft", fix=fix)

        self._workers.map(what, self._describing.run, tasks, take)
        return copies
