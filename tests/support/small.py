"""Objectives of the registry with heads that tests can afford."""

from hlss.config import validate
from hlss.objectives.base import ObjectiveSpec
from hlss.registry import OBJECTIVES

WIDTHS = {"width": 32, "hidden": 48}


def small(name: str) -> ObjectiveSpec:
    """An objective as it comes, but for the widths of its layers."""
    fields = OBJECTIVES[name].model_fields
    widths = {field: width for field, width in WIDTHS.items() if field in fields}
    spec = validate({"name": name, **widths}, OBJECTIVES[name], where=name)
    assert isinstance(spec, ObjectiveSpec)
    return spec
