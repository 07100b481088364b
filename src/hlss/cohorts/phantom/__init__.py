"""Drawn tissue of known truth."""

from hlss.cohorts.phantom.spec import PhantomSpec

__all__ = ["PhantomSpec"]
