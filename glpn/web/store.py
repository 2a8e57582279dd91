"""ModelStore: the loaded models of a running app, few enough to fit into memory."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from threading import Lock
from typing import Any, Generic, TypeVar

from glpn.errors import Cancelled, ConfigError

Model = TypeVar("Model")

WAIT_S = 0.2


class ModelStore(Generic[Model]):
    """Keeps up to `max_models` models; the least recently used one is evicted first.

    load       called as `load(name, **options)` to make a model
    max_models at least 1

    Threads may share it. A name is loaded once, however many ask for it at a time, while other models keep being
    served. A load that fails leaves nothing behind: all who waited for it get its error, and the next call tries again.
    """

    def __init__(self, load: Callable[..., Model], *, max_models: int = 2) -> None:
        if max_models < 1:
            raise ConfigError(f"A store of {max_models} models holds nothing. Give 1 or more.")
        self._load = load
        self._max_models = max_models
        self._lock = Lock()
        self._models: OrderedDict[str, Model] = OrderedDict()  # least recently used first
        self._loading: dict[str, Future[Model]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is loaded, least recently used first."""
        with self._lock:
            return tuple(self._models)

    def get(self, name: str, *, cancelled: Callable[[], bool] | None = None, **options: Any) -> Model:
        """Return the model called `name`, loaded if need be with `load(name, cancelled=…, **options)`.

        `cancelled` also ends waiting for somebody else's load, and somebody else's `Cancelled` does not end ours.
        Raises what `load` raises.
        """
        while True:
            with self._lock:
                if name in self._models:
                    self._models.move_to_end(name)
                    return self._models[name]
                loading = self._loading.get(name)
                if loading is None:
                    mine = self._loading[name] = Future()
                    break
            model = self._wait(loading, cancelled)
            if model is not None:
                return model
        return self._load_for_all(name, mine, {"cancelled": cancelled, **options})

    def _wait(self, loading: "Future[Model]", cancelled: Callable[[], bool] | None) -> Model | None:
        """Return the model that another thread is loading, or None if its user stopped it."""
        while True:
            try:
                return loading.result(timeout=WAIT_S)
            except NotYet:
                if loading.done():  # the load itself raised a TimeoutError
                    raise
                if cancelled is not None and cancelled():
                    raise Cancelled("Stopped.") from None
            except Cancelled:
                return None

    def _load_for_all(self, name: str, loading: "Future[Model]", options: dict[str, Any]) -> Model:
        try:
            model = self._load(name, **options)
        except BaseException as error:
            with self._lock:
                del self._loading[name]
            loading.set_exception(error)
            raise
        with self._lock:
            self._models[name] = model
            while len(self._models) > self._max_models:
                self._models.popitem(last=False)
            del self._loading[name]
        loading.set_result(model)
        return model
