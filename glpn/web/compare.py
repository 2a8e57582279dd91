"""The Compare page: two to four models on one photo, one colour range, and how far they agree."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from glpn.errors import ConfigError, PhotoNotFound
from glpn.metrics import depth_metrics
from glpn.prediction import DepthPrediction

from . import cards, components, drawing
from .colours import Colours, choices_of
from .engine import Engine
from .estimate_page import VIEW_FIELDS
from .guard import plain_errors
from .jobs import follow, reported
from .links import Choices
from .samples import VARIANT
from .session import Session, Sessions
from .wiring import INFERENCE, QUICK, at_the_end

LEAST, MOST = 2, 4
WAYS = {"": "", "fast": ", fast", "flip": ", flip averaged"}
Compared = tuple[tuple[str, DepthPrediction], ...]


def entries(engine: Engine) -> list[tuple[str, str]]:
    """Return (label, "variant|way") of everything that can be compared: each ready variant, in three ways to run it."""
    return [(spec.id + label, f"{spec.id}|{way}") for spec in engine.zoo.ready for way, label in WAYS.items()]


def default_entries(engine: Engine) -> list[str]:
    """Return what is chosen at first: two models that are here, or else one of them run in two ways."""
    here = [spec.id for spec in engine.zoo.ready if engine.cached(spec)]
    return [f"{id_}|" for id_ in here[:LEAST]] if len(here) >= LEAST else [f"{VARIANT}|", f"{VARIANT}|flip"]


def compare(
    session: Session, engine: Engine, photo: str | None, chosen: Sequence[str], choices: Choices
) -> Iterator[dict[str, Any]]:
    """Run each of `chosen` on the photo; yields the progress, and at last figure, table and difference map."""
    known = {value: label for label, value in entries(engine)}
    if not LEAST <= len(chosen) <= MOST or not set(chosen) <= set(known):
        raise ConfigError(f"{len(chosen)} models are chosen. Choose {LEAST} to {MOST} of those in the list.")
    if not photo:
        raise PhotoNotFound("There is no photo yet. Choose one on the Estimate page; it is used here too.")
    stop = session.new_stop()
    done: list[tuple[str, DepthPrediction]] = []
    for number, value in enumerate(chosen, 1):
        model, way = value.split("|")
        own = replace(choices, res="fast" if way == "fast" else "standard", flip=way == "flip")
        job = follow(
            lambda report, stopped, model=model, own=own: engine.estimate(  # type: ignore[misc]
                model, photo, own, report=report, stopped=stopped
            ),
            stop,
        )
        _, prediction = yield from reported(job, before=f"{number} of {len(chosen)}: ")
        done.append((known[value], prediction))
    session.compared = tuple(done)
    yield {"progress": "", "other": gr.Radio([label for label, _ in done[1:]], value=done[1][0], visible=True)} | shown(
        session, choices, done[1][0]
    )


def shown(session: Session, choices: Choices, other: str) -> dict[str, Any]:
    """Draw the session's comparison, with the difference between `other` and the first."""
    compared = session.compared
    if not compared:
        return {}
    second = dict(compared).get(other, compared[1][1])
    return {
        "maps": drawing.maps([(label, prediction.depth_m) for label, prediction in compared], choices),
        "table": agreement_table(compared),
        "difference": drawing.error_map(second.depth_m, compared[0][1].depth_m),
    }


def agreement_table(compared: Compared) -> str:
    """Return what each model took and said, and how far it agrees with the first."""
    reference = compared[0][1]
    rows = []
    for index, (label, prediction) in enumerate(compared):
        depth = prediction.depth_m
        if index:
            metrics = depth_metrics(depth, reference.depth_m, max_depth_m=float(reference.depth_m.max()) + 1e-3)
            ratio = float(np.median(depth) / max(np.median(reference.depth_m), 1e-6))
            agreement = (f"{metrics.abs_rel:.1%}", f"{metrics.delta1:.1%}", f"{metrics.rmse:.2f} m", f"{ratio:.2f}")
        else:
            agreement = ("reference", "", "", "")
        span = f"{np.nanmin(depth):.2f}–{np.nanmax(depth):.2f} m"
        rows.append((label, f"{prediction.seconds:.2f} s", span, f"{np.nanmedian(depth):.2f} m", *agreement))
    head = ("Model", "Time", "Range", "Median", "Mean difference", "Within 25 %", "RMS difference", "Median ratio")
    return cards.table(head, rows, caption="Agreement with the first model (agreement is not accuracy)")


class ComparePage:
    """Layout and wiring of the Compare page; its photo is the Estimate page's, its colours are shared with it."""

    def __init__(
        self, engine: Engine, sessions: Sessions, *, tab: gr.Tab, photo: gr.Image, view: list[Any], colours: Colours
    ) -> None:
        options = entries(engine)
        gr.HTML(
            '<p class="lead">The photo is that of the Estimate page. All maps share one colour range; zoom into one '
            "and the others follow.</p>",
            apply_default_css=False,
        )
        with gr.Row(elem_classes="job"):
            chosen = gr.Dropdown(
                options,
                value=default_entries(engine),
                multiselect=True,
                max_choices=MOST,
                label="Models, the first is the reference",
                scale=3,
                min_width=280,
                elem_id="compare-models",
            )
            run = gr.Button("Compare", variant="primary", scale=1, min_width=120, elem_id="compare-go")
            stop = gr.Button("Stop", scale=0, min_width=100, interactive=False, elem_id="compare-stop")
        outputs = {
            "progress": gr.HTML(apply_default_css=False, elem_id="compare-progress"),
            "maps": components.figure(
                "Depth maps of all models", empty="Choose two to four models and press “Compare”.", elem_id="maps"
            ),
        }
        own = Colours("compare")
        outputs |= {
            "table": gr.HTML(apply_default_css=False, elem_id="agreement", elem_classes="wide"),
            "other": gr.Radio([], label="Difference from the first model", visible=False, elem_id="other"),
            "difference": components.figure(
                "Difference map in metres",
                empty="Where the models differ appears here: red is farther than the first, blue is nearer.",
                elem_id="difference",
            ),
        }

        def named(values: dict[str, Any]) -> dict[Any, Any]:
            return {outputs[name]: value for name, value in values.items()}

        @plain_errors
        def start(request: gr.Request, path: str | None, models: list[str], *values: Any) -> Iterator[dict[Any, Any]]:
            session = sessions.open(request.session_hash)
            for step in compare(session, engine, path, models, choices_of(values, VIEW_FIELDS)):
                yield named(step) | {stop: gr.Button(interactive="maps" not in step)}

        running = run.click(
            start,
            [photo, chosen, *view],
            [*outputs.values(), stop],
            show_progress="minimal",
            show_progress_on=[outputs["progress"]],
            api_visibility="private",
            **INFERENCE,
        )
        at_the_end(running, lambda: ("", gr.Button(interactive=False)), None, [outputs["progress"], stop])

        @plain_errors
        def redraw(request: gr.Request, other: str, *values: Any) -> Any:
            return named(shown(sessions.open(request.session_hash), choices_of(values), other)) or gr.skip()

        drawing_inputs = [outputs["other"], *own.components]
        outputs["other"].input(redraw, drawing_inputs, list(outputs.values()), **QUICK)
        own.follow(colours, tab).then(redraw, drawing_inputs, list(outputs.values()), **QUICK)
        own.changed(redraw, drawing_inputs, list(outputs.values()), tell=colours)

        def halt(request: gr.Request) -> str:
            sessions.open(request.session_hash).stop.set()
            return ""

        stop.click(halt, None, outputs["progress"], queue=False, **QUICK)
