"""ModelStore under threads; every wait is for a condition."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from glpn.errors import Cancelled, ConfigError, HubBusy
from glpn.web.store import ModelStore

PATIENCE_S = 20


class Loader:
    """Loads strings; `hold(name)` makes a load wait until `release(name)`."""

    def __init__(self):
        self.calls = []
        self.started = {}
        self.gates = {}

    def hold(self, name):
        self.started[name] = threading.Event()
        self.gates[name] = threading.Event()

    def __call__(self, name, cancelled=None, **options):
        self.calls.append(name)
        if name in self.gates:
            self.started[name].set()
            assert self.gates[name].wait(PATIENCE_S)
        if cancelled is not None and cancelled():
            raise Cancelled("stopped")
        return f"{name}{options or ''}"


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_a_model_is_loaded_once_and_the_least_recently_used_one_leaves():
    load = Loader()
    store = ModelStore(load, max_models=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert store.get(name) == name
    assert load.calls == ["a", "b", "c", "b"]
    assert store.names == ("a", "b")


def test_options_reach_the_loader():
    assert ModelStore(Loader()).get("a", progress=1) == "a{'progress': 1}"


def test_a_store_of_no_models_makes_no_sense():
    with pytest.raises(ConfigError, match="Give 1 or more"):
        ModelStore(Loader(), max_models=0)


def test_one_load_at_a_time_per_name_while_others_are_served(pool):
    load = Loader()
    store = ModelStore(load, max_models=3)
    store.get("ready")
    load.hold("slow")
    waiting = [pool.submit(store.get, "slow") for _ in range(5)]
    assert load.started["slow"].wait(PATIENCE_S)
    assert store.get("ready") == "ready"
    assert store.get("other") == "other"
    load.gates["slow"].set()
    assert {future.result(PATIENCE_S) for future in waiting} == {"slow"}
    assert load.calls.count("slow") == 1


def test_a_failed_load_leaves_nothing_and_tells_all_who_wait(pool):
    started, gate = threading.Event(), threading.Event()
    waiters = threading.Semaphore(0)
    failing = [True]

    def load(name, cancelled):
        started.set()
        assert gate.wait(PATIENCE_S)
        if failing:
            raise HubBusy("no")
        return name

    def impatient():
        waiters.release()  # asked from inside the wait
        return False

    store = ModelStore(load)
    first = pool.submit(store.get, "a")
    assert started.wait(PATIENCE_S)
    second = pool.submit(store.get, "a", cancelled=impatient)
    assert waiters.acquire(timeout=PATIENCE_S)
    gate.set()
    for future in (first, second):
        assert isinstance(future.exception(PATIENCE_S), HubBusy)
    assert store.names == ()
    failing.clear()
    assert store.get("a") == "a"


def test_a_failed_load_drops_no_other_model():
    def load(name, cancelled):
        if name == "bad":
            raise HubBusy("no")
        return name

    store = ModelStore(load, max_models=1)
    store.get("good")
    with pytest.raises(HubBusy):
        store.get("bad")
    assert store.names == ("good",)


def test_stopping_one_load_does_not_stop_whoever_waits_for_it(pool):
    load = Loader()
    load.hold("a")
    store = ModelStore(load)
    stop = threading.Event()
    asked = threading.Semaphore(0)

    def still_wanted():
        asked.release()
        return False

    first = pool.submit(store.get, "a", cancelled=stop.is_set)
    assert load.started["a"].wait(PATIENCE_S)
    second = pool.submit(store.get, "a", cancelled=still_wanted)
    assert asked.acquire(timeout=PATIENCE_S)  # it waits
    stop.set()
    load.gates["a"].set()
    assert isinstance(first.exception(PATIENCE_S), Cancelled)
    assert second.result(PATIENCE_S) == "a"
    assert load.calls == ["a", "a"]


def test_waiting_can_be_stopped(pool):
    load = Loader()
    load.hold("a")
    store = ModelStore(load)
    first = pool.submit(store.get, "a")
    assert load.started["a"].wait(PATIENCE_S)
    with pytest.raises(Cancelled):
        store.get("a", cancelled=lambda: True)
    load.gates["a"].set()
    assert first.result(PATIENCE_S) == "a"


def test_a_timeout_of_the_load_itself_is_passed_on(pool):
    def load(name, cancelled):
        raise TimeoutError("the load's own")

    with pytest.raises(TimeoutError, match="the load's own"):
        ModelStore(load).get("a")


def test_many_threads_never_see_more_than_the_limit(pool):
    load = Loader()
    store = ModelStore(load, max_models=2)
    names = [f"m{number % 5}" for number in range(200)]
    assert list(pool.map(store.get, names)) == names
    assert len(store.names) == 2
