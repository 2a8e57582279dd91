"""The Compare page: two to four models on one photo, one colour range, and how far they agree."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from glpn import rendering
from glpn.errors import ConfigError, PhotoNotFound
from glpn.geometry import depth_range
from glpn.metrics import depth_metrics
from glpn.prediction import DepthPrediction

from . import cards, components
from .drawing import colour_range
from .engine import Engine
from .estimate_page import choices_of
from .guard import plain_errors
from .jobs import follow
from .links import Choices
from .session import Session, Sessions
from .wiring import INFERENCE, QUICK

LEAST, MOST = 2, 4
WAYS = {"": "", "fast": ", fast", "flip": ", flip averaged"}
Compared = tuple[tuple[str, DepthPrediction], ...]


def entries(engine: Engine) -> list[tuple[str, str]]:
    """Return (label, "variant|way") of everything that can be compared: each ready variant, in three ways to run it."""
    return [(spec.id + label, f"{spec.id}|{way}") for spec in engine.zoo.ready for way, label in WAYS.items()]


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
        while True:
            try:
                step = next(job)
            except StopIteration as end:
                done.append((known[value], end.value[1]))
                break
            sentence = f"{number} of {len(chosen)}: {step.sentence}"
            yield {"progress": cards.progress(sentence, step.share)}
    session.compared = tuple(done)
    yield {"progress": "", "other": gr.Radio([label for label, _ in done[1:]], value=done[1][0], visible=True)} | shown(
        session, choices, done[1][0]
    )


def shown(session: Session, choices: Choices, other: str) -> dict[str, Any]:
    """Draw the session's comparison, with the difference between `other` and the first."""
    compared = session.compared
    if not compared:
        return {}
    reference = compared[0][1]
    by_label = dict(compared)
    difference = rendering.error_figure(by_label.get(other, compared[1][1]).depth_m, reference.depth_m)
    difference.layout.meta = {"aspect": reference.size[1] / reference.size[0]}
    return {
        "maps": maps_figure(compared, choices).to_json(),
        "table": agreement_table(compared),
        "difference": difference.to_json(),
    }


def maps_figure(compared: Compared, choices: Choices) -> Any:
    """Draw the depth maps side by side in one colour range; zooming one zooms all."""
    every = np.concatenate([prediction.depth_m[::4, ::4].ravel() for _, prediction in compared])
    range_m = depth_range(every[:, None], colour_range(choices))
    figure: Any = None
    count = len(compared)
    for index, (label, prediction) in enumerate(compared):
        own = rendering.heatmap_figure(
            prediction.depth_m,
            colors=choices.colors,
            range_m=range_m,
            near_bright=choices.near == "bright",
            detail="draft" if count > 2 else "standard",
        )
        if figure is None:
            figure = own
        else:
            [trace] = own.data
            trace.update(xaxis=f"x{index + 1}", yaxis=f"y{index + 1}")
            figure.add_trace(trace)
        name = "" if index == 0 else str(index + 1)
        column, row = index % 2, index // 2
        rows = (count + 1) // 2
        x = (0.51 * column, 0.51 * column + 0.49)
        y = (1 - (row + 1) / rows + 0.01, 1 - row / rows - 0.07)
        figure.layout[f"xaxis{name}"] = own.layout.xaxis.update(domain=x, anchor=f"y{name}")
        figure.layout[f"yaxis{name}"] = own.layout.yaxis.update(domain=y, anchor=f"x{name}", scaleanchor=f"x{name}")
        if index:
            figure.layout[f"xaxis{name}"].matches, figure.layout[f"yaxis{name}"].matches = "x", "y"
        figure.add_annotation(
            text=label, x=sum(x) / 2, y=y[1] + 0.015, xref="paper", yref="paper", yanchor="bottom", showarrow=False
        )
    figure.layout.meta = {"aspect": 2 * compared[0][1].size[1] / compared[0][1].size[0] / ((count + 1) // 2)}
    return figure


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
    """Layout and wiring of the Compare page; the photo and the colours are those of the Estimate page."""

    def __init__(self, engine: Engine, sessions: Sessions, *, photo: gr.Image, view: list[Any]) -> None:
        options = entries(engine)
        gr.HTML(
            '<p class="lead">The photo and the colours are those of the Estimate page. All maps share one range; '
            "zoom into one and the others follow.</p>",
            apply_default_css=False,
        )
        with gr.Row():
            chosen = gr.Dropdown(
                options,
                value=[value for _, value in options[:LEAST]],
                multiselect=True,
                max_choices=MOST,
                label="Models, the first is the reference",
                scale=3,
                min_width=280,
                elem_id="compare-models",
            )
            run = gr.Button("Compare", variant="primary", scale=1, min_width=120, elem_id="compare-go")
            stop = gr.Button("Stop", scale=1, min_width=80)
        outputs = {
            "progress": gr.HTML(apply_default_css=False, elem_id="compare-progress"),
            "maps": components.figure(
                "Depth maps of all models", empty="Choose two to four models and press “Compare”.", elem_id="maps"
            ),
            "table": gr.HTML(apply_default_css=False, elem_id="agreement", elem_classes="wide"),
            "other": gr.Radio([], label="Difference from the first model", visible=False, elem_id="other"),
            "difference": components.figure(
                "Difference map in metres", empty="The difference map appears here.", elem_id="difference"
            ),
        }

        def named(values: dict[str, Any]) -> dict[Any, Any]:
            return {outputs[name]: value for name, value in values.items()}

        @plain_errors
        def start(request: gr.Request, path: str | None, models: list[str], *values: Any) -> Iterator[dict[Any, Any]]:
            session = sessions.open(request.session_hash)
            for step in compare(session, engine, path, models, choices_of(values)):
                yield named(step)

        run.click(
            start,
            [photo, chosen, *view],
            list(outputs.values()),
            show_progress="minimal",
            show_progress_on=[outputs["progress"]],
            api_visibility="private",
            **INFERENCE,
        ).failure(lambda: "", None, outputs["progress"], **QUICK)

        @plain_errors
        def other_chosen(request: gr.Request, other: str, *values: Any) -> dict[Any, Any]:
            return named(shown(sessions.open(request.session_hash), choices_of(values), other))

        outputs["other"].input(other_chosen, [outputs["other"], *view], list(outputs.values()), **QUICK)

        def halt(request: gr.Request) -> str:
            sessions.open(request.session_hash).stop.set()
            return ""

        stop.click(halt, None, outputs["progress"], queue=False, **QUICK)
