"""Settings are short, typed data ⇄ YAML. Strict: an unknown key or a wrong type is an error that names it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, ValidationError

from hlss.errors import UserError
from hlss.files import digest
from hlss.registry import Registry


class Part(BaseModel):
    """A section of an experiment: frozen, no unknown keys. `name` says which registered thing it sets up."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def choice(registry: Registry) -> Any:
    """A field filled by whatever is registered: `{name: hlss, mode: fixed}` becomes the spec filed under `hlss`."""

    def choose(value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            return value
        if "name" not in value:
            raise ValueError(f"needs `name`, one of: {', '.join(registry)}")
        return registry[value["name"]].model_validate(value)

    return Annotated[SerializeAsAny[Part], BeforeValidator(choose)]


PartT = TypeVar("PartT", bound=Part)
MAX_BYTES, MAX_PARTS = 16 << 20, 1_000_000  # of a YAML file


def read_settings(path: Path, model: type[PartT], overrides: Iterable[str] = ()) -> PartT:
    """Read a YAML file into `model`; `base:` names a file whose settings it changes, or several, each of which changes
    those before it; then `key.path=value` overrides.

    Raises UserError, naming file, field and remedy, where the file is missing, is no YAML mapping, or does not fit.
    """
    return validate(overridden(read_tree(path), overrides), model, where=path)


def overridden(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`tree` itself, changed by `key.path=value` overrides. Raises UserError for one that is none."""
    for override in overrides:
        _override(tree, override)
    return tree


def validate(tree: Any, model: type[PartT], where: object) -> PartT:
    """`tree` as `model`, with every misfit named in one line."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise UserError("; ".join(_misfit(e) for e in error.errors()), where=where) from error


def write_settings(settings: Part, path: Path) -> None:
    """Write every setting, defaults included, as YAML that `read_settings` reads back to an equal value."""
    path.write_text(settings_text(settings), encoding="utf-8")


def settings_text(settings: Part) -> str:
    """Every setting, defaults included, as YAML."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def settings_hash(settings: Part, exclude: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    """Short hash of every setting, defaults included; `exclude` leaves out fields that do not change a result."""
    return digest(settings.model_dump(mode="json", exclude=exclude))


def read_yaml(path: Path, what: str) -> Any:
    """What a YAML file holds. what: to call it in a message. Raises UserError where it cannot be read or is no YAML,
    and for files that would cost far more than they say: huge ones, deep ones, and those that point to themselves.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{what} is larger than {MAX_BYTES >> 20} MiB", where=path, fix="Give a smaller file.")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        if _parts(found, {}) > MAX_PARTS:
            raise UserError(f"{what} stands for more than {MAX_PARTS} texts by its aliases (*name)", where=path)
        return found
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {what}: {error}", where=path, fix="Check the path.") from error
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML: {error}", where=path) from error
    except RecursionError as error:
        raise UserError("not valid YAML here: too many lists in lists", where=path, fix="Write it flat.") from error


def _parts(tree: Any, known: dict[int, float]) -> float:
    """How many nodes a tree has when every alias is written out; without end where one holds itself."""
    if not isinstance(tree, dict | list):
        return 1
    if id(tree) not in known:
        known[id(tree)] = float("inf")
        known[id(tree)] = 1 + sum(_parts(one, known) for one in (tree.values() if isinstance(tree, dict) else tree))
    return known[id(tree)]


def read_tree(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The settings of a YAML file laid over those of its bases. seen: files that lead to it, none of them again."""
    path = Path(path)
    if path.resolve() in seen:
        raise UserError("`base:` leads in a circle", where=path, fix="Let one of the files stand on its own.")
    tree = read_yaml(path, "settings")
    if not isinstance(tree, dict):
        raise UserError("settings must be a mapping (`key: value` lines)", where=path)
    bases = tree.pop("base", None)
    result: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [] if bases is None else [bases]:
        result = _merged(result, read_tree(path.parent / str(base), (*seen, path.resolve())))
    return _merged(result, tree)


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it, section by section; a section that changes its `name` starts afresh."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            result[key] = _merged(old, value)
        else:
            result[key] = value
    return result


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r} is no override", fix="Write key=value, as in train.steps=100.")
    *parents, leaf = key.split(".")
    node = tree
    for parent in parents:
        child = node.get(parent)
        if isinstance(child, str):  # the short form `objective: hlss`
            child = {"name": child}
        node[parent] = child = {} if child is None else child
        if not isinstance(child, dict):
            raise UserError(f"{parent!r} holds a value, not a section", where=override)
        node = child
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"not a valid value: {text!r}", where=override) from error
    if leaf == "name" and parents and node.get("name", value) != value:
        node.clear()  # another thing altogether: the settings of the old one do not fit it
    node[leaf] = value


def _misfit(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"] if not str(part).startswith("function-")) or "settings"
    if error["type"] == "extra_forbidden":
        return f"unknown key `{field}`. Remove it or check its spelling"
    if error["type"] == "missing":
        return f"`{field}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error.get("input"), dict) else f" (given: {error.get('input')!r:.60})"
    return f"`{field}`: {message}{given}"
