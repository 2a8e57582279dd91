"""Fixtures that several test files share."""

import os

import pytest
import torch
from hub_server import serving, use
from huggingface_hub import constants

from glpn.compute import available_cores


def pytest_configure() -> None:
    """Share the cores among the workers of pytest-xdist, whose threads would else wait for each other's."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, available_cores() // workers))


@pytest.fixture
def server(monkeypatch):
    """A Hub on the loopback interface that this process uses, without any token that the machine may hold."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    with serving() as server:
        use(monkeypatch, server.url)
        yield server


@pytest.fixture
def cache(tmp_path):
    """An empty Hub cache."""
    return tmp_path / "cache"
