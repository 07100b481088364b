"""Real gloo processes, DDP and all: terms and gradients of W ranks equal those of one process."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RANK = Path(__file__).with_name("rank.py")


@pytest.mark.distributed
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_equal_one_process(world: int, tmp_path: Path):
    out = tmp_path / "found.pt"
    ranks = [
        subprocess.Popen(
            [sys.executable, RANK, str(rank), str(world), tmp_path / "store", out],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        said = [rank.communicate(timeout=120)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(said)
    found = torch.load(out, weights_only=True)
    module = runpy.run_path(str(RANK))
    for name in module["SPECS"]:
        truth = module["gradients"](name, rank=0, world=1)
        assert set(found[name]) == set(truth)
        assert {"tower.weight", "tower.bias"} <= set(truth)
        for key, value in truth.items():
            torch.testing.assert_close(found[name][key], value, rtol=1e-9, atol=1e-14, msg=f"{name}: {key}")
            assert value.norm() > 0, f"{name}: {key}"
