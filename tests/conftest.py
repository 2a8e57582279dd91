"""Fixtures that several test files share."""

import pytest
from hub_server import serving, use
from huggingface_hub import constants


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
