"""Small towers, built once: real architectures cost seconds."""

import socket

import pytest
import torch
from torch import Tensor

TEXTS = (
    "Sheets of round cells with scant cytoplasm",
    "gland",
    "Long bundles of spindle cells cross each other at sharp angles between thin bands of collagen and small vessels",
    "Dark nuclei, crowded",
)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach the network fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was reached for")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def texts() -> list[str]:
    """Of very different lengths."""
    return list(TEXTS)


@pytest.fixture
def pixels() -> Tensor:
    """Three images of noise, uint8, 64 px."""
    return torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
