"""A tower and its heads as one module."""

import copy

import pytest
import torch
from torch import Tensor

from hlss.train.network import Network


@pytest.mark.parametrize("training", [False, True])
def test_the_target_is_run_as_the_tower_is_in_the_same_mode(make_run, training: bool):
    run = make_run(objective_name="byol")
    network, target = Network(run.encoder, run.objective, bf16=False), run.objective.target_encoder
    run.encoder.train(training)
    target.train(not training)
    views = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    seen: list[Tensor] = []
    inner = run.objective.targets
    run.objective.targets = lambda encode: inner(lambda tower: seen.append(encode(tower)) or seen[-1])
    torch.manual_seed(0)
    found = network.targets([views])["target"]
    twin = copy.deepcopy(run.encoder)
    torch.manual_seed(0)
    torch.testing.assert_close(seen[0], twin(twin.normalised(views)))
    assert target.training is training
    assert not found.requires_grad
