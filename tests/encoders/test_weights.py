"""Weights from files: what is read, and that nothing in a file is executed."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from hlss.encoders.weights import fill, read_weights
from hlss.errors import UserError


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_code_in_a_file_is_not_run(tmp_path: Path):
    bad = tmp_path / "bad.pth"
    torch.save({"w": Trap(tmp_path / "sprung")}, bad)
    with pytest.raises(UserError, match=r"bad\.pth: cannot read weights"):
        read_weights(bad)
    bad.write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    with pytest.raises(UserError, match="cannot read weights"):
        read_weights(bad)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02garbage"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_broken_files_are_refused(tmp_path: Path, content: bytes, suffix: str):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot read weights"):
        read_weights(path)


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "dict.pth")
    for name in ("list.pth", "dict.pth"):
        with pytest.raises(UserError, match="holds no table of weights"):
            read_weights(tmp_path / name)


def test_misfits_are_named():
    layer = nn.Linear(2, 3)
    with pytest.raises(UserError, match=r"missing bias; unknown gain; of another shape weight"):
        fill(layer, {"weight": torch.zeros(3, 3), "gain": torch.zeros(3)}, "here")
    fill(layer, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, "here")
    assert bool((layer.weight == 1).all())
