"""A reviewer at work on a bank: each decision is checked against the text it is about, then logged."""

from pathlib import Path
from uuid import uuid4

from hlss.errors import UserError
from hlss.language.bank import DescriptionBank, normalised
from hlss.language.review.entries import Action, Entry, Wording
from hlss.language.review.log import ReviewLog
from hlss.language.review.state import Key, State, fold
from hlss.types import Level


class Outdated(UserError):  # noqa: N818 — what the decision is
    """A decision about a text that another tab or reviewer has changed since. `newer`: that text now."""

    def __init__(self, newer: Wording) -> None:
        now = f"{newer.place}: " + " | ".join(newer.descriptions)
        super().__init__(
            f"the text was changed meanwhile, and is now: {now}", fix="Nothing was saved; look at it and decide again."
        )
        self.newer = newer


class Review:
    """One reviewer's session. Everything is read anew from the log, so that other tabs and servers are seen."""

    def __init__(self, bank: DescriptionBank, log: Path, who: str) -> None:
        """Raises UserError where the log is damaged or of another bank, or the name is empty."""
        if not who.strip():
            raise UserError("the reviewer has no name", where="--reviewer", fix="Give the name to sign with.")
        self.bank, self.who, self.session = bank, who.strip(), uuid4().hex[:8]
        self.log = ReviewLog(log, bank.fingerprint)

    def state(self) -> State:
        """As the log has it now."""
        return fold(self.bank, self.log.read())

    def approve(self, key: Key, seen: Wording) -> Entry:
        """Stand behind the text. Raises Outdated where `seen` is not the text now."""
        return self._decide(key, "approve", seen)

    def reject(self, key: Key, seen: Wording) -> Entry:
        """Leave it out of the bank. Raises Outdated."""
        return self._decide(key, "reject", seen)

    def edit(self, key: Key, seen: Wording, after: Wording) -> Entry:
        """Put `after` in the place of `seen`. Raises Outdated; UserError where a name or sentence stands elsewhere."""
        return self._decide(key, "edit", seen, after)

    def move(self, key: Key, seen: Wording, level: Level) -> Entry:
        """To another level; verdicts about it there are still to come. Raises Outdated; UserError where the bank has
        one list for all levels.
        """
        if self.bank.generic:
            raise UserError(
                "this bank has one list for all levels: nothing can be moved",
                where=seen.place,
                fix="Reject or edit it.",
            )
        return self._decide(key, "move", seen, seen.model_copy(update={"level": level}))

    def comment(self, key: Key, text: str) -> Entry:
        """This reviewer's comment on a characteristic, in the place of their earlier one."""

        def made(entries: list[Entry]) -> Entry:
            seen = fold(self.bank, entries).items[key].wording
            return self._entry(key, "comment", seen, comment=text.strip())

        return self.log.append(made)

    def undo(self) -> Entry:
        """Take back this reviewer's last entry that stands, by a further one, whichever tab, server or day it is of:
        who starts the server again goes on where they stopped. The entry returned names what was taken back, which need
        not be what is on the screen. Raises UserError where there is none, and Outdated where another has changed the
        text that it made.
        """

        def made(entries: list[Entry]) -> Entry:
            state = fold(self.bank, entries)
            mine = [entry for entry in state.entries if entry.who == self.who]
            if not mine:
                raise UserError("there is nothing to undo")
            last, now = mine[-1], state.items[mine[-1].key].wording
            if last.after is not None and last.after != now:
                raise Outdated(now)
            return self._entry(last.key, "undo", now, after=last.before if last.after else None, undoes=last.id)

        return self.log.append(made)

    def _decide(self, key: Key, action: Action, seen: Wording, after: Wording | None = None) -> Entry:
        def made(entries: list[Entry]) -> Entry:
            state = fold(self.bank, entries)
            if state.items[key].wording != seen:
                raise Outdated(state.items[key].wording)
            if action == "edit" and after is not None:
                _refuse_copies(state, key, after)
            return self._entry(key, action, seen, after=after)

        return self.log.append(made)

    def _entry(self, key: Key, action: Action, before: Wording, **more: object) -> Entry:
        who, session, bank = self.who, self.session, self.bank.fingerprint
        fields = {"who": who, "session": session, "bank": bank, "level": key[0], "name": key[1]}
        return Entry.model_validate({**fields, "action": action, "before": before, **more})


def _refuse_copies(state: State, key: Key, after: Wording) -> None:
    """A frozen bank may not hold a name or a sentence twice: say so now, not when it is frozen."""
    own = [normalised(text) for text in after.descriptions]
    if len(set(own)) < len(own):
        raise UserError("two of the descriptions are the same", where=after.name, fix="Reword one.")
    for item in state.items.values():
        if item.key == key:
            continue
        texts = {normalised(text) for text in item.wording.descriptions}
        if normalised(item.wording.name) == normalised(after.name) or texts & set(own):
            raise UserError(
                "this name or one of these sentences stands there already", where=item.wording.place, fix="Reword it."
            )
