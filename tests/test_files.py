"""Writing that never leaves half of anything."""

import pytest

from hlss.errors import UserError
from hlss.files import digest, replacing, write_json


def write_half(path):
    path.write_text("half")
    path.write_text(0)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as temporary:
        write_half(temporary)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_replaces_a_filled_folder(tmp_path):
    for content in ("one", "two"):
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / "x").write_text(content)
    assert (tmp_path / "folder" / "x").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_path_below_a_file_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Choose another output folder"):
        write_json(tmp_path / "file" / "x.json", {})


def test_digest_does_not_hang_on_key_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
