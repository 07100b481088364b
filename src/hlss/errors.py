"""The errors a user can cause and mend: one line each, saying what, where and how to mend it."""

from pathlib import Path


class UserError(Exception):
    """Bad input, named so that its author can mend it. The command line prints it without a traceback.

    what:  what is wrong, in a few words.
    where: the file, field, row or flag it was found in.
    fix:   what to do about it.
    """

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        text = what if where is None else f"{where}: {what}"
        super().__init__(" ".join(f"{text}. {fix}".split()) if fix else " ".join(text.split()))


class Unreadable(UserError):  # noqa: N818 — what it is, not that it is an error
    """A slide, image or tile whose pixels cannot be had. `path`: its file; `reason`: why."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"cannot be read: {reason}", where=path, fix="Repair the file or take it out of the cohort.")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple[type["Unreadable"], tuple[str, str]]:
        return Unreadable, (self.path, self.reason)
