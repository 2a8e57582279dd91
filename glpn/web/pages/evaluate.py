"""The Evaluate page: how far a model's depth is from the truth, in the field's nine metrics and as a map of errors."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from glpn.errors import PhotoNotFound
from glpn.evaluation.metrics import METRICS, depth_metrics, valid_pixels
from glpn.photo import photo_size
from glpn.prediction import DepthPrediction
from glpn.scene.depth_files import KITTI_SCALE, MM_SCALE, read_depth
from glpn.scene.uncertainty import of_prediction
from glpn.web import actions, drawing
from glpn.web.choices import Choices
from glpn.web.jobs import Report, Stopped, follow, reported
from glpn.web.parts import components, html
from glpn.web.parts.colors import Colors, choices_of
from glpn.web.parts.events import on
from glpn.web.parts.job_box import JobBox, take_files
from glpn.web.runner import Engine
from glpn.web.samples import MEASURED
from glpn.web.session import Session, Sessions
from glpn.web.uploads import Uploads

DEPTH_SCALES = [
    ("1000 per metre (NYU)", MM_SCALE),
    ("256 per metre (KITTI)", KITTI_SCALE),
    ("Metres (.npy, floats)", 1),
]
# What each of `METRICS` is; an arrow tells which way is better.
MEANING = {
    "delta1": "δ1 ↑ pixels within 25 % of the truth",
    "delta2": "δ2 ↑ within 56 %",
    "delta3": "δ3 ↑ within 95 %",
    "abs_rel": "AbsRel ↓ mean relative error",
    "sq_rel": "SqRel ↓ mean squared error over the truth, m",
    "rmse": "RMSE ↓ root mean square error, m",
    "rmse_log": "RMSE log ↓ the same of natural logarithms",
    "log10": "log10 ↓ mean error of decimal logarithms",
    "silog": "SILog ↓ scale-invariant log error (λ = 0.5)",
}


def evaluate(
    session: Session, engine: Engine, photo: str | None, truth: str | None, scale: float, model: str, choices: Choices
) -> Iterator[dict[str, Any]]:
    """Run `model` on the photo and compare it with the truth; yields the progress, and at last table and picture."""
    spec = engine.check(model)
    if not photo or not truth:
        raise PhotoNotFound(f"There is no {'true depth' if photo else 'photo'} yet. Give a photo and its true depth.")

    def work(report: Report, stopped: Stopped) -> tuple[np.ndarray, DepthPrediction]:
        def read() -> np.ndarray:
            return read_depth(truth, scale, size=photo_size(photo))

        truth_m = engine.in_turn(read, "Reading the true depth.", report=report, stopped=stopped)
        return truth_m, engine.estimate(model, photo, Choices(cpu=True), report=report, stopped=stopped, whole=True)

    with session.job() as stop:
        truth_m, prediction = yield from reported(follow(work, stop))
    table = metrics_table(prediction, truth_m)  # before anything is drawn: there may be no pixel to compare
    doubt = of_prediction(prediction, spec)
    named = [("Truth", truth_m, None), (f"Estimate of {prediction.variant}", prediction.depth_m, doubt)]
    rgb = prediction.photo.rgb if prediction.photo else None
    maps = drawing.maps(named, choices.look, session.folder, photo=rgb, name="evaluated", relative=True)
    yield {"progress": "", "status": html.status_line(prediction, doubt), "table": table, "maps": maps}


def metrics_table(prediction: DepthPrediction, truth_m: np.ndarray) -> str:
    """Return the nine metrics, raw and median-scaled, and over which pixels. Raises `DataError` if there are none."""
    limit = prediction.max_depth_m
    raw, scaled = (
        depth_metrics(prediction.depth_m, truth_m, max_depth_m=limit, median_scaled=median).to_dict()
        for median in (False, True)
    )
    rows = [(MEANING[name], f"{raw[name]:.3f}", f"{scaled[name]:.3f}") for name in METRICS]
    valid = valid_pixels(truth_m, max_depth_m=limit)
    ratio = float(np.median(truth_m[valid]) / np.median(prediction.depth_m[valid]))
    note = (
        f"Compared where the truth is measured and below {limit:g} m: {valid.mean():.0%} of the photo. "
        f"Median scaling multiplied the estimate by {ratio:.2f}."
    )
    head = ("Metric", "Raw", "Median-scaled")
    return html.table(head, rows, caption=f"{prediction.variant} against the truth") + html.notices([note])


class EvaluatePage:
    """Layout and wiring of the Evaluate page; it has a photo of its own, which must match its truth pixel by pixel."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine = engine
        gr.HTML(
            '<p class="lead">Compare an estimate with a photo\'s true depth: choose a sample, or give a photo and its '
            "depth of the same size, for example from an RGB-D camera, a lidar or a data set; 0 means “not measured”. "
            "Many photos at once: <code>python -m glpn evaluate</code>.</p>",
            apply_default_css=False,
        )
        with gr.Row(elem_id="evaluate"):
            with gr.Column(scale=1, min_width=320):
                self._inputs(sessions.uploads)
            with gr.Column(scale=2, min_width=320):
                self._results()
        given = on(self.samples.pick, self._choose_sample, None, [self.photo, self.truth, self.scale])
        inputs = {"photo": self.photo, "truth": self.truth, "scale": self.scale, "model": self.model}
        inputs |= self.colors.values
        self.box.wire(sessions, self._work, inputs, self.outputs, starts=[given.success])
        take_files(sessions, self.photo, self.truth)

    def _inputs(self, uploads: Uploads) -> None:
        self.samples = components.sample_picker(MEASURED, elem_id="evaluate-samples")
        self.photo = components.photo_input(uploads, elem_id="evaluate-photo", sources=("upload", "clipboard"))
        self.truth = components.file_input(
            uploads,
            label="Ground-truth depth: 16-bit PNG, TIFF or .npy",
            file_types=[".png", ".npy", ".tif", ".tiff"],
            height=170,
            elem_id="evaluate-truth",
        )
        with gr.Group():
            self.scale = gr.Radio(
                DEPTH_SCALES, value=MM_SCALE, label="Depth scale of the file", elem_id="evaluate-scale"
            )
            self.model = components.model_choice(self.engine.zoo, elem_id="evaluate-model")
        self.box = JobBox("Evaluate", elem_id="evaluate")

    def _results(self) -> None:
        maps = components.depth_view(
            "Photo, truth, estimate, and its error in percent",
            empty="Truth, estimate and error appear here: red is too far, blue is too near.",
            elem_id="evaluate-maps",
        )
        self.colors = Colors("evaluate")
        self.outputs = {
            "maps": maps,
            "status": gr.HTML(apply_default_css=False, elem_id="evaluate-status"),
            "table": gr.HTML(apply_default_css=False, elem_id="evaluate-table"),
        }

    def _choose_sample(self, data: gr.EventData) -> tuple[str, str, int]:
        chosen = actions.sample(data.sample)
        if chosen.truth is None:
            raise PhotoNotFound(f"Nobody has measured {chosen.title}. Choose another sample.")
        return str(chosen.photo), str(chosen.truth), MM_SCALE

    def _work(
        self, session: Session, photo: str | None, truth: str | None, scale: float, model: str, **colors: Any
    ) -> Iterator[dict[str, Any]]:
        return evaluate(session, self.engine, photo, truth, scale, model, choices_of(**colors))
