"""Training: exact resume, stopping on request, steps that are not finite, frozen parts, gradient caching."""

import json
import os
import signal

import pytest
import torch
from torch import Tensor

from hlss.errors import UserError
from hlss.registry import OBJECTIVES
from hlss.train.checkpoint import Checkpoints
from hlss.train.run_folder import read_log
from hlss.train.stopping import Stopped


class Interrupting:
    """Batches that call `at_step[step]()` just before they hand out the batch of that step."""

    def __init__(self, batches, start, actions):
        self.batches, self.start, self.actions, self.unreadable = batches, start, actions, batches.unreadable

    def __iter__(self):
        for step, batch in enumerate(self.batches, start=self.start):
            self.actions.get(step, lambda: None)()
            yield batch


def interrupted(run, actions):
    """The same run with something happening on the way."""
    from dataclasses import replace

    stream = run.batches
    return replace(run, batches=lambda start: Interrupting(stream(start), start, actions))


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_stopped_and_started_again_ends_with_the_same_bits(make_run, go, weights, tmp_path, name, number):
    whole = make_run(objective_name=name)
    go(whole, tmp_path / "whole")
    broken = interrupted(make_run(objective_name=name), {2: lambda: os.kill(os.getpid(), number)})
    with pytest.raises(Stopped, match="step 3 of 6"):
        go(broken, tmp_path / "broken")
    again = make_run(objective_name=name)
    state = go(again, tmp_path / "broken")
    assert state.step == 6
    assert equal(weights(whole), weights(again))
    assert not equal(weights(whole), weights(make_run(objective_name=name)))


def test_going_on_from_an_older_checkpoint_cuts_the_log(make_run, go, weights, tmp_path):
    def die():
        raise RuntimeError("as if killed")

    whole = make_run(log_every=1)
    go(whole, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="as if killed"):
        go(interrupted(make_run(log_every=1, checkpoint_every=2), {5: die}), tmp_path / "run")
    assert [row["step"] for row in read_log(tmp_path / "run" / "log.jsonl")] == [1, 2, 3, 4, 5]
    again = make_run(log_every=1, checkpoint_every=2)
    go(again, tmp_path / "run")
    rows, expected = (read_log(tmp_path / name / "log.jsonl") for name in ("run", "whole"))
    for row in [*rows, *expected]:
        del row["views_per_second"]
    assert rows == expected
    assert equal(weights(whole), weights(again))


def test_log_has_every_term_gradient_norms_and_bank_use(make_run, go, tmp_path):
    go(make_run(log_every=1))
    first = read_log(tmp_path / "run" / "log.jsonl")[0]
    levels = ("patch", "slide", "patient")
    names = {f"{kind}/{level}" for kind in ("hvc", "ha") for level in levels}
    assert {f"loss/{name}" for name in names} | {f"gradient_at_z/{name}" for name in names} <= set(first)
    assert all(first[f"gradient_at_z/{name}"] > 0 for name in names)
    assert all(1 <= first[f"bank_use/{level}"] <= 6 for level in levels)
    assert first["loss/total"] == pytest.approx(sum(first[f"loss/{name}"] for name in names))


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_gradient_caching_gives_the_gradients_of_the_whole_batch(make_run, drawn_batch, name):
    from hlss.train.network import Network, by_chunks, whole_batch
    from hlss.train.step import Gathered

    batch = drawn_batch(0)

    def gradients(chunk):
        run = make_run(objective_name=name)
        run.encoder.eval()  # no dropout: the two passes of caching would draw it twice
        network = Network(run.encoder, run.objective, bf16=False)

        def loss_of(z, projected):
            ids, labels, rows = batch.flat_ids(), batch.flat_labels(), slice(0, batch.m)
            gathered = Gathered(projected.shared, projected.own, ids, labels, rows)
            return sum(run.objective.loss(gathered).values())

        if chunk is None:
            whole_batch(network, network, batch.flat(), loss_of, torch.Tensor.backward)
        else:
            by_chunks(network, network, batch.flat(), chunk, loss_of, torch.Tensor.backward)
        return {key: p.grad for key, p in network.named_parameters() if p.requires_grad}

    whole = gradients(None)
    rounding = 1e-6 * max(float(gradient.abs().max()) for gradient in whole.values())  # float32, another order of sums
    for chunk in (1, 5, 32):
        cached = gradients(chunk)
        for key, gradient in whole.items():
            torch.testing.assert_close(cached[key], gradient, rtol=1e-5, atol=rounding)


def test_a_step_that_is_not_finite_is_skipped_with_its_ids(make_run, go, weights, tmp_path):
    run = make_run(steps=4)
    tower = run.encoder.body[2]
    before = tower.weight.data.clone()

    def break_it():
        tower.weight.data[:] = float("nan")

    def mend_it():
        tower.weight.data.copy_(before)

    state = go(interrupted(run, {1: break_it, 2: mend_it}))
    assert (state.step, state.skipped, state.bad_in_a_row) == (4, 1, 0)
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "skipped-rank0.jsonl").read_text().splitlines()]
    assert row["step"] == 1
    assert row["ids"]["patch"] == list(range(16))
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())


def test_several_steps_in_a_row_that_are_not_finite_stop_the_run(make_run, go, tmp_path):
    run = make_run(max_bad_steps=2)
    with pytest.raises(UserError, match=r"not finite 2 steps in a row.*Lower train\.lr"):
        go(interrupted(run, {1: lambda: run.encoder.body[2].weight.data.fill_(float("nan"))}))
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [0]


def test_frozen_stages_and_norms_do_not_move(make_run, go):
    run = make_run(freeze={"stages": 1})
    before = {name: tensor.clone() for name, tensor in run.encoder.state_dict().items()}
    go(run)
    moved = {name for name, tensor in run.encoder.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"body.2.weight", "body.2.bias"}
    with pytest.raises(UserError, match="cannot freeze 3 stages, the encoder has 2"):
        go(make_run(freeze={"stages": 3}))


def test_too_many_unreadable_tiles_stop_the_run_and_are_listed(make_run, go, tmp_path):
    run = make_run(max_unreadable=0.1)
    stream = run.batches(0)
    from dataclasses import replace

    def spoil():
        stream.unreadable.update({"a.jpg": "truncated", "b.jpg": "0 bytes"})

    run = replace(run, batches=lambda start: Interrupting(stream, start, {2: spoil}))
    with pytest.raises(UserError, match="2 of 16 tiles are unreadable"):
        go(run)
    listed = (tmp_path / "run" / "unreadable-rank0.txt").read_text()
    assert listed == "a.jpg\ttruncated\nb.jpg\t0 bytes\n"


class Constant:
    """A monitor that reports given scores one after the other."""

    score = "val/knn"

    def __init__(self, scores):
        self.scores = iter(scores)

    def __call__(self, encoder):
        assert not encoder.training
        return {"val/knn": next(self.scores)}


def test_best_checkpoint_is_that_of_the_best_validation(make_run, go, tmp_path):
    from dataclasses import replace

    run = replace(make_run(validate_every=1, keep_last=1), monitor=Constant([0.1, 0.2, 0.9, 0.3, 0.3, 0.3, 0.3]))
    state = go(run)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    assert (state.best_step, state.best_score) == (2, 0.9)
    assert checkpoints.steps() == [0, 2, 6]
    assert checkpoints.path("best").name == "step-00000002"
