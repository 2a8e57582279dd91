"""The Compare page: two to four models, or the truth and models, on one photo in one view."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from glpn.errors import ConfigError, PhotoNotFound
from glpn.evaluation.metrics import depth_metrics
from glpn.photo import load_photo
from glpn.scene.uncertainty import Uncertainty, of_variant
from glpn.web import drawing
from glpn.web.choices import Choices
from glpn.web.jobs import follow, reported
from glpn.web.parts import components, html
from glpn.web.parts.colors import Colors, choices_of
from glpn.web.parts.job_box import JobBox
from glpn.web.runner import Engine
from glpn.web.samples import SAMPLES, VARIANT, sample_of
from glpn.web.session import Session, Sessions

LEAST, MOST = 2, 4
WAYS = {"": "", "fast": ", fast", "flip": ", flip averaged"}
TRUTH = "truth"


@dataclass(frozen=True, eq=False)
class Compared:
    """One depth map of a comparison; `seconds` and `doubt` are None for the truth."""

    label: str
    depth_m: np.ndarray
    seconds: float | None = None
    doubt: Uncertainty | None = None


def entries(engine: Engine) -> list[tuple[str, str]]:
    """Return (label, value) of what can be compared: the truth, and each ready variant in three ways to run it."""
    models = [(spec.id + label, f"{spec.id}|{way}") for spec in engine.zoo.ready for way, label in WAYS.items()]
    return [("measured truth, of samples that have one", TRUTH), *models]


def default_entries(engine: Engine) -> list[str]:
    """Return what is chosen at first: two models of the same scenes that are here, or else the truth and the one."""
    head = engine.zoo[VARIANT].head
    here = [f"{spec.id}|" for spec in engine.zoo.ready if spec.head == head and engine.cached(spec)]
    return here[:LEAST] if len(here) >= LEAST else [TRUTH, f"{VARIANT}|"]


def compare(
    session: Session, engine: Engine, photo: str | None, chosen: Sequence[str], choices: Choices
) -> Iterator[dict[str, Any]]:
    """Collect each of `chosen`, the truth first; yields the progress, and at last picture and table.

    A photo that nobody has measured has no truth: it is left out with a note, and a lone model runs in two ways.
    """
    known = {value: label for label, value in entries(engine)}
    if not LEAST <= len(chosen) <= MOST or not set(chosen) <= set(known):
        raise ConfigError(f"{len(chosen)} models are chosen. Choose {LEAST} to {MOST} of those in the list.")
    if not photo:
        raise PhotoNotFound("There is no photo yet. Choose one on the Estimate page; it is used here too.")
    models = [value for value in chosen if value != TRUTH]
    truth_m, notes = _truth(photo) if len(models) < len(chosen) else (None, ())
    done = [] if truth_m is None else [Compared("truth", truth_m)]
    if notes and len(models) < LEAST:
        models.append(_other_way(models[0]))
    with session.job() as stop:
        for number, value in enumerate(models, 1):
            before = f"{number} of {len(models)}: "
            done.append(
                (yield from _estimated(session, engine, photo, value, known[value], choices, stop=stop, before=before))
            )
    named = [(one.label, one.depth_m, one.doubt) for one in done]
    rgb = load_photo(photo, at_least=done[0].depth_m.shape).rgb
    maps = drawing.maps(named, choices.look, session.folder, photo=rgb, name="compared")
    yield {"progress": "", "maps": maps, "table": agreement_table(done) + html.notices(notes)}


def _estimated(
    session: Session,
    engine: Engine,
    photo: str,
    value: str,
    label: str,
    choices: Choices,
    *,
    stop: threading.Event,
    before: str,
) -> Generator[dict[str, Any], None, Compared]:
    model, way = value.split("|")
    own = replace(choices, res="fast" if way == "fast" else "standard", flip=way == "flip")
    job = follow(
        lambda report, stopped: engine.estimate(model, photo, own, report=report, stopped=stopped),
        stop,
    )
    prediction = session.scaled((yield from reported(job, before=before)), photo)
    if prediction.calibration:
        label = f"{label}, scaled {prediction.calibration}"
    return Compared(label, prediction.depth_m, prediction.seconds, of_variant(prediction))


def _truth(photo: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the sample's measured depth, or None and a note."""
    sample = sample_of(photo)
    if sample is None or sample.truth is None:
        having = ", ".join(one.title for one in SAMPLES if one.truth)
        return None, (f"Nobody has measured this photo, so the truth is left out. Samples that have one: {having}.",)
    return sample.truth_m(), ()


def _other_way(value: str) -> str:
    """Return the same model, run in another way."""
    model, way = value.split("|")
    return f"{model}|flip" if way != "flip" else f"{model}|"


def agreement_table(compared: Sequence[Compared]) -> str:
    """Return what each took and predicted, and how far it is from the first."""
    first = compared[0]
    reference = first.depth_m
    rows = []
    for index, one in enumerate(compared):
        depth = one.depth_m
        if index:
            metrics = depth_metrics(depth, reference, max_depth_m=float(np.nanmax(reference)) + 1e-3)
            ratio = float(np.median(depth) / max(float(np.nanmedian(reference)), 1e-6))
            agreement = (f"{metrics.abs_rel:.1%}", f"{metrics.delta1:.1%}", f"{metrics.rmse:.2f} m", f"{ratio:.2f}")
        else:
            agreement = ("reference", "", "", "")
        text = one.doubt.text if one.doubt else "{:.2f} m".format
        span = f"{text(float(np.nanmin(depth)))} to {text(float(np.nanmax(depth)))}"
        seconds = "" if one.seconds is None else f"{one.seconds:.2f} s"
        rows.append((one.label, seconds, span, text(float(np.nanmedian(depth))), *agreement))
    head = ("Map", "Time", "Range", "Median", "Mean difference", "Within 25 %", "RMS difference", "Median ratio")
    truth = first.seconds is None
    caption = "Distance from the truth" if truth else "Agreement with the first model (agreement is not accuracy)"
    return html.table(head, rows, caption=caption)


class ComparePage:
    """Layout and wiring of the Compare page; its photo is the Estimate page's, its colors are shared with it."""

    def __init__(self, engine: Engine, sessions: Sessions, *, photo: gr.Image, views: Mapping[str, Any]) -> None:
        self.engine = engine
        gr.HTML(
            '<p class="lead">On the photo of the Estimate page. All maps share one color range; zoom into one and the '
            "others follow, or lay two over each other under a slider.</p>",
            apply_default_css=False,
        )
        chosen = gr.Dropdown(
            entries(engine),
            value=default_entries(engine),
            multiselect=True,
            max_choices=MOST,
            label="Maps, two to four; the truth or else the first is the reference",
            elem_id="compare-models",
        )
        box = JobBox("Compare", elem_id="compare")
        maps = components.depth_view(
            "Photo, depth of all models, and their differences",
            empty="Choose two to four models and press “Compare”.",
            elem_id="maps",
        )
        self.colors = Colors("compare")
        table = gr.HTML(apply_default_css=False, elem_id="agreement", elem_classes="wide")
        box.wire(sessions, self._work, {"photo": photo, "chosen": chosen, **views}, {"maps": maps, "table": table})

    def _work(self, session: Session, photo: str | None, chosen: list[str], **views: Any) -> Iterator[dict[str, Any]]:
        return compare(session, self.engine, photo, chosen, choices_of(**views))
