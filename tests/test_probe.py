"""The Hub's state is known without anybody waiting for it."""

import threading

from huggingface_hub import constants

from glpn.hub.probe import Probe, reachable


def test_a_hub_that_answers_and_one_that_does_not(server, monkeypatch):
    server.repo("someone/glpn").commit({"config.json": b"{}"})
    assert reachable("someone/glpn")
    assert not reachable("someone/else")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not reachable("someone/glpn")


def test_looking_never_waits_and_asks_once():
    go, asked, done = threading.Event(), [], threading.Event()

    def ask() -> bool:
        asked.append(1)
        go.wait(60)
        done.set()
        return True

    probe = Probe(ask)
    assert probe.answer is None and probe.answer is None
    go.set()
    assert done.wait(60)
    while probe.answer is None:
        pass
    assert probe.answer is True
    assert asked == [1]
