"""The page's public endpoints, for gradio_client, curl and agents. Everything else on the page is private."""

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_function_description
from gradio_client import handle_file

from glpn.bounds import FOV_DEG, RESOLUTIONS, SCALE
from glpn.errors import ConfigError, PhotoNotFound
from glpn.files import write_atomically
from glpn.prediction import DepthPrediction
from glpn.scale import Scale
from glpn.scene.color_bar import depth_picture
from glpn.scene.export import image_bytes
from glpn.scene.figures import COLOR_MAPS
from glpn.scene.geometry import depth_range
from glpn.scene.look import Look
from glpn.scene.measuring import Point, measure
from glpn.scene.uncertainty import Uncertainty, of_prediction

from .choices import Choices
from .guard import plain_errors
from .jobs import Report, Stopped, finished, follow
from .parts.components import ASSETS_URL, guard_files
from .parts.events import API
from .runner import Engine
from .samples import VARIANT
from .uploads import Uploads

# For agents, which read this before anything else.
ABOUT = (
    "Estimates depth in metres from one photo with GLPN (Global-Local Path Networks). `depth` gives a picture of the "
    "depth with a scale in metres, and the range with its uncertainty; `measure` the distance in metres between two "
    "pixels; `estimate` the depth as files; `models` the models. Every number is an estimate: state its uncertainty "
    "with it. The embedded model `rooms-b0` knows rooms; outdoors use `kitti-b4`."
)
Facts = dict[str, Any]


class Endpoints:
    """What each endpoint does. The methods' docstrings are what clients read."""

    def __init__(self, engine: Engine, uploads: Uploads) -> None:
        self._engine = engine
        self._uploads = uploads

    def estimate(
        self,
        photo: str,
        model: str = VARIANT,
        resolution: str = RESOLUTIONS[0],
        flip_average: bool = False,
        fov_deg: float | None = None,
        correct_scale: bool = True,
        scale: float | None = None,
        cpu: bool = False,
    ) -> tuple[str, str, Facts]:
        """Estimate the depth of one photo, in metres, as files.

        Parameters:
            photo: the photo, as an upload or an http address
            model: a variant's id, such as rooms-b0, nyu-b4 (rooms) or kitti-b4 (streets); /models lists them
            resolution: "standard", "fast" or "native"
            flip_average: mean of the photo and its mirror image; twice the time
            fov_deg: horizontal field of view in degrees, if known; else EXIF is read
            correct_scale: correct metres for the focal length, where that is known and helps this model
            scale: factor on all metres by a known length: true over estimated
            cpu: run large models on the CPU too, without ZeroGPU quota
        Returns:
            depth_png: 16-bit PNG; the file's name and its text chunk state the steps per metre
            depth_npy: float32 metres (H, W)
            prediction: variant, size, range in metres, uncertainty, camera, seconds and notes
        """
        prediction = self._predict(
            photo,
            model,
            _choices(fov_deg, res=resolution, flip=flip_average, correct=correct_scale, cpu=cpu),
            scale=scale,
        )
        png, npy, info = prediction.write(self._uploads.api_folder(), ["depth-png", "npy", "json"])
        return str(png), str(npy), json.loads(info.read_text(encoding="utf-8"))

    def depth(
        self,
        photo: str,
        model: str = VARIANT,
        fov_deg: float | None = None,
        colors: str = Choices.colors,
        cpu: bool = False,
    ) -> tuple[str, Facts]:
        """Show the depth of one photo as a picture in colors with a scale in metres, and tell its range.

        Parameters:
            photo: the photo, as an upload or an http address
            model: a variant's id, such as rooms-b0, nyu-b4 (rooms) or kitti-b4 (streets); /models lists them
            fov_deg: horizontal field of view in degrees, if known; else EXIF is read
            colors: the color map, such as plasma, viridis or gray
            cpu: run large models on the CPU too, without ZeroGPU quota
        Returns:
            picture: the depth in colors, with a scale in metres next to it
            depth: nearest, middle and farthest distance in metres, their uncertainty, and notes
        """
        look = Look(colors=colors)
        prediction = self._predict(photo, model, _choices(fov_deg, cpu=cpu))
        doubt = self._uncertainty(prediction)
        nearest, farthest = depth_range(prediction.depth_m)
        middle = math.sqrt(nearest * farthest)
        sentence = (
            f"From {doubt.text(nearest)} to {doubt.text(farthest)}, by {prediction.variant}. {doubt.basis}"
            if farthest > nearest
            else f"Everything is {doubt.text(nearest)} away, by {prediction.variant}. {doubt.basis}"
        )
        picture = self._uploads.api_folder() / "depth.jpg"
        picture.parent.mkdir(parents=True)
        write_atomically(
            picture, image_bytes(depth_picture(prediction.depth_m, look, note=sentence), "JPEG", quality=90)
        )
        facts = {
            "summary": sentence,
            "unit": "m",
            "nearest": nearest,
            "middle": middle,
            "farthest": farthest,
            "uncertainty": doubt.to_dict(),
        }
        return str(picture), facts | _about(prediction)

    def measure(  # noqa: PLR0913 - the inputs of an endpoint
        self,
        photo: str,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        relative: bool = False,
        model: str = VARIANT,
        fov_deg: float | None = None,
        cpu: bool = False,
    ) -> Facts:
        """Measure the straight distance in metres between what two points of a photo show.

        Parameters:
            photo: the photo, as an upload or an http address
            x1: first point, pixels from the left edge of the upright photo
            y1: first point, pixels from the top edge
            x2: second point, pixels from the left edge
            y2: second point, pixels from the top edge
            relative: whether the points are shares of width and height, 0 to 1, instead of pixels
            model: a variant's id, such as rooms-b0, nyu-b4 (rooms) or kitti-b4 (streets); /models lists them
            fov_deg: horizontal field of view in degrees, if known; else EXIF is read
            cpu: run large models on the CPU too, without ZeroGPU quota
        Returns:
            distance: metres between the points with their uncertainty, the depth of each point, and notes
        """
        given = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        missing = [
            name for name, value in given.items() if not isinstance(value, int | float) or not math.isfinite(value)
        ]
        if missing:
            raise ConfigError(f"{', '.join(missing)} must be numbers: two points, each as x and y.")
        prediction = self._predict(photo, model, _choices(fov_deg, cpu=cpu))
        height, width = prediction.size
        factors = (width - 1, height - 1) if relative else (1, 1)
        points: list[Point] = [(round(x * factors[0]), round(y * factors[1])) for x, y in ((x1, y1), (x2, y2))]
        doubt = self._uncertainty(prediction)
        measured = measure("distance", prediction, points).to_dict(doubt)
        return {
            "summary": f"{measured['text']} between the points, by {prediction.variant}. {doubt.basis}",
            "distance_m": measured["value"],
            "uncertainty_m": measured["uncertainty"],
            "points": [{"x": x, "y": y, "depth_m": float(prediction.depth_m[y, x])} for x, y in points],
        } | _about(prediction)

    def models(self) -> list[Facts]:
        """List all variants of the zoo, those that nobody has trained included; those that are ready can be run."""
        return [
            {
                "id": spec.id,
                "title": spec.title,
                "status": spec.status,
                "ready": spec.ready,
                "cached": self._engine.cached(spec),
                "parameters": spec.parameters,
                "max_depth_m": spec.max_depth_m,
                "license": spec.license,
            }
            for spec in self._engine.zoo
        ]

    def _predict(self, photo: str, model: str, choices: Choices, *, scale: float | None = None) -> DepthPrediction:
        if not photo:
            raise PhotoNotFound("No photo was given. Upload one, or give its address: http:// or https://.")

        def work(report: Report, stopped: Stopped) -> DepthPrediction:
            return self._engine.estimate(model, photo, choices, report=report, stopped=stopped, whole=True)

        factor = SCALE.check(Choices.scale if scale is None else scale)
        with self._uploads.holding(Path(photo)):
            prediction = finished(follow(work, threading.Event()))
        return prediction.calibrated(None if factor == 1 else Scale(factor))

    def _uncertainty(self, prediction: DepthPrediction) -> Uncertainty:
        return of_prediction(prediction, next((row for row in self._engine.zoo if row.id == prediction.variant), None))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _choices(fov_deg: float | None, **chosen: Any) -> Choices:
    camera = "fov" if fov_deg else "auto"
    return Choices(camera=camera, fov=FOV_DEG.check(fov_deg or Choices.fov), **chosen)


def _about(prediction: DepthPrediction) -> Facts:
    return {
        "model": prediction.variant,
        "size": {"height": prediction.size[0], "width": prediction.size[1]},
        "camera": prediction.camera.to_dict() | {"assumed": prediction.camera.assumed},
        "notes": list(prediction.notes),
    }


def add_api(engine: Engine, uploads: Uploads) -> None:
    """Add the endpoints to the Blocks that are being built."""
    endpoints = Endpoints(engine, uploads)

    def photo() -> gr.Image:
        image = guard_files(gr.Image(type="filepath", image_mode=None, label="photo"), uploads)
        image.example_payload = _example_photo
        return image

    def common() -> dict[str, Any]:
        return {
            "model": gr.Textbox(VARIANT, label="model"),
            "fov_deg": gr.Number(None, label="fov_deg"),
            "cpu": gr.Checkbox(False, label="cpu"),
        }

    with gr.Row(visible=False):
        shared = common()
        _add(
            endpoints.estimate,
            {
                "photo": photo(),
                "model": shared["model"],
                "resolution": gr.Dropdown(list(RESOLUTIONS), value=RESOLUTIONS[0], label="resolution"),
                "flip_average": gr.Checkbox(False, label="flip_average"),
                "fov_deg": shared["fov_deg"],
                "correct_scale": gr.Checkbox(True, label="correct_scale"),
                "scale": gr.Number(None, label="scale"),
                "cpu": shared["cpu"],
            },
            [gr.File(label="depth_png"), gr.File(label="depth_npy"), gr.JSON(label="prediction")],
        )
        shared = common()
        _add(
            endpoints.depth,
            {
                "photo": photo(),
                "model": shared["model"],
                "fov_deg": shared["fov_deg"],
                "colors": gr.Dropdown(list(COLOR_MAPS), value=Choices.colors, label="colors"),
                "cpu": shared["cpu"],
            },
            [gr.Image(label="picture", format="jpeg"), gr.JSON(label="depth")],
        )
        points = {name: gr.Number(label=name) for name in ("x1", "y1", "x2", "y2")}
        relative = gr.Checkbox(False, label="relative")
        inputs = {"photo": photo(), **points, "relative": relative, **common()}
        _add(endpoints.measure, inputs, [gr.JSON(label="distance")])
        _add(endpoints.models, {}, [gr.JSON(label="models")])


def _add(handler: Callable[..., Any], inputs: dict[str, Any], outputs: list[Any]) -> None:
    """Make `handler` an endpoint of its own name; its docstring describes each input."""
    _, described, _ = get_function_description(handler)
    assert list(inputs) == list(described)
    for name, component in inputs.items():
        _describe(component, described[name])
    gr.Button().click(
        plain_errors(handler), list(inputs.values()), outputs, api_name=handler.__name__, show_progress="hidden", **API
    )


def _describe(component: Any, text: str) -> None:
    info = component.api_info

    def described() -> dict[str, Any]:
        return {**info(), "additional_description": text}

    component.api_info = described


def _example_photo() -> Any:
    """Return a photo that a call copied from the documentation really works with."""
    host = os.environ.get("SPACE_HOST")
    return handle_file(f"https://{host}/{ASSETS_URL}/samples/coffee.jpg") if host else gr.Image.example_payload(None)
