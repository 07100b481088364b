"""torchvision beside a CPU build of torch."""

import subprocess
import sys

import pytest
import torch
from torch import library as operators

import hlss.encoders.torchvision_guard as guard


def test_torchvision_imports_and_a_second_time_too():
    assert guard.import_torchvision() is guard.import_torchvision()
    guard.guard_torchvision()
    assert guard._declared("nms")
    assert not guard._declared("no_such_operator")


def test_nothing_is_declared_where_torch_has_cuda(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(operators, "define", lambda *args: pytest.fail("declared an operator"))
    assert not guard.guard_needed()
    guard.guard_torchvision()


def test_missing_operators_are_declared_once(monkeypatch: pytest.MonkeyPatch):
    declared: list[str] = []
    monkeypatch.setattr(guard, "guard_needed", lambda: True)
    monkeypatch.setattr(guard, "_declared", lambda name: f"torchvision::{name}" in declared)
    monkeypatch.setattr(operators, "define", lambda name, schema: declared.append(name))
    guard.guard_torchvision()
    guard.guard_torchvision()
    assert declared == ["torchvision::nms", "torchvision::qnms"]


def test_importing_the_room_is_free():
    """No tower's library and no network come with it."""
    script = (
        "import socket, sys\n"
        "socket.getaddrinfo = socket.socket.connect = None\n"
        "from hlss.registry import ENCODERS, TEXTS\n"
        "assert len(list(ENCODERS)) >= 4 and len(list(TEXTS)) >= 5\n"
        "heavy = {'timm', 'open_clip', 'torchvision', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
