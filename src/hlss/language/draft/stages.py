"""The stages of a draft: propose, prune, describe, check. Planned and applied in order, whatever comes back first."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import NamedTuple, TypeVar

from hlss.language.bank import Characteristic, normalised
from hlss.language.draft.asker import Asker, Say
from hlss.language.draft.budget import BATCH, ROUND, SLACK
from hlss.language.draft.prompts import messages
from hlss.language.draft.schema import Candidate, Candidates, Check, Descriptions, Verdicts, plain
from hlss.language.lint.form import MOST_IN_NAME
from hlss.language.wording import content_words, overlap
from hlss.types import LEVELS, Level

PASSES = 3  # over all stages, for what pruning and checking took away
IDLE = 2  # rounds with nothing new, after which a level is left as it is

Progress = Callable[[int, int], None]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Item(NamedTuple):
    """A candidate at its level. name, gist: their content words."""

    level: Level
    candidate: Candidate
    name: frozenset[str]
    gist: frozenset[str]


class Drafting:
    """State of a draft. kept: by level, what came through all stages."""

    def __init__(
        self,
        card: Mapping[str, object],
        per_level: int,
        asker: Asker,
        concurrency: int,
        say: Say,
        progress: Callable[[str], Progress],
    ) -> None:
        """progress: for the name of a stage, what is to be told of its requests, done and in all."""
        self._card, self._per_level, self._asker, self._say = card, per_level, asker, say
        self._concurrency, self._progress = concurrency, progress
        self._seen: list[Item] = []
        self._sentences: set[str] = set()
        self._round = 0
        self.kept: dict[Level, list[Characteristic]] = {level: [] for level in LEVELS}

    def run(self) -> None:
        """Fill `kept`, or stop where nothing new comes."""
        for _ in range(PASSES):
            new = [item for level in LEVELS for item in self._proposed(level)]
            if not new:
                return
            self._complete(self._pruned(new))

    def _map(self, what: str, work: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> list[ResultT]:
        todo, told = list(items), self._progress(what)
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            results = []
            for number, result in enumerate(pool.map(work, todo), 1):
                results.append(result)
                told(number, len(todo))
            return results
        finally:
            pool.shutdown(cancel_futures=True)

    def _proposed(self, level: Level) -> list[Item]:
        missing = self._per_level - len(self.kept[level])
        want, found, idle = ceil(missing * SLACK), list[Item](), 0
        while len(found) < want and idle < IDLE and missing > 0:
            self._round += 1
            known = [f"{item.level}: {item.candidate.name}" for item in self._seen]
            count = min(ROUND, want - len(found))
            asked = messages("candidates", level, self._data(known=known), count=count, round=self._round)
            answer = self._asker.ask("candidates", asked, Candidates)
            new = [item for c in (answer.candidates if answer else []) if (item := self._new(level, c))][:count]
            found += new
            idle = 0 if new else idle + 1
            self._say(f"candidates, {level}: {len(found)} of {want}")
        return found

    def _new(self, level: Level, candidate: Candidate) -> Item | None:
        """If it is usable, and no copy at this or another level; then it counts as seen."""
        if plain(candidate.name) or plain(candidate.gist) or len(candidate.name.split()) > MOST_IN_NAME:
            return None
        item = Item(level, candidate, content_words(candidate.name), content_words(candidate.gist))
        for other in self._seen:
            same = item.name == other.name or normalised(candidate.gist) == normalised(other.candidate.gist)
            if same or overlap(item.gist, other.gist).near_copy:
                return None
        self._seen.append(item)
        return item

    def _pruned(self, items: list[Item]) -> list[Item]:
        by_level = [[item for item in items if item.level == level] for level in LEVELS]
        batches = [group[at : at + BATCH] for group in by_level for at in range(0, len(group), BATCH)]
        return [item for batch in self._map("prune", self._judged, batches) for item in batch]

    def _judged(self, batch: list[Item]) -> list[Item]:
        listed = [{"number": i, **item.candidate.model_dump()} for i, item in enumerate(batch, 1)]
        own = {id(item.candidate) for item in batch}
        known = [f"{item.level}: {item.candidate.name}" for item in self._seen if id(item.candidate) not in own]
        asked = messages("prune", batch[0].level, self._data(listed=listed, known=known))
        answer = self._asker.ask("prune", asked, Verdicts)
        if answer is None:
            return []
        verdicts = {verdict.number: verdict for verdict in answer.verdicts}
        names = {normalised(item.candidate.name): item.candidate.name for item in self._seen}
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
        for item, found in zip(items, self._map("describe and check", self._described, items), strict=True):
            sentences = {normalised(text) for text in found or ()}
            full = len(self.kept[item.level]) >= self._per_level
            if found is None or full or sentences & self._sentences:
                continue
            self._sentences |= sentences
            self.kept[item.level].append(Characteristic(name=item.candidate.name, descriptions=tuple(found)))

    def _described(self, item: Item) -> list[str] | None:
        """Four descriptions that the model itself finds good, after one rewriting at most."""
        data = self._data(level=item.level, **item.candidate.model_dump())
        found = self._asker.ask("describe", messages("describe", item.level, data), Descriptions)
        for stage in ("check", "check again"):
            if found is None:
                return None
            now = {**data, "descriptions": found.descriptions}
            check = self._asker.ask(stage, messages("check", item.level, now), Check)
            if check is None or not (check.visible and check.level_right):
                return None
            if check.good:
                return found.descriptions
            if stage == "check":
                again = messages("rewrite", item.level, {**now, "reason": check.reason})
                found = self._asker.ask("rewrite", again, Descriptions)
        return None

    def _data(self, **more: object) -> dict[str, object]:
        return {"card": self._card, **more}
