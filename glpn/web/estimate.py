"""The handlers of the Estimate page: plain functions of a session and the choices, tested without a browser.

Each returns a mapping from names of the page's components to their new values; `page` knows which component that is.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glpn import export
from glpn.errors import ExportError, GLPNError, PhotoNotFound

from . import cards, drawing
from .engine import Engine
from .jobs import follow, reported
from .links import Choices
from .samples import BY_ID, FIRST, VARIANT, Sample, finished
from .session import Result, Session

Shown = dict[str, Any]
NO_RESULT = "There is no result here any more. Choose a photo and press “Estimate depth”."


def opened(
    query: Mapping[str, str], session: Session, engine: Engine, *, default_model: str
) -> tuple[Choices, tuple[str, ...]]:
    """Read the link's choices, and put a finished sample into the session. Returns the choices and what to note."""
    choices, notes = Choices.parse(
        {"model": default_model} | dict(query), models=[spec.id for spec in engine.zoo], samples=BY_ID
    )
    sample = BY_ID.get(choices.sample, FIRST)
    session.show(example(sample))
    if choices.sample and choices.model != VARIANT:
        notes += (f"The result shown is {VARIANT}'s. Press “Estimate depth” to run {choices.model} on this photo.",)
    return choices, notes


def example(sample: Sample) -> Result:
    rgb, prediction = finished(sample)
    return Result(name=sample.id, rgb=rgb, prediction=prediction, sample=sample.id)


def draw(session: Session, tab: str, choices: Choices, *, first: bool = False) -> Shown:
    """Draw what `tab` shows of the session's result. Never runs a model.

    first: whether it is the first figure of a visit, which shows a still picture until Plotly is there
    """
    result = session.result
    if result is None:
        raise GLPNError(NO_RESULT)
    session.drawn = (tab, choices.look)
    if tab == "depth":
        return {"heatmap": drawing.heatmap(result, choices, with_still=first)}
    if tab == "slider":
        return {"slider": drawing.slider(result, choices, session.folder)}
    if tab == "3d":
        return {"surface": drawing.surface(result, choices)}
    if tab == "measure":
        return {"measure": drawing.measured(session), "distances": drawing.measure_table(session)}
    if tab == "statistics":
        return {
            "histogram": drawing.histogram(result, choices),
            "numbers": cards.statistics_table(result.prediction),
        }
    return {"files": cards.files_table({})}


def shown_photo(session: Session) -> str | None:
    """Return the file of the sample whose result the session holds."""
    sample = session.result.sample if session.result else None
    return str(BY_ID[sample].photo) if sample else None


def status(session: Session) -> str:
    if session.result is None:
        return cards.notices([NO_RESULT])
    return cards.status_line(session.result.prediction, cached=session.result.sample is not None)


def estimate(
    session: Session, engine: Engine, photo: str | None, model: str, choices: Choices, tab: str
) -> Iterator[Shown]:
    """Run `model` on `photo`; yields the progress, and at last the result as `tab` shows it."""
    engine.check(model)
    if not photo:
        raise PhotoNotFound("There is no photo yet. Drop one, take one, or choose a sample.")
    stop = session.new_stop()
    yield {"progress": cards.progress("Reading the photo.", None)}
    loaded, prediction = yield from reported(
        follow(lambda report, stopped: engine.estimate(model, photo, choices, report=report, stopped=stopped), stop)
    )
    session.show(Result(name=Path(loaded.name).stem, rgb=loaded.rgb, prediction=prediction))
    yield {"progress": "", "status": status(session), **draw(session, tab, choices)}


def pick_point(session: Session, x: float, y: float) -> Shown:
    """Add the photo's pixel (x, y) to the measurement."""
    if session.result is None:
        raise GLPNError(NO_RESULT)
    height, width = session.result.prediction.size
    session.points += ((min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1)),)
    return {"measure": drawing.measured(session), "distances": drawing.measure_table(session)}


def clear_points(session: Session, *, last: bool = False) -> Shown:
    """Take back the last point, or all."""
    session.points = session.points[:-1] if last else ()
    return {"measure": drawing.measured(session), "distances": drawing.measure_table(session)}


def write_files(session: Session, choices: Choices) -> Iterator[Shown]:
    """Write every export of the session's result, one by one; yields the table of files as it grows."""
    result = session.result
    if result is None:
        raise GLPNError(NO_RESULT)
    look = hash((choices.colors, drawing.colour_range(choices), choices.near, choices.cut, choices.detail))
    folder = session.folder / f"files-{result.token}-{look & 0xFFFFFFFF:08x}"
    done: dict[str, Path | str] = {}
    for name in export.FORMATS:
        try:
            [done[name]] = export.write(
                result.prediction,
                result.rgb,
                folder,
                [name],
                stem=result.name,
                colors=choices.colors,
                range_m=drawing.colour_range(choices),
                near_bright=choices.near == "bright",
                edge_cut=choices.cut,
                detail=choices.detail,
            )
        except ExportError as error:
            done[name] = str(error)
        if session.result is not result:
            return  # the visitor has gone on to another photo
        yield {"files": cards.files_table(done)}
