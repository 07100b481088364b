"""Settings: bases, overrides, and one line for each misfit."""

import pytest

from hlss.config import Part, read_settings, read_yaml
from hlss.errors import UserError


class Inner(Part):
    name: str = "a"
    size: int = 1
    rate: float = 0.5


class Outer(Part):
    name: str = "run"
    inner: Inner = Inner()
    count: int


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_base_is_changed_section_by_section_and_then_by_overrides(tmp_path):
    written(tmp_path, "base.yaml", "count: 1\ninner: {name: a, size: 5, rate: 0.1}\n")
    path = written(tmp_path, "child.yaml", "base: base.yaml\ninner: {rate: 0.2}\n")
    assert read_settings(path, Outer, ["count=7"]) == Outer(count=7, inner=Inner(size=5, rate=0.2))
    assert read_settings(path, Outer, ["inner.name=b"]).inner == Inner(name="b")
    assert read_settings(path, Outer, ["name=other"]) == Outer(name="other", count=1, inner=Inner(size=5, rate=0.2))


def test_of_several_bases_each_changes_those_before_it(tmp_path):
    written(tmp_path, "data.yaml", "count: 1\ninner: {name: a, size: 5, rate: 0.1}\n")
    written(tmp_path, "method.yaml", "name: mine\ninner: {rate: 0.2}\n")
    written(tmp_path, "other.yaml", "base: method.yaml\ninner: {name: b}\n")
    path = written(tmp_path, "row.yaml", "base: [data.yaml, method.yaml]\ncount: 3\n")
    assert read_settings(path, Outer) == Outer(name="mine", count=3, inner=Inner(size=5, rate=0.2))
    written(tmp_path, "row.yaml", "base: [data.yaml, method.yaml, other.yaml]\n")
    assert read_settings(path, Outer) == Outer(name="mine", count=1, inner=Inner(name="b"))
    written(tmp_path, "row.yaml", "base: [data.yaml, row.yaml]\n")
    with pytest.raises(UserError, match="circle"):
        read_settings(path, Outer)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("count: 1\ncolour: red\n", "unknown key `colour`"),
        ("count: one\n", "`count`"),
        ("inner: {size: 2}\n", "`count` is missing"),
        ("- 1\n", "must be a mapping"),
        ("count: [\n", "not valid YAML"),
        ("base: child.yaml\n", "circle"),
        ("base: none.yaml\n", "cannot read settings"),
        ("count: 1\ninner: {rate: .inf}\n", "`inner.rate`"),
    ],
)
def test_misfits_name_file_and_field(tmp_path, text, says):
    path = written(tmp_path, "child.yaml", text)
    with pytest.raises(UserError) as refused:
        read_settings(path, Outer)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("override", ["count", "=3", "count.deep=3", "count=["])
def test_bad_overrides_are_named(tmp_path, override):
    with pytest.raises(UserError):
        read_settings(written(tmp_path, "x.yaml", "count: 1\n"), Outer, [override])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9 if n else ''}1]" for n in range(99)), "by its aliases"),
        ("a: &x [*x]\n", "by its aliases"),
        ("[" * 100_000, "too many lists in lists"),
        ("# " + "x" * (16 << 20), "larger than 16 MiB"),
    ],
    ids=["aliases", "circle", "depth", "size"],
)
def test_a_file_that_would_cost_far_more_than_it_says_is_refused(tmp_path, text, told):
    (tmp_path / "bomb.yaml").write_text(text)
    with pytest.raises(UserError, match=told):
        read_yaml(tmp_path / "bomb.yaml", "the bank")


def test_an_alias_is_read_as_what_it_stands_for(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x [1]\nb: *x\n")
    assert read_yaml(tmp_path / "a.yaml", "the bank") == {"a": [1], "b": [1]}
