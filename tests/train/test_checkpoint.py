"""Checkpoints: whole or absent, kept by a rule, and never lost to a full disk."""

import resource
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from hlss.errors import UserError
from hlss.train.checkpoint import Checkpoints, State


def parts():
    encoder, objective = nn.Linear(3, 2), nn.Linear(2, 2)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *objective.parameters()])
    objective(encoder(torch.ones(1, 3))).sum().backward()
    optimizer.step()
    return encoder, objective, optimizer


def test_round_trip_of_weights_optimiser_and_state(tmp_path):
    saved, state = parts(), State(step=7, skipped=1, unreadable={"x": "why"}, best_step=3, best_score=0.5)
    Checkpoints(tmp_path).save(*saved, state)
    loaded = parts()
    assert Checkpoints(tmp_path).load("last", *loaded) == state
    for a, b in zip(saved[:2], loaded[:2], strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    for a, b in zip(saved[2].state.values(), loaded[2].state.values(), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in ("step", "exp_avg", "exp_avg_sq"))


def test_kept_are_start_best_newest_and_every_nth(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2, keep_every=4)
    for step in range(10):
        checkpoints.save(*parts(), State(step=step, best_step=3 if step >= 3 else None))
    assert checkpoints.steps() == [0, 3, 4, 8, 9]


def test_missing_ones_are_named(tmp_path):
    with pytest.raises(UserError, match="no checkpoint here"):
        Checkpoints(tmp_path).path("last")
    Checkpoints(tmp_path).save(*parts(), State(step=4))
    with pytest.raises(UserError, match=r"no checkpoint 'start'\. There are: 4"):
        Checkpoints(tmp_path).path("start")
    with pytest.raises(UserError, match="validated nothing"):
        Checkpoints(tmp_path).path("best")


def test_midway_is_the_mean_of_start_and_last_and_keeps_the_counters_of_the_last(tmp_path):
    def tower(shift, count):
        made = nn.BatchNorm1d(3)
        with torch.no_grad():
            made.weight.copy_(torch.tensor([1.0, 2.0, 3.0]) + shift)
            made.running_var.fill_(1 + shift)
            made.num_batches_tracked.fill_(count)
        return made

    objective = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(objective.parameters())
    for step, shift in ((0, 0.0), (6, 4.0)):
        Checkpoints(tmp_path).save(tower(shift, step), objective, optimizer, State(step=step))
    found = nn.BatchNorm1d(3)
    assert Checkpoints(tmp_path).load_encoder("midway", found) == "step-00000000 + step-00000006"
    assert found.weight.tolist() == [3, 4, 5]
    assert found.running_var.tolist() == [3, 3, 3]
    assert int(found.num_batches_tracked) == 6
    assert Checkpoints(tmp_path).load_encoder("start", found) == "step-00000000"
    assert found.weight.tolist() == [1, 2, 3]


def test_midway_wants_the_start(tmp_path):
    Checkpoints(tmp_path).save(*parts(), State(step=4))
    with pytest.raises(UserError, match="no checkpoint 'start'"):
        Checkpoints(tmp_path).load_encoder("midway", nn.Linear(3, 2))


@pytest.mark.parametrize("damage", ["cut", "other model"])
def test_weights_that_are_broken_or_of_another_model_are_refused(tmp_path, damage):
    path = Checkpoints(tmp_path).save(*parts(), State(step=1)) / "encoder.safetensors"
    encoder, objective, optimizer = parts()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        encoder = nn.Linear(3, 5)
    with pytest.raises(UserError, match=r"encoder\.safetensors"):
        Checkpoints(tmp_path).load("last", encoder, objective, optimizer)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    """A file-size limit stands in for the full disk, in a process of its own."""
    Checkpoints(tmp_path).save(*parts(), State(step=1))
    code = f"""
        import resource, signal, torch
        from pathlib import Path
        from torch import nn
        from hlss.errors import UserError
        from hlss.train.checkpoint import Checkpoints, State
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        big = nn.Linear(100, 100)
        try:
            Checkpoints(Path({str(tmp_path)!r})).save(big, big, torch.optim.AdamW(big.parameters()), State(step=2))
        except UserError as error:
            print("refused:", error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "refused:" in done.stdout
    assert "step-00000002" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert Checkpoints(tmp_path).load("last", *parts()).step == 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096
