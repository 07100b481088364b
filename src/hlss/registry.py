"""Register where you define; a clash or an unknown name is an error that lists the names.

What is registered is a *spec*: a frozen pydantic model (`hlss.config.Part`) whose fields are the thing's settings
and whose `build` (or `open`) makes the thing. Each registry reads every module of its packages before its first
look-up, so that adding an entry touches one file.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from hlss.errors import UserError

if TYPE_CHECKING:
    from hlss.config import Part

SpecT = TypeVar("SpecT", bound="type[Part]")


class Registry:
    """Specs of one kind by name; `packages` are searched for registrations once, when first asked."""

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind, self.packages = kind, packages
        self._specs: dict[str, type[Part]] = {}
        self._searched = False

    def register(self, name: str) -> Callable[[SpecT], SpecT]:
        """Class decorator that files a spec under `name`. Raises ValueError where the name is taken."""

        def file(spec: SpecT) -> SpecT:
            taken = self._specs.get(name)
            if taken is not None and taken.__qualname__ != spec.__qualname__:
                raise ValueError(f"{self.kind} {name!r} is taken by {taken.__module__}.{taken.__qualname__}")
            self._specs[name] = spec
            return spec

        return file

    def __getitem__(self, name: str) -> "type[Part]":
        self._search()
        if name not in self._specs:
            raise UserError(f"unknown {self.kind} {name!r}", fix=f"Known: {', '.join(sorted(self._specs))}.")
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(sorted(self._specs))

    def _search(self) -> None:
        if self._searched:
            return
        self._searched = True
        for name in self.packages:
            package = importlib.import_module(name)
            for module in pkgutil.iter_modules(package.__path__, prefix=f"{name}."):
                importlib.import_module(module.name)


COHORTS = Registry("cohort source", "hlss.cohorts")
ENCODERS = Registry("image encoder", "hlss.encoders")
TEXTS = Registry("text encoder", "hlss.encoders")
OBJECTIVES = Registry("objective", "hlss.objectives")
SLIDES = Registry("slide reader", "hlss.slides", "hlss.cohorts.phantom")  # the latter draws what it reads
