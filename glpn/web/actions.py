"""The handlers of the Estimate page: plain functions of a session and the choices, tested without a browser.

Each returns a mapping from names of the page's components to their new values; `page` knows which component that is.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from glpn.errors import ExportError, PhotoNotFound
from glpn.scene import export
from glpn.zoo import Zoo

from . import drawing, measuring
from .choices import Choices
from .jobs import follow, reported
from .parts import html
from .runner import Engine, at_own_size, with_camera
from .samples import BY_ID, FIRST, SAMPLES, Sample, finished
from .session import NO_RESULT, Result, Session
from .uploads import NO_ROOM

Shown = dict[str, Any]
LEARNED = {"rooms": "indoor", "nyu": "indoor", "kitti": "outdoor", "streets": "outdoor"}  # heads of models


def opened(
    query: Mapping[str, str], session: Session, engine: Engine, *, default_model: str
) -> tuple[Choices, tuple[str, ...]]:
    """Read the link's choices, and put a finished sample into the session. Returns the choices and what to note."""
    choices, notes = Choices.parse(
        {"model": default_model} | dict(query), models=[spec.id for spec in engine.zoo], samples=BY_ID
    )
    sample = BY_ID.get(choices.sample, FIRST)
    session.show(example(sample))
    if choices.scale != 1:
        measuring.scale_by(session, choices.scale)
    if choices.sample and choices.model != sample.variant:
        notes += (
            f"The result shown is {sample.variant}'s. Press “Estimate depth” to run {choices.model} on this photo.",
        )
    return choices, notes


def sample(id_: object) -> Sample:
    """Return a sample that the page's picker named; raise `PhotoNotFound` for what is none."""
    if id_ not in tuple(BY_ID):
        raise PhotoNotFound("This sample is not one of the page's. Choose one of those shown.")
    return BY_ID[str(id_)]


def example(sample: Sample) -> Result:
    spec = Zoo.load()[sample.variant]
    return Result(prediction=finished(sample), spec=spec, source=str(sample.photo), sample=sample.id)


def draw_open(session: Session, choices: Choices) -> Shown:
    """Draw what the open tab shows of the session's result; again where another was opened or came meanwhile."""
    while True:
        tab, result = session.tab, session.result
        shown = draw(session, tab, choices)
        if session.tab == tab and session.result is result:
            return shown


def draw(session: Session, tab: str, choices: Choices) -> Shown:
    """Draw what `tab` shows of the session's result. Never runs a model."""
    result = session.present
    session.drawn_token = result.token
    if tab == "photo3d":
        return {"photo3d": drawing.photo_3d(result, session.folder) | {"marks": measuring.marks(session)}}
    if tab == "depth":
        spread = session.spread if session.sure else None
        shown = drawing.depth(result, choices.look, session.folder, spread=spread)
        return {"depth": shown, "sure_wanted": spread is not None}
    if tab == "3d":
        return {"surface": drawing.surface(result, choices.look, measuring.lines(session))}
    if tab == "measure":
        return measuring.shown(session)
    if tab == "play":
        return {"play": drawing.play(result, session.folder)}
    if tab == "statistics":
        return {
            "histogram": drawing.histogram(result, choices.look),
            "numbers": html.statistics_table(result.prediction, result.uncertainty),
        }
    return files(session, choices)


def shown_photo(session: Session) -> str | None:
    """Return the file of the sample whose result the session holds."""
    sample = session.result.sample if session.result else None
    return str(BY_ID[sample].photo) if sample else None


def status(session: Session, engine: Engine) -> str:
    if session.result is None:
        return html.notices([NO_RESULT])
    return session.result.line + html.notices(stranger_to(session.result))


def stranger_to(result: Result) -> tuple[str, ...]:
    """Say so where the photo is known to show what the model has not learned; of visitors' own nothing is known."""
    place = next((sample.place for sample in SAMPLES if str(sample.photo) == result.source), None)
    learned = LEARNED.get(result.spec.head) if result.spec else None
    if place is None or learned is None or place == learned:
        return ()
    return (
        f"{result.prediction.variant} has learned {learned} scenes, and this photo shows an {place} one: read the "
        "order of things, not the metres.",
    )


def certainty(session: Session, engine: Engine) -> Iterator[Shown]:
    """Run the result's model on its photo mirrored and at three sizes; yields the progress.

    The session holds then how far these estimates differ, and the depth picture shows it.
    """
    result = session.present
    if session.spread is None:
        with session.job() as stop:
            yield {"progress": html.progress("How sure the model is.", None)}
            spread = yield from reported(
                follow(
                    lambda report, stopped: engine.spread(
                        result.prediction.variant, result.photo.rgb, report=report, stopped=stopped
                    ),
                    stop,
                )
            )
        if session.result is None or session.result.photo_id != result.photo_id:
            return  # the visitor has gone on to another photo
        session.spread = spread
    session.sure = True
    yield {"progress": ""}


def change_camera(session: Session, engine: Engine, choices: Choices) -> None:
    """Give the result the camera that `choices` name: depth is multiplied by a factor, no model runs."""
    result = session.result
    if result is None or result.spec is None:
        return
    plain = result.prediction.calibrated(None)
    changed = with_camera(plain, engine.zoo[result.prediction.variant], choices)
    session.result = replace(result, prediction=changed, token=secrets.token_hex(8))
    session.rescale()


def estimate(session: Session, engine: Engine, photo: str | None, model: str, choices: Choices) -> Iterator[Shown]:
    """Run `model` on `photo`; yields the progress. The session holds the result then, and `draw` shows it."""
    spec = engine.check(model)
    if not photo:
        raise PhotoNotFound("There is no photo yet. Drop one, take one, or choose a sample.")
    with session.job() as stop:
        yield {"progress": html.progress("Reading the photo.", None)}
        prediction = yield from reported(
            follow(lambda report, stopped: engine.estimate(model, photo, choices, report=report, stopped=stopped), stop)
        )
    session.show(Result(prediction=prediction, spec=spec, source=photo))


def files(session: Session, choices: Choices, *, ready: str | None = None) -> Shown:
    """List every export of the session's result with its size; one that has not been made yet with an estimate.

    ready: the format that was made just now, or found impossible, which the page fetches at once
    """
    result = session.present
    height, width = result.photo.size
    rows = []
    for name, kind in export.FORMATS.items():
        row: dict[str, Any] = {"name": name, "title": kind.title, "unit": kind.unit}
        made = session.files.get((result.token, name, choices.look))
        if isinstance(made, Path):
            row |= {"url": html.file_url(made), "file": made.name, "size": html.kilobytes(made.stat().st_size)}
        elif made:
            row |= {"note": made, "size": ""}
        else:
            about = export.estimated_bytes(name, height * width, choices.look)
            row["size"] = f"≈ {html.kilobytes(about)}" if about else ""
        rows.append(row)
    return {"files": {"rows": rows, "ready": ready}}


def make_file(session: Session, choices: Choices, format_: object) -> Shown:
    """Make one export of the session's result at the photo's own size; returns the list of files."""
    result = session.present
    name = str(format_)
    if name not in export.FORMATS:
        raise ExportError("This format is not one of the page's. Choose one of those shown.")
    if not session.has_room():
        raise ExportError(NO_ROOM)
    folder = session.folder / f"files-{result.token}-{hash(choices.look) & 0xFFFFFFFF:08x}"
    made: Path | str
    try:
        [made] = at_own_size(result.prediction).write(folder, [name], look=choices.look)
    except ExportError as error:
        made = str(error)
    if session.result is result:  # else the visitor has gone on to another photo
        session.files[result.token, name, choices.look] = made
    return files(session, choices, ready=name)
