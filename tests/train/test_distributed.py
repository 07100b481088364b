"""Two gloo processes under Fabric end with the weights of one process that has the whole batch."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
    import sys
    from contextlib import nullcontext
    from pathlib import Path
    import torch
    from lightning_fabric import Fabric
    sys.path[:0] = {here!r}
    from conftest import DrawnBatches, SmallTower, DIM, texts
    from hlss.objectives.base import Given
    from hlss.objectives.hlss import Hlss
    from hlss.train.loop import Run, train
    from hlss.train.run_folder import RunFolder
    from hlss.train.settings import TrainSpec

    torch.set_num_threads(1)
    world, chunk, out = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    fabric = Fabric(accelerator="cpu", devices=world, strategy="ddp" if world > 1 else "auto")
    fabric.launch()
    encoder = SmallTower()
    encoder.body[1].p = 0.0
    objective = Hlss().build(Given(encoder, DIM, texts(), seed=3))
    spec = TrainSpec(steps=3, lr=1e-2, precision="fp32", chunk=None if chunk == "none" else int(chunk))
    rank = fabric.global_rank
    run = Run(encoder, objective, lambda step: DrawnBatches(step, 3, rank, world), 16, spec, 3, 5, False)
    folder = RunFolder(out, "hash", "", {{}})
    with folder if rank == 0 else nullcontext():
        train(run, fabric, folder)
"""

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def trained(tmp_path: Path, world: int, chunk: str) -> dict[str, torch.Tensor]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(here=[str(HERE), str(HERE.parent / "support")])))
    out = tmp_path / f"{world}-{chunk}"
    environment = {**os.environ, "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(world), chunk, str(out)],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    folder = out / "checkpoints" / "step-00000003"
    return {**load_file(folder / "encoder.safetensors"), **load_file(folder / "objective.safetensors")}


@pytest.mark.distributed
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    one = trained(tmp_path, 1, "none")
    for chunk in ("none", "5"):
        two = trained(tmp_path, 2, chunk)
        for name, tensor in one.items():
            if not name.startswith("bank_use"):  # counted by the first process only
                torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=2e-5, msg=f"{name}, chunk {chunk}")
