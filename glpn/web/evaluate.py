"""The Evaluate page: how far a model's depth is from the truth, in the field's nine metrics and as a map of errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from glpn.depth_file import KITTI_SCALE, MM_SCALE, read_depth
from glpn.errors import DataError, PhotoNotFound
from glpn.metrics import METRICS, depth_metrics, valid_pixels
from glpn.photo import load_photo

from . import cards, components, drawing
from .colours import Colours, choices_of
from .engine import Engine
from .guard import plain_errors
from .jobs import follow, reported
from .links import Choices
from .samples import MEASURED, TRUTH, VARIANT
from .session import Evaluated, Session, Sessions
from .wiring import INFERENCE, QUICK, at_the_end

SCALES = [("1000 per metre (NYU)", MM_SCALE), ("256 per metre (KITTI)", KITTI_SCALE), ("Metres (.npy, floats)", 1)]
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
    "silog": "SILog ↓ error left when the scale is half forgiven",
}


def evaluate(
    session: Session, engine: Engine, photo: str | None, truth: str | None, scale: float, model: str, choices: Choices
) -> Iterator[dict[str, Any]]:
    """Run `model` on the photo and compare it with the truth; yields the progress, and at last tables and figures."""
    engine.check(model)
    if not photo or not truth:
        raise PhotoNotFound(f"There is no {'true depth' if photo else 'photo'} yet. Give a photo and its true depth.")
    truth_m = read_depth(truth, scale)
    sizes = load_photo(photo).size, truth_m.shape
    if sizes[0] != sizes[1]:
        one, other = (f"{width} × {height}" for height, width in sizes)
        raise DataError(f"The photo is {one} and its depth {other} pixels. Give two of one size.")
    stop = session.new_stop()
    _, prediction = yield from reported(
        follow(lambda report, stopped: engine.estimate(model, photo, Choices(), report=report, stopped=stopped), stop)
    )
    result = Evaluated(prediction, truth_m)
    table = metrics_table(result)  # before the session takes it: it may have no pixel to compare
    session.evaluated = result
    yield {"progress": "", "status": cards.status_line(prediction), "table": table, **shown(session, choices)}


def shown(session: Session, choices: Choices) -> dict[str, Any]:
    """Draw what the session has evaluated: estimate and truth in one colour range, and the error in percent."""
    result = session.evaluated
    if result is None:
        return {}
    named = [(result.prediction.variant, result.prediction.depth_m), ("truth", result.truth_m)]
    return {
        "maps": drawing.maps(named, choices),
        "errors": drawing.error_map(result.prediction.depth_m, result.truth_m, relative=True),
    }


def metrics_table(result: Evaluated) -> str:
    """Return the nine metrics, raw and median-scaled, and over which pixels. Raises `DataError` if there are none."""
    prediction, truth_m = result.prediction, result.truth_m
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
    return cards.table(head, rows, caption=f"{prediction.variant} against the truth") + cards.notices([note])


class EvaluatePage:
    """Layout and wiring of the Evaluate page; it has a photo of its own, which must match its truth pixel by pixel."""

    def __init__(self, engine: Engine, sessions: Sessions, *, tab: gr.Tab, colours: Colours) -> None:
        gr.HTML(
            '<p class="lead">Give a photo and its true depth of the same size, as RGB-D cameras, lasers and data sets '
            "have it; 0 means “not measured”. Many photos at once: <code>python -m glpn evaluate</code>.</p>",
            apply_default_css=False,
        )
        with gr.Row(elem_id="evaluate"):
            with gr.Column(scale=1, min_width=320):
                photo = components.photo_input(elem_id="evaluate-photo", sources=("upload", "clipboard"))
                truth = gr.File(
                    label="True depth: 16-bit PNG, TIFF or .npy",
                    file_types=[".png", ".npy", ".tif", ".tiff"],
                    height=170,
                    elem_id="evaluate-truth",
                )
                with gr.Group():
                    scale = gr.Radio(SCALES, value=MM_SCALE, label="Steps in the file", elem_id="evaluate-scale")
                    model = gr.Dropdown(
                        [spec.id for spec in engine.zoo.ready],
                        value=VARIANT,
                        label="Model",
                        filterable=False,
                        elem_id="evaluate-model",
                    )
                with gr.Row():
                    run = gr.Button("Evaluate", variant="primary", scale=2, elem_id="evaluate-go")
                    stop = gr.Button("Stop", scale=1, interactive=False, elem_id="evaluate-stop")
                sample = gr.Button("Try the hall, measured by a stereo camera", size="sm", elem_id="evaluate-sample")
                progress = gr.HTML(apply_default_css=False, elem_id="evaluate-progress")
                table = gr.HTML(apply_default_css=False, elem_id="evaluate-table")
            with gr.Column(scale=2, min_width=320):
                outputs = {
                    "progress": progress,
                    "maps": components.figure(
                        "Estimated and true depth in metres",
                        empty="Estimate and truth appear here, side by side in one colour range.",
                        elem_id="evaluate-maps",
                    ),
                }
                own = Colours("evaluate")
                outputs |= {
                    "status": gr.HTML(apply_default_css=False, elem_id="evaluate-status"),
                    "errors": components.figure(
                        "Relative error in percent",
                        empty="Where the estimate is wrong appears here: red is too far, blue is too near.",
                        elem_id="evaluate-errors",
                    ),
                    "table": table,
                }

        def named(values: dict[str, Any]) -> dict[Any, Any]:
            return {outputs[name]: value for name, value in values.items()}

        @plain_errors
        def start(
            request: gr.Request, photo: str | None, truth: str | None, scale: float, model: str, *values: Any
        ) -> Iterator[dict[Any, Any]]:
            session = sessions.open(request.session_hash)
            for step in evaluate(session, engine, photo, truth, scale, model, choices_of(values)):
                yield named(step) | {stop: gr.Button(interactive="table" not in step)}

        given = sample.click(lambda: (str(MEASURED.photo), str(TRUTH), MM_SCALE), None, [photo, truth, scale], **QUICK)
        for begin in (run.click, given.success):
            running = begin(
                start,
                [photo, truth, scale, model, *own.components],
                [*outputs.values(), stop],
                show_progress="minimal",
                show_progress_on=[progress],
                api_visibility="private",
                **INFERENCE,
            )
            at_the_end(running, lambda: ("", gr.Button(interactive=False)), None, [progress, stop])

        @plain_errors
        def redraw(request: gr.Request, *values: Any) -> Any:
            return named(shown(sessions.open(request.session_hash), choices_of(values))) or gr.skip()

        own.follow(colours, tab).then(redraw, own.components, list(outputs.values()), **QUICK)
        own.changed(redraw, own.components, list(outputs.values()), tell=colours)

        def taken(request: gr.Request, *paths: str | None) -> None:
            """Note the visitor's own files, so that they go when the visitor does."""
            sessions.open(request.session_hash).uploads |= {Path(path) for path in paths if path}

        for event in (photo.input, truth.upload):
            event(taken, [photo, truth], None, trigger_mode="multiple", **QUICK)

        def halt(request: gr.Request) -> str:
            sessions.open(request.session_hash).stop.set()
            return ""

        stop.click(halt, None, progress, queue=False, **QUICK)
