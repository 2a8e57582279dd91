"""Fixtures that several test files share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hub_server import serving, use
from huggingface_hub import constants
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from web_support import ARTIFACTS, CHROMIUM, PATIENCE_MS, FakeStore

from glpn.model.device import available_cores
from glpn.zoo import Zoo

LONGEST = [
    "test_web_browser",
    "test_trainer",
    "test_web_doors",
    "test_photo3d_browser",
    "test_zoo_train",
    "test_cluster",
    "test_web_measure",
    "test_fuzz",
    "test_languages",
    "test_rendered",
    "test_estimator",
    "test_engine",
    "test_modeling",
    "test_proxy",
    "test_web_handlers",
    "test_zerogpu",
    "test_model_export",
]

if TYPE_CHECKING:
    from glpn.web.runner import Engine
    from glpn.web.session import Session


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the workers of pytest-xdist, whose threads would else wait for each other's."""
    settings.register_profile("any machine", deadline=None)  # no test depends on a processor's speed
    settings.load_profile("any machine")
    own = tempfile.TemporaryDirectory(prefix="glpn-config-")
    config.add_cleanup(own.cleanup)
    os.environ["XDG_CONFIG_HOME"] = own.name  # no developer's own list of models
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, available_cores() // workers))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that at the end no worker has one left while the others have none."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


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


@pytest.fixture
def engine() -> "Engine":
    """What the page runs on, with `FakeEstimator` for every variant."""
    from glpn.web.runner import Engine, Host  # Gradio is for the tests that need it

    zoo = Zoo.load()
    return Engine(zoo, FakeStore(zoo), host=Host())


@pytest.fixture
def session(tmp_path: Path) -> "Session":
    """A visitor's own room, empty."""
    from glpn.web.session import Session

    return Session(tmp_path / "sessions")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, with WebGL in software and a camera that shows a clock; its contexts are patient.

    A photo sways only where a test asks for it: drawn in software, each open page would keep a core busy.
    """
    ARTIFACTS.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)  # type: ignore[arg-type]
        new_context = browser.new_context

        def patient(**options: Any) -> BrowserContext:
            context = new_context(**{"reduced_motion": "reduce"} | options)
            context.set_default_timeout(PATIENCE_MS)
            return context

        browser.new_context = patient  # type: ignore[method-assign]
        yield browser
        browser.close()
