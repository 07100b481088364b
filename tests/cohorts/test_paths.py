import os
from pathlib import Path

import pytest

from hlss.cohorts.paths import (
    LONGEST,
    case_clashes,
    file_names,
    files_below,
    refuse_case_clashes,
    resolved_below,
    safe_name,
)
from hlss.errors import UserError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.svs", "b/1.SVS", "a/x.png", "top.tif", ".hidden.svs", ".git/config.svs", "b/.DS_Store"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    return tmp_path / "tree"


def test_files_come_sorted_without_what_is_hidden(tree: Path) -> None:
    assert files_below(tree) == ["a/x.png", "b/1.SVS", "b/2.svs", "top.tif"]
    assert files_below(tree, {".svs", ".tif"}) == ["b/1.SVS", "b/2.svs", "top.tif"]


def test_the_root_may_be_relative_or_itself_a_link(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "c").symlink_to("b")
    (tree.parent / "link").symlink_to(tree)
    monkeypatch.chdir(tree.parent)
    for root in ("tree", "link", "./tree/../link"):
        assert files_below(Path(root), {".svs"}) == ["b/1.SVS", "b/2.svs", "c/1.SVS", "c/2.svs"]


def test_a_link_inside_is_followed(tree: Path) -> None:
    (tree / "a/one.svs").symlink_to(tree / "b/2.svs")
    assert files_below(tree, {".svs"}) == ["a/one.svs", "b/1.SVS", "b/2.svs"]


@pytest.mark.parametrize("target", [".", "..", "../b"])
def test_a_link_back_is_named(tree: Path, target: str) -> None:
    (tree / "b/again").symlink_to(target)
    with pytest.raises(UserError, match=r"again: this link leads back to .*endless"):
        files_below(tree)


def test_links_that_cross_are_an_endless_folder_too(tree: Path) -> None:
    (tree / "a/over").symlink_to("../b")
    (tree / "b/over").symlink_to("../a")
    with pytest.raises(UserError, match="a/over/over: this link leads back to"):
        files_below(tree)


def test_a_link_out_of_the_root_is_refused_with_where_it_leads(tree: Path) -> None:
    (tree.parent / "elsewhere.svs").write_text("secret")
    (tree / "b/0.svs").symlink_to("../../elsewhere.svs")
    with pytest.raises(UserError, match=r"b/0.svs: this leads to .*elsewhere.svs, outside .*as the root"):
        files_below(tree)


@pytest.mark.parametrize(("target", "why"), [("gone.svs", "no such file"), ("0.svs", "leads to itself")])
def test_a_link_to_nothing_is_named(tree: Path, target: str, why: str) -> None:
    (tree / "b/0.svs").symlink_to(target)
    with pytest.raises(UserError, match=rf"b/0.svs: .*{why}"):
        files_below(tree)


def test_no_folder_is_said_so(tree: Path) -> None:
    for wrong in ("missing", "top.tif"):
        with pytest.raises(UserError, match="no such folder"):
            files_below(tree / wrong)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_closed_folder_is_named(tree: Path) -> None:
    (tree / "b").chmod(0)
    try:
        with pytest.raises(UserError, match="tree/b: the folder may not be read"):
            files_below(tree)
    finally:
        (tree / "b").chmod(0o755)


def test_a_listed_path_stays_below_the_root(tree: Path) -> None:
    assert resolved_below(tree, "a/../b/2.svs") == (tree / "b/2.svs").resolve()
    for outside in ("../tree2/x", "/etc/passwd", ".."):
        with pytest.raises(UserError, match=r"outside|no such file"):
            resolved_below(tree, outside)


def test_names_that_differ_by_case_or_spelling_are_paired_where_they_begin() -> None:
    assert case_clashes(["A/1", "A/2", "a/1", "a/3", "b/x", "b/X", "c"]) == [("A", "a"), ("b/x", "b/X")]
    assert case_clashes(["M\u00fcller", "Mu\u0308ller"]) == [("M\u00fcller", "Mu\u0308ller")]
    assert case_clashes(["1", "01", "1.0", "a-b", "a_b", "a/b", "x", "x"]) == []


def test_a_clash_is_an_error_that_names_both_and_counts() -> None:
    refuse_case_clashes(["a", "b"], "cohort.csv")
    with pytest.raises(UserError, match=r"cohort.csv: 'P1' and 'p1' differ .*\(and 1 more such pairs\)"):
        refuse_case_clashes(["P1", "p1", "Q", "q"], "cohort.csv")


@pytest.mark.parametrize("own", ["TCGA-AB-1234-01Z-00-DX1", "007", "1.50", "S 12 (b)", "Präparat"])
def test_an_ordinary_id_is_its_own_name(own: str) -> None:
    assert safe_name(own) == own


@pytest.mark.parametrize(
    ("own", "name"),
    [
        *[("p/s", "p__s"), ("a\\b", "a__b"), ("..", "__"), ("../../etc", "____..__etc"), (".x", "_x")],
        *[("a:b?", "a_b_"), ("a\0b\n", "a_b_"), (" a. ", "a")],
    ],
)
def test_whatever_is_in_an_id_it_names_a_file_of_the_folder(tmp_path: Path, own: str, name: str) -> None:
    assert safe_name(own) == name
    (tmp_path / f"{safe_name(own)}.h5").write_text("x")
    assert [path.parent for path in tmp_path.iterdir()] == [tmp_path]


def test_what_cannot_be_seen_or_encoded_is_replaced() -> None:
    assert safe_name("a\u202eb\u200bc\udc80") == "a_b_c_"


def test_long_ids_stay_apart_within_the_length_of_a_name() -> None:
    names = [safe_name("ä" * 300 + end) for end in "xy"]
    assert names[0] != names[1]
    assert all(len(name.encode()) <= LONGEST for name in names)


def test_an_empty_name_is_refused() -> None:
    for empty in ("", "  "):
        with pytest.raises(UserError, match="cannot be the name of a file"):
            safe_name(empty)


def test_ids_that_would_share_a_file_are_numbered_in_their_order() -> None:
    assert file_names(["007", "P 1", "M\u00fcller", "TCGA-18.DX1"]) == ("007", "P 1", "M\u00fcller", "TCGA-18.DX1")
    assert file_names(["a/b", "a__b", "A__B", "c"]) == ("a__b", "a__b~2", "A__B~3", "c")
    assert file_names(["x~2", "x", "x?", "x:", "X_"]) == ("x~2", "x", "x_", "x_~2", "X_~3")
    assert file_names(["M\u00fcller", "Mu\u0308LLER"]) == ("M\u00fcller", "M\u00fcLLER~2")
    assert file_names(["x", "x", "x~2"]) == ("x", "x~2", "x~2~2")
