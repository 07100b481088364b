"""From a characteristic to four descriptions that neither the linter nor the model itself finds wanting."""

from collections.abc import Mapping
from typing import NamedTuple

from hlss.language.draft.asker import Asker
from hlss.language.draft.prompts import messages
from hlss.language.draft.proposals import Item
from hlss.language.draft.schema import Check, Descriptions
from hlss.language.draft.sentences import fault

REWRITES = 2


class Task(NamedTuple):
    """descriptions, reason: what there is already, and why it must be rewritten."""

    item: Item
    descriptions: list[str] | None = None
    reason: str | None = None


class Describing:
    """Several threads may share it."""

    def __init__(self, card: Mapping[str, object], asker: Asker) -> None:
        self._card, self._asker = card, asker

    def run(self, task: Task) -> list[str] | None:
        """Four descriptions; None where the model finds the characteristic not visible or of another level, or where
        they are still wanting after two rewritings. Raises GivenUp.
        """
        found, reason = task.descriptions, task.reason
        if found is None:
            found = self._asker.ask("describe", self._messages("describe", task.item), Descriptions).descriptions
        for turn in range(REWRITES + 1):
            if reason is None and (reason := fault(found)) is None:
                check = self._asker.ask("check", self._messages("check", task.item, descriptions=found), Check)
                if not (check.visible and check.level_right):
                    return None
                reason = check.wrong
            if reason is None:
                return found
            if turn < REWRITES:
                asked = self._messages("rewrite", task.item, descriptions=found, reason=reason)
                found, reason = self._asker.ask("rewrite", asked, Descriptions, turn=turn).descriptions, None
        return None

    def _messages(self, stage: str, item: Item, **more: object) -> list[dict[str, str]]:
        data = {"card": self._card, "level": item.level, **item.candidate.model_dump(), **more}
        return messages(stage, item.level, data)
