"""How the page runs a model: one at a time, with progress, stoppable, and with what it measured on this machine."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from glpn.camera import Camera
from glpn.errors import Cancelled, UnknownModel, VariantNotTrained
from glpn.hub import is_cached, megabytes
from glpn.photo import Photo, load_photo
from glpn.prediction import DepthPrediction
from glpn.zoo import ModelSpec, Zoo

from .cards import UNTRAINED_HELP
from .jobs import Progress, Report, Stopped
from .links import Choices

if TYPE_CHECKING:
    from glpn.estimator import DepthEstimator


class Store(Protocol):
    """What the page needs of `glpn.store.ModelStore`."""

    def get(
        self,
        name: str,
        *,
        progress: Callable[[int, int | None, float], None] | None = None,
        cancelled: Stopped | None = None,
    ) -> "DepthEstimator": ...


@dataclass(frozen=True)
class Host:
    """Who runs the page. `public`: strangers use it, so what belongs to the host is hidden."""

    public: bool = False
    own_checkpoints: bool = True

    @classmethod
    def detect(cls) -> "Host":
        """A Space is public; GLPN_OWN_CHECKPOINTS=1 lets its visitors load other repositories all the same."""
        public = "SPACE_ID" in os.environ
        return cls(public, not public or os.environ.get("GLPN_OWN_CHECKPOINTS") == "1")


class Engine:
    """The models of a running app. Make one per app; threads share it."""

    def __init__(self, zoo: Zoo, store: Store, *, host: Host) -> None:
        self.zoo = zoo
        self.store = store
        self.host = host
        self.seconds: dict[str, float] = {}  # per variant, of its last standard run
        self._one_at_a_time = threading.Lock()
        self._run = on_gpu(run)

    def check(self, model: str) -> ModelSpec | None:
        """Return the row of a variant that can be run, or None for a checkpoint outside the zoo; raise for others."""
        if model in self.zoo:
            spec = self.zoo[model]
            if not spec.ready:
                raise VariantNotTrained(f"{spec.id} can't be run. {UNTRAINED_HELP.format(repo=spec.source.repo_id)}")
            return spec
        if not model.strip():
            raise UnknownModel("No model is chosen. Name a Hub repository such as owner/name, or a folder.")
        if not self.host.own_checkpoints:
            known = ", ".join(spec.id for spec in self.zoo.ready)
            raise UnknownModel(f"This page runs {known} only, not {model!r}. Run the app yourself to load others.")
        return None

    def cached(self, spec: ModelSpec) -> bool:
        """Whether the variant runs without a download."""
        return spec.ready and is_cached(spec)

    def estimate(
        self, model: str, photo: str | Path, choices: Choices, *, report: Report, stopped: Stopped
    ) -> tuple[Photo, DepthPrediction]:
        """Load the model, wait for the others' turn, run. Raises `Cancelled` between steps once `stopped()`."""
        self.check(model)
        loaded = load_photo(str(photo))
        report(Progress(f"Loading {model}."))

        def progress(done: int, total: int | None, rate: float) -> None:
            whole = f" of {megabytes(total)}" if total else ""
            sentence = f"Downloading {model}: {megabytes(done)}{whole}, {rate / 1e6:.1f} MB/s."
            report(Progress(sentence, done / total if total else None))

        estimator = self.store.get(model, progress=progress, cancelled=stopped)
        report(Progress("Waiting for another visitor's photo."))
        with self._one_at_a_time:
            if stopped():
                raise Cancelled("Stopped.")
            report(Progress(f"Estimating depth with {model}."))
            prediction = self._run(
                estimator,
                loaded,
                resolution=choices.res,
                flip_average=choices.flip,
                camera=_camera(choices, loaded, estimator.spec),
                correct_scale=None if choices.correct else False,
            )
        if choices.res == "standard" and not choices.flip:
            self.seconds[model] = prediction.seconds
        return loaded, prediction


def _camera(choices: Choices, photo: Photo, spec: ModelSpec) -> Camera | None:
    if choices.camera == "fov":
        return Camera.from_fov(choices.fov, photo.size)
    if choices.camera == "assumed":
        return Camera.assumed_like(spec.camera.fx_over_width, photo.size)
    return None


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` so that ZeroGPU lends it a graphics card; unchanged where there is no such thing."""
    try:
        import spaces
    except ImportError:
        return function
    decorated: Callable[..., Any] = spaces.GPU(function)
    return decorated


def run(estimator: Any, photo: Photo, **settings: Any) -> DepthPrediction:
    """Run the model: what `on_gpu` takes to the graphics card."""
    prediction: DepthPrediction = estimator(photo, **settings)
    return prediction
