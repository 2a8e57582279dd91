"""The page's two public endpoints, for gradio_client and curl. Everything else on the page is private."""

import json
import secrets
import threading
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from glpn import export

from .engine import Engine
from .guard import plain_errors
from .links import RESOLUTIONS, Choices
from .samples import VARIANT
from .wiring import INFERENCE


def estimate(
    engine: Engine,
    photo: str,
    model: str,
    resolution: str,
    flip_average: bool,
    fov_deg: float | None,
    correct_scale: bool,
) -> tuple[str, str, dict[str, Any]]:
    """Estimate one photo; returns the paths of its 16-bit PNG and .npy, and what is in them."""
    choices = Choices(
        res=resolution,
        flip=flip_average,
        camera="fov" if fov_deg else "auto",
        fov=fov_deg or Choices.fov,
        correct=correct_scale,
    )
    never = threading.Event()
    loaded, prediction = engine.estimate(model, photo, choices, report=lambda step: None, stopped=never.is_set)
    folder = Path(get_upload_folder()) / "api" / secrets.token_urlsafe(16)
    stem = Path(loaded.name).stem
    png, npy, info = export.write(prediction, loaded.rgb, folder, ["depth-png", "npy", "json"], stem=stem)
    return str(png), str(npy), json.loads(info.read_text(encoding="utf-8"))


def add_api(engine: Engine) -> None:
    """Add `/estimate` and `/models` to the Blocks that are being built."""

    @plain_errors
    def estimate_photo(
        photo: str,
        model: str = VARIANT,
        resolution: str = RESOLUTIONS[0],
        flip_average: bool = False,
        fov_deg: float | None = None,
        correct_scale: bool = True,
    ) -> tuple[str, str, dict[str, Any]]:
        """Estimate the depth of one photo, in metres.

        Parameters:
            photo: the photo's file
            model: a variant id; /models lists them
            resolution: "standard", "fast" or "native"
            flip_average: mean of the photo and its mirror image; twice the time
            fov_deg: horizontal field of view in degrees, if known; else EXIF is read
            correct_scale: correct metres for the focal length, where that is known
        Returns:
            depth_png: 16-bit PNG; the file's name and its text chunk state the steps per metre
            depth_npy: float32 metres (H, W)
            prediction: variant, size, range in metres, camera, seconds and notes
        """
        return estimate(engine, photo, model, resolution, flip_average, fov_deg, correct_scale)

    def models() -> list[dict[str, Any]]:
        """List all variants of the zoo, those that nobody has trained included."""
        return [
            {
                "id": spec.id,
                "title": spec.title,
                "status": spec.status,
                "ready": spec.ready,
                "cached": engine.cached(spec),
                "parameters": spec.parameters,
                "max_depth_m": spec.max_depth_m,
                "license": spec.license,
            }
            for spec in engine.zoo
        ]

    with gr.Row(visible=False):
        inputs = [
            gr.File(label="photo"),
            gr.Textbox(VARIANT, label="model"),
            gr.Dropdown(list(RESOLUTIONS), value=RESOLUTIONS[0], label="resolution"),
            gr.Checkbox(False, label="flip_average"),
            gr.Number(None, label="fov_deg"),
            gr.Checkbox(True, label="correct_scale"),
        ]
        outputs = [gr.File(label="depth_png"), gr.File(label="depth_npy"), gr.JSON(label="prediction")]
        gr.Button().click(estimate_photo, inputs, outputs, api_name="estimate", **INFERENCE)
    gr.api(models, api_name="models")
