"""How the page runs a model: one at a time, with progress, stoppable, and with what it measured on this machine."""

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image

from glpn.camera import Camera, scale_correction
from glpn.errors import Cancelled, UnknownModel, VariantNotTrained
from glpn.exif import camera_from_exif
from glpn.hub import megabytes
from glpn.hub.probe import Probe, reachable
from glpn.model.placement import borrows_card
from glpn.photo import Photo, Size, load_photo
from glpn.prediction import DepthPrediction
from glpn.scene.certainty import RUNS, relative_spread
from glpn.scene.geometry import resize_rgb
from glpn.scene.photo3d import resize, within
from glpn.zoo import ModelSpec, Zoo
from glpn.zoo.locate import is_cached

from . import gpu
from .address import LOOPBACK_NAMES, checked_root_path
from .choices import Choices
from .decoded import Decoded
from .jobs import Progress, Report, Stopped
from .memory import KEPT_BYTES, give_back_memory
from .parts.html import UNTRAINED_HELP
from .turns import LONGEST_S, Turns

if TYPE_CHECKING:
    from glpn.estimator import DepthEstimator

T = TypeVar("T")
SPREAD_SIDE = 1000  # pixels, longer side of the photo on which it is found how sure a model is
SPREAD_MAP_SIDE = 256  # samples of what is found, as many as the embedded network sees
MAX_HELD_PIXELS = 12_000_000  # of a result that a session holds: 7 bytes each
MAX_SHOWN_PIXELS = 1_000_000  # of what is drawn
SHOWN_PIXELS = 750_000  # to which larger ones are shrunk: 12 megapixels are a fourth of their sides


class Store(Protocol):
    """What the page needs of `glpn.web.store.ModelStore`."""

    def get(
        self,
        name: str,
        *,
        progress: Callable[[int, int | None, float], None] | None = None,
        cancelled: Stopped | None = None,
    ) -> "DepthEstimator": ...


@dataclass(frozen=True)
class Host:
    """Who runs the page.

    public        strangers use it, so what belongs to the host is hidden
    names         host names that a private page answers to, next to addresses in digits
    trust_proxy   whether what stands in front of the page tells by which name it is reached
    root_path     path or address at which a proxy offers the page, as `checked_root_path` gives it
    """

    public: bool = False
    own_checkpoints: bool = True
    names: tuple[str, ...] = LOOPBACK_NAMES
    trust_proxy: bool = False
    root_path: str = ""

    @classmethod
    def of(
        cls,
        address: str | None = None,
        *,
        share: bool = False,
        private: bool = False,
        root_path: str | None = None,
    ) -> "Host":
        """Whoever serves beyond this machine is public, unless `private` says that all who come are trusted.

        address     what the server listens on; None is GRADIO_SERVER_NAME, or else this machine only
        root_path   path or address at which a proxy offers the page; None is GRADIO_ROOT_PATH

        GLPN_OWN_CHECKPOINTS=1 lets the visitors of a public page load other repositories all the same.
        """
        address = address or os.environ.get("GRADIO_SERVER_NAME")
        root_path = checked_root_path(root_path)
        proxied = bool(share or root_path or "SPACE_ID" in os.environ)
        public = (proxied or not is_loopback(address)) and not private
        names = list(LOOPBACK_NAMES)
        if private:
            names += [address or "", socket.gethostname(), f"{socket.gethostname()}.local", socket.getfqdn()]
            names += ["*.gradio.live"] if share else []
            names += [urlsplit(root_path).hostname or ""] if root_path else []
        own_checkpoints = not public or os.environ.get("GLPN_OWN_CHECKPOINTS") == "1"
        return cls(public, own_checkpoints, tuple(filter(None, names)), proxied, root_path)

    @property
    def shared_at(self) -> str | None:
        """The address that links to the page name; None is the one in the visitor's browser.

        Visitors of a Space who come around the Hub's page have the quota of strangers.
        """
        space = os.environ.get("SPACE_ID")
        return f"https://huggingface.co/spaces/{quote(space)}" if space else None


def is_loopback(address: str | None) -> bool:
    """Whether a server at `address` (None is Gradio's default) is reached from this machine only."""
    if address in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


class Engine:
    """The models of a running app. Make one per app; threads share it."""

    def __init__(self, zoo: Zoo, store: Store, *, host: Host) -> None:
        self.zoo = zoo
        self.store = store
        self.host = host
        self.seconds: dict[str, float] = {}  # per variant, of its last standard run
        self.turns = Turns()
        self.decoded = Decoded()
        published = next((spec.source.repo_id for spec in zoo.ready if spec.source.repo_id), None)
        self.hub = Probe(lambda: bool(published and reachable(published)))

    def check(self, model: str) -> ModelSpec | None:
        """Return the row of a variant that can be run, or None for a checkpoint outside the zoo; raise for others."""
        if model in self.zoo:
            spec = self.zoo[model]
            if not spec.ready:
                raise VariantNotTrained(f"{spec.id} can't be run. {UNTRAINED_HELP.format(repo=spec.source.repo_id)}")
            return spec
        if not model.strip():
            raise UnknownModel("No model selected. Enter a Hub repository such as owner/name, or a folder.")
        if not self.host.own_checkpoints:
            known = ", ".join(spec.id for spec in self.zoo.ready)
            raise UnknownModel(f"This page runs {known} only, not {model!r}. Run the app yourself to load others.")
        return None

    @property
    def loaded(self) -> tuple[str, ...]:
        """Return the models that are in memory."""
        return tuple(getattr(self.store, "names", ()))

    def cached(self, spec: ModelSpec) -> bool:
        """Whether the variant runs without a download."""
        return spec.ready and is_cached(spec)

    def load(self, model: str, *, report: Report, stopped: Stopped) -> "DepthEstimator":
        """Return the model, downloaded first where that is needed; tells how far it is."""
        report(Progress(f"Loading {model}."))

        def progress(done: int, total: int | None, rate: float) -> None:
            whole = f" of {megabytes(total)}" if total else ""
            sentence = f"Downloading {model}: {megabytes(done)}{whole}, {rate / 1e6:.1f} MB/s."
            report(Progress(sentence, done / total if total else None))

        return self.store.get(model, progress=progress, cancelled=stopped)

    def estimate(
        self,
        model: str,
        photo: str | Path,
        choices: Choices,
        *,
        report: Report,
        stopped: Stopped,
        whole: bool = False,
    ) -> DepthPrediction:
        """Load the model, wait for the others' turn, run. Raises `Cancelled` between steps once `stopped()`.

        Unless the `whole` is asked for, the prediction of a large photo has at most MAX_SHOWN_PIXELS, and its photo
        knows its own size; `at_own_size` makes up for it.

        Raises `CardNotLent` where a large model needs a graphics card and ZeroGPU lends none.
        """
        self.check(model)
        with self.turns.place() as place:
            estimator = self.load(model, report=report, stopped=stopped)
            with self.turns.turn(place, stopped, ahead(report)):
                # Decoded now, not before: whoever waits holds no photo in memory.
                report(Progress(f"Estimating depth with {model}.", limit_s=LONGEST_S))
                whole = whole or choices.res == "native"
                loaded = load_photo(str(photo)) if whole else self._load_shown(str(photo), estimator.spec)
                if stopped():
                    raise Cancelled("Stopped.")
                camera, notes = _camera(choices, loaded, estimator.spec)
                size = loaded.rgb.shape[0], loaded.rgb.shape[1]
                lent = not choices.cpu and borrows_card(estimator.spec.parameters)
                prediction = (gpu.borrowing(model, estimator) if lent else estimator)(
                    replace(loaded, size=size, source=None),
                    resolution=choices.res,
                    flip_average=choices.flip,
                    camera=camera.resized(size),
                    correct_scale=None if choices.correct else False,
                )
                notes = (*notes, *gpu.told(prediction.seconds, lent=lent))
                prediction = bounded(replace(prediction, photo=loaded, notes=prediction.notes + notes))
        give_back_memory(kept_bytes=KEPT_BYTES)
        if choices.res == "standard" and not choices.flip:
            self.seconds[model] = prediction.seconds
        return prediction

    def spread(self, model: str, rgb: np.ndarray, *, report: Report, stopped: Stopped) -> np.ndarray:
        """Return how far the model's estimates of a photo (H, W, 3) uint8 differ, (h, w): `certainty.relative_spread`.

        The photo is shrunk to `SPREAD_SIDE`, the result to `SPREAD_MAP_SIDE`. The six runs are one turn in the queue.
        Raises `Cancelled` between them.
        """
        self.check(model)
        height, width = rgb.shape[:2]
        shrink = min(1.0, SPREAD_SIDE / max(height, width))
        small = resize_rgb(rgb, (max(1, round(height * shrink)), max(1, round(width * shrink))))
        done = 0
        with self.turns.place() as place:
            estimator = self.store.get(model, cancelled=stopped)
            with self.turns.turn(place, stopped, ahead(report)):

                def estimate(seen: np.ndarray, short_side: int) -> np.ndarray:
                    nonlocal done
                    if stopped():
                        raise Cancelled("Stopped.")
                    sentence = f"How sure {model} is: run {done + 1} of {RUNS}."
                    report(Progress(sentence, done / RUNS, limit_s=LONGEST_S))
                    done += 1
                    photo = Photo(rgb=seen, size=seen.shape[:2])
                    depth_m: np.ndarray = run(photo, resolution=short_side).depth_m
                    return depth_m

                run = gpu.borrowing(model, estimator) if borrows_card(estimator.spec.parameters) else estimator
                spread = relative_spread(small, estimate, estimator.spec.working_short_side)
        size = within(spread.shape, SPREAD_MAP_SIDE)
        return np.asarray(Image.fromarray(spread).resize(size[::-1], Image.Resampling.BOX))

    def least_shown(self, size: Size) -> Size:
        """Return what page and networks need at the least of a photo of `size`, (height, width)."""
        return shown_size(size, max(spec.working_short_side for spec in self.zoo.ready))

    def _load_shown(self, photo: str, spec: ModelSpec) -> Photo:
        """Load a photo at what page and network need; a large JPEG is decoded at a fraction of its size."""

        def least(size: Size) -> Size:
            return shown_size(size, spec.working_short_side)

        loaded = self.decoded.take(photo, least) or load_photo(photo, at_least=least)
        if loaded.rgb.shape[0] * loaded.rgb.shape[1] <= MAX_SHOWN_PIXELS:
            return loaded
        return replace(loaded, rgb=resize(loaded.rgb, least(loaded.size)), source=photo)

    def in_turn(self, work: Callable[[], T], sentence: str, *, report: Report, stopped: Stopped) -> T:
        """Return `work()`, which takes memory as an estimate does, run when its turn among them has come."""
        with self.turns.place() as place, self.turns.turn(place, stopped, ahead(report)):
            report(Progress(sentence, limit_s=LONGEST_S))
            return work()


def ahead(report: Report) -> Callable[[int, float], None]:
    """Return what tells the visitor how many are ahead; `Turns.turn` calls it."""

    def told(place: int, seconds: float) -> None:
        photos = "1 photo is" if place == 1 else f"{place} photos are"
        report(Progress(f"{photos} ahead of yours, about {max(1, round(seconds))} s."))

    return told


def bounded(prediction: DepthPrediction, *, pixels: int = MAX_HELD_PIXELS) -> DepthPrediction:
    """Shrink a prediction and its photo to what a session may hold; a smaller one stays as it is."""
    height, width = prediction.size
    if height * width <= pixels:
        return prediction
    factor = (pixels / (height * width)) ** 0.5
    size = max(1, round(height * factor)), max(1, round(width * factor))
    note = (
        f"The photo has {height * width / 1e6:.0f} megapixels; this page shows and writes it at "
        f"{size[1]} × {size[0]}. The command line keeps its full size."
    )
    depth = Image.fromarray(prediction.depth_m).resize(size[::-1], Image.Resampling.BILINEAR)
    photo = prediction.photo
    if photo is not None:
        rgb = Image.fromarray(photo.rgb).resize(size[::-1], Image.Resampling.BICUBIC, reducing_gap=2.0)
        photo = replace(photo, rgb=np.asarray(rgb), size=size)
    return replace(
        prediction,
        depth_m=np.asarray(depth),
        camera=prediction.camera.resized(size),
        notes=(*prediction.notes, note),
        photo=photo,
    )


def at_own_size(prediction: DepthPrediction) -> DepthPrediction:
    """Return `prediction` at its photo's own size, for files.

    Raises what `load_photo` raises if the photo's file has gone since.
    """
    photo = prediction.photo
    if photo is None or photo.size == prediction.size:
        return prediction
    whole = replace(
        prediction,
        depth_m=np.asarray(Image.fromarray(prediction.depth_m).resize(photo.size[::-1], Image.Resampling.BILINEAR)),
        camera=prediction.camera.resized(photo.size),
        photo=photo.whole(),
    )
    return bounded(whole)


def with_camera(prediction: DepthPrediction, spec: ModelSpec, choices: Choices) -> DepthPrediction:
    """Return `prediction` as another camera would have given it: its depth times another focal-length correction."""
    assert prediction.photo is not None
    camera, _ = _camera(choices, prediction.photo, spec)
    camera = camera.resized(prediction.size)
    correct = choices.correct and spec.camera.correct_focal and not camera.assumed
    scale = scale_correction(camera, prediction.working_size, spec.camera.fx_px) if correct else 1.0
    return replace(prediction, depth_m=prediction.raw_depth_m * np.float32(scale), camera=camera, scale=scale)


def shown_size(size: Size, short_side: int) -> Size:
    """Return (height, width) of a photo of `size` with SHOWN_PIXELS, or more if `short_side` pixels take more."""
    height, width = size
    pixels = min(1.0, (SHOWN_PIXELS / (height * width)) ** 0.5)
    factor = min(1.0, max(pixels, short_side / min(size)))
    return round(height * factor), round(width * factor)


def _camera(choices: Choices, photo: Photo, spec: ModelSpec) -> tuple[Camera, tuple[str, ...]]:
    """Return the camera that `choices` name, at the photo's own size, and notes on its EXIF data."""
    assumed = Camera.assumed_like(spec.camera.fx_over_width, photo.size)
    if choices.camera == "fov":
        return Camera.from_fov(choices.fov, photo.size), ()
    if choices.camera == "assumed":
        return assumed, ()
    known, notes = camera_from_exif(photo.exif, photo.size)
    return known or assumed, notes
