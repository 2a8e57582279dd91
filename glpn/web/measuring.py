"""Measuring on the page: picked points become lengths, areas and angles, and a known length sets the scale of all.

Each function that changes something takes the session alone and the visitor's input; `shown` draws what there is then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np

from glpn.errors import ConfigError, FloorNotFound, GLPNError
from glpn.scale import KNOWN_LENGTHS
from glpn.scene.certainty import UNSURE
from glpn.scene.floor import find_floor
from glpn.scene.measuring import (
    KINDS,
    Measurement,
    Point,
    as_csv,
    as_text,
    at_points,
    height_above,
    measure,
    position,
    snapped,
)
from glpn.scene.uncertainty import Uncertainty, significant
from glpn.zoo import ModelSpec

from . import drawing
from .session import Marks, Result, Session, Shape

HEIGHT = "height"
TITLES = {"distance": "Length", "path": "Path", "area": "Area", "angle": "Angle", HEIGHT: "Height"}
HINTS = {
    "distance": "Click two points: the straight distance between them in 3D appears.",
    "path": "Click point after point; “New” begins another path.",
    "area": "Click the corners one after the other along the outline; “New” begins another area.",
    "angle": "Click three points: the angle at the second appears.",
    HEIGHT: "Click a point: its height above the floor appears.",
}
# Largest error of shape of a model whose floors count. rooms-b0's is 21 %: in tests/data/rgbd the cameras are 1.6 m
# above the floors that true depth shows, and 0.6 m and 0.8 m above those that its own shows.
MOST_SHAPE_ERROR = 0.1


@dataclass(frozen=True)
class Row:
    """A line of the table. `measurement` is None where the points make none, and `text` says why."""

    shape: Shape
    text: str
    measurement: Measurement | None = None
    uncertainty: Uncertainty | None = None
    finished: bool = True


def choose(session: Session, kind: str) -> None:
    """Take `kind` for the next points; what was begun is finished."""
    if kind not in TITLES:
        raise ConfigError(f"Unknown kind of measurement {kind!r}. Known: {', '.join(TITLES)}.")
    finish(session)
    session.marks = replace(session.marks, kind=kind)


def pick(session: Session, x: float, y: float, *, snap: bool = True) -> None:
    """Add the photo's pixel (x, y), or with `snap` the nearer side of the edge that it lies at."""
    prediction = session.present.prediction
    height, width = prediction.size
    point = (min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1))
    if session.marks.kind == HEIGHT:
        find_height(session.present, point)  # says at once where no height can be told
    if snap:
        point = snapped(prediction, point)
    marks = session.marks
    session.marks = replace(marks, open=(*marks.open, point))
    if len(session.marks.open) == (1 if marks.kind == HEIGHT else KINDS[marks.kind].most):
        finish(session)


def finish(session: Session) -> None:
    """Close the shape that is being drawn; points that are too few for one go."""
    marks = session.marks
    least = 1 if marks.kind == HEIGHT else KINDS[marks.kind].least
    shapes = (Shape(marks.kind, marks.open),) if len(marks.open) >= least else ()
    session.marks = replace(marks, open=(), shapes=marks.shapes + shapes)


def undo(session: Session) -> None:
    """Take back the last point; of a finished shape, that opens it again. A known length goes with its line."""
    marks = session.marks
    if not marks.open and marks.shapes:
        last = marks.shapes[-1]
        marks = replace(marks, kind=last.kind, open=last.points, shapes=marks.shapes[:-1])
    session.marks = replace(marks, open=marks.open[:-1])
    session.rescale()


def clear(session: Session) -> None:
    """Remove all but the known lengths, which the scale rests on."""
    session.marks = replace(session.marks, open=(), shapes=tuple(one for one in session.marks.shapes if one.true_m))


def remove(session: Session, number: int) -> None:
    """Remove shape `number`, counted from 0."""
    _shape(session, number)
    shapes = session.marks.shapes
    session.marks = replace(session.marks, shapes=shapes[:number] + shapes[number + 1 :])
    session.rescale()


def know(session: Session, number: int, true_m: Any) -> None:
    """Take `true_m` for the length of shape `number` in reality: the scale of everything follows.

    Raises ConfigError, and changes nothing, for what can't be a length.
    """
    shape = _shape(session, number)
    if shape.kind != "distance":
        raise ConfigError("Only a length between two points sets the scale. Measure one and enter it.")
    shapes = session.marks.shapes
    known = replace(shape, true_m=true_m)
    marks = replace(session.marks, shapes=(*shapes[:number], known, *shapes[number + 1 :]), factor=None)
    if not isinstance(true_m, int | float) or not true_m > 0:
        raise ConfigError(f"The true length is {true_m!r}. Give metres above 0, such as 2.00 for a door.")
    marks.scale(session.present.prediction)  # refuses what can't be right before it is kept
    session.marks = marks
    session.rescale()


def unscale(session: Session) -> None:
    """Undo the scale; the lines stay."""
    session.marks = session.marks.unscaled()
    session.rescale()


def scale_by(session: Session, factor: float) -> None:
    """Take the factor that a link names for the result that it shows."""
    session.marks = Marks(factor=factor, variant=session.present.prediction.variant)
    session.rescale()


def find_height(result: Result, point: Point) -> Measurement:
    """Return how high `point` is above the floor.

    Raises FloorNotFound if no floor is seen, or the model's shapes are too far off for one.
    """
    error = shape_error(result.spec)
    if error is None or error > MOST_SHAPE_ERROR:
        known = "unknown" if error is None else f"{significant(100 * error)} %"
        raise FloorNotFound(
            f"Heights above the floor are not reliable with {result.prediction.variant}: the error of its shapes is "
            f"{known}, and a floor needs {100 * MOST_SHAPE_ERROR:g} % or less. Measure the length from the floor up "
            "instead."
        )
    return height_above(find_floor(result.prediction.depth_m, result.prediction.camera), result.prediction, point)


def shape_error(spec: ModelSpec | None) -> float | None:
    """Return the largest measured error (AbsRel) of the model's shapes once their scale is set right, or None."""
    found = [
        dict(metric.values)["abs_rel"]
        for metric in (spec.metrics if spec else ())
        if metric.alignment in ("median", None) and "abs_rel" in dict(metric.values)
    ]
    return max(found, default=None)


def rows(session: Session) -> list[Row]:
    """Return what is measured, the shape that is being drawn last."""
    shapes = list(session.marks.shapes)
    if session.marks.open:
        shapes.append(Shape(session.marks.kind, session.marks.open))
    return [_row(session, shape, finished=number < len(session.marks.shapes)) for number, shape in enumerate(shapes)]


def _row(session: Session, shape: Shape, *, finished: bool) -> Row:
    result = session.present
    try:
        measurement = (
            find_height(result, shape.points[0])
            if shape.kind == HEIGHT
            else measure(shape.kind, result.prediction, shape.points)
        )
    except GLPNError as error:
        begun = not finished and len(shape.points) < (KINDS[shape.kind].least if shape.kind in KINDS else 1)
        return Row(shape, "click the next point" if begun else str(error), finished=finished)
    if shape.true_m:
        fits = f", fits as {measurement.value:.3g} m" if len(session.marks.known) > 1 else ""
        given = f"{shape.true_m:g} m, given by you{fits}"
        return Row(shape, given, measurement, result.uncertainty, finished)
    doubt = result.uncertainty
    if session.spread is not None:
        doubt = at_points(doubt, session.spread, [_in_spread(session, point) for point in shape.points])
    return Row(shape, measurement.text(doubt), measurement, doubt, finished)


def _in_spread(session: Session, point: Point) -> Point:
    """Return where `point` of the photo lies in the session's smaller map of spreads."""
    assert session.spread is not None
    height, width = session.present.prediction.size
    rows_, columns = session.spread.shape
    return point[0] * columns // width, point[1] * rows_ // height


def spread_at(session: Session, point: Point) -> float | None:
    """Return by what share the estimates of `point` differ, or None where that was not asked for."""
    if session.spread is None:
        return None
    x, y = _in_spread(session, point)
    return float(session.spread[y, x])


def shown(session: Session) -> dict[str, Any]:
    """Return what the Measure tab shows: the photo with its marks, and the table.

    If another click changes the marks meanwhile, the answer to that one may be the first to arrive: draw anew.
    """
    while session.result is not None:
        before = session.marks
        table = rows(session)
        drawn = {"measure": _drawn(session, table), "distances": _table(session, table)}
        if session.marks == before:
            return drawn
    return {"measure": None, "distances": ""}


def lines(session: Session) -> Iterator[tuple[np.ndarray, str]]:
    """Yield each line, path and outline as places (N, 3) in space, metres in camera axes, and what was measured."""
    for row in rows(session):
        if row.measurement is not None and len(row.shape.points) > 1:
            places = [position(session.present.prediction, point) for point in _outline(row)]
            yield np.array(places), _label(row)


def marks(session: Session) -> list[dict[str, Any]]:
    """Return the same lines on the photo: points (x, y) as shares of its width and height, and the text."""
    height, width = session.present.prediction.size
    return [
        {"points": [((x + 0.5) / width, (y + 0.5) / height) for x, y in _outline(row)], "text": _label(row)}
        for row in rows(session)
        if row.measurement is not None and len(row.shape.points) > 1
    ]


def _outline(row: Row) -> tuple[Point, ...]:
    return row.shape.points + (row.shape.points[:1] if row.shape.kind == "area" else ())


def _drawn(session: Session, table: list[Row]) -> dict[str, Any]:
    result = session.present
    height, width = result.prediction.size
    photo_url, depth_url = drawing.pictures(result, session.folder)
    return {
        "src": photo_url,
        "width": width,
        "height": height,
        "depth": depth_url,
        "uncertainty": result.uncertainty.to_dict(),
        "shapes": [
            {
                "points": row.shape.points,
                "closed": row.shape.kind == "area" and len(row.shape.points) > 2,
                "text": _label(row),
                "known": bool(row.shape.true_m),
                "unsure": [(spread_at(session, point) or 0) > UNSURE for point in row.shape.points],
            }
            for row in table
        ],
    }


def _label(row: Row) -> str:
    """Return what stands next to the shape on the photo."""
    if row.shape.true_m:
        return f"{row.shape.true_m:g} m"
    return row.text if row.measurement else ""


def _table(session: Session, table: list[Row]) -> str:
    result = session.present
    if not table:
        return f"<p>{HINTS[session.marks.kind]}</p>"
    body = "".join(_line(session, number, row) for number, row in enumerate(table))
    copied = [(row.measurement, row.uncertainty) for row in table if row.measurement and row.uncertainty]
    buttons = "".join(
        f'<button type="button" class="figure-button" data-copy="{escape(text(copied))}">{title}</button>'
        for title, text in (("Copy as text", as_text), ("Copy as CSV", as_csv))
        if copied
    )
    return (
        f'<div class="measures" role="region" aria-label="Measurements"><ol>{body}</ol>'
        f'<p class="measures-note">{escape(result.uncertainty.basis)}</p>'
        f'<div class="figure-tools">{buttons}</div></div>'
    )


def _line(session: Session, number: int, row: Row) -> str:
    title = TITLES[row.shape.kind]
    depths = ""
    if row.shape.kind in ("distance", HEIGHT):
        depth_m = session.present.prediction.depth_m
        told = (session.present.uncertainty.text(float(depth_m[y, x])) for x, y in row.shape.points)
        depths = f"<small>depth {escape(' and '.join(told))}</small>"
    sure = _sureness(session, row)
    button = known = ""
    if row.finished:
        name = f"{title} {number + 1}"
        button = (
            f'<button type="button" class="measures-remove" data-remove="{number}" aria-label="Remove {name}" '
            'title="Remove">×</button>'
        )
        known = _known(number, row) if row.shape.kind == "distance" and row.measurement else ""
    return (
        f"<li><div><strong>{title}</strong> <output>{escape(row.text)}</output>{depths}{sure}{button}</div>{known}</li>"
    )


def _sureness(session: Session, row: Row) -> str:
    """Return how far the estimates of the row's points differ, where that was asked for."""
    spreads = [spread for point in row.shape.points if (spread := spread_at(session, point)) is not None]
    if not spreads:
        return ""
    told = ", ".join(f"{significant(100 * spread)} %" for spread in spreads)
    word = "unsure" if max(spreads) > UNSURE else "sure"
    return f'<small class="measures-{word}">{word}: estimates of its points differ by {told}</small>'


def _known(number: int, row: Row) -> str:
    """Return the form in which the visitor enters the line's true length."""
    presets = "".join(
        f'<option value="{metres:g}">{escape(name)}: {metres:g} m</option>' for name, metres in KNOWN_LENGTHS.items()
    )
    value = "" if row.shape.true_m is None else f"{row.shape.true_m:g}"
    return f"""<form data-known="{number}"><label>In reality this is
<input type="number" name="metres" min="0.001" step="any" inputmode="decimal" value="{value}" required> m</label>
<select name="preset" aria-label="A length that you know"><option value="">such as …</option>{presets}</select>
<button type="submit" class="figure-button">{"Change" if value else "Set the scale"}</button></form>"""


def _shape(session: Session, number: int) -> Shape:
    if not isinstance(number, int) or not 0 <= number < len(session.marks.shapes):
        raise ConfigError("This measurement is not there any more. Measure it again.")
    return session.marks.shapes[number]
