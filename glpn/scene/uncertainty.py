"""How much a number in metres is worth: the model's measured error in words, next to each number.

The figure is the mean relative error (AbsRel) of the model's manifest row: of depth as it comes ("raw"), or, once a
known length has set the scale, of depth whose scale was set right ("median"). Where a row has several data sets, the
worst of them counts. Published figures hold for the authors' own test pictures, and those of synthetic scenes for such
scenes, so they are a lower bound elsewhere.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import Self

from glpn.scale import Scale
from glpn.zoo import ModelSpec, Zoo
from glpn.zoo.manifest import Metric

from .depth import Depth

UNKNOWN = "error unknown"


@dataclass(frozen=True)
class Uncertainty:
    """The error to expect of a number.

    relative   share of the number, 0.3 for 30 %; None if nobody measured it
    at_least   whether the true error is likely larger
    basis      one sentence: where the figure comes from
    """

    relative: float | None
    at_least: bool
    basis: str

    def of(self, value: float, power: int = 1) -> float | None:
        """Return the uncertainty of `value` in its own unit; `power` is 2 for areas. None if it is unknown."""
        return None if self.relative is None else abs(value) * power * self.relative

    def text(self, value: float, unit: str = "m", power: int = 1) -> str:
        """Return `value` with two digits, or as many as its uncertainty allows: "2.3 m ± 0.7"."""
        error = self.of(value, power)
        if error is None:
            return f"{significant(value)} {unit}, {UNKNOWN}"
        decimals = decimals_of(value, error)
        return f"{rounded(value, decimals)} {unit} ± {rounded(error, decimals)}{' or more' if self.at_least else ''}"

    def span(self, near: float, far: float) -> str:
        """Return a range of metres: "1.6 m ± 0.6 to 3.4 m ± 1.3"."""
        return f"{self.text(near)} to {self.text(far)}"

    @property
    def note(self) -> str:
        """The uncertainty of all numbers at once, for a color bar: "± 32 %"."""
        if self.relative is None:
            return UNKNOWN
        return f"± {significant(100 * self.relative)} %{' or more' if self.at_least else ''}"

    def widened(self, spread: float) -> Self:
        """Return it for a place where the estimates differ by the relative `spread` (see `certainty`)."""
        if self.relative is None or not spread > self.relative:
            return self
        return replace(self, relative=float(spread), basis="The estimates of this place differ by more than usual.")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, JSON-ready; the page formats the numbers under the cursor from these."""
        return {"relative": self.relative, "at_least": self.at_least, "basis": self.basis}


def of_prediction(prediction: Depth, spec: ModelSpec | None) -> Uncertainty:
    """Return the uncertainty of distances in `prediction` by the model `spec`; None is a model outside the zoo."""
    if prediction.calibration is not None:
        return of_scale(prediction.calibration, spec)
    figure = _worst(spec, "raw")
    if figure is None:
        return Uncertainty(None, False, "Nobody has measured how far off this model's metres are.")
    if figure.at_least:
        return figure
    if spec is not None and spec.camera.correct_focal and prediction.camera.assumed:
        basis = f"{figure.basis} This photo's focal length is unknown, which adds to it."
        return replace(figure, at_least=True, basis=basis)
    return figure


def of_variant(prediction: Depth) -> Uncertainty:
    """Return the uncertainty of distances in `prediction` by the row that its variant has in the manifest."""
    return of_prediction(prediction, next((spec for spec in Zoo.load() if spec.id == prediction.variant), None))


def of_scale(scale: Scale, spec: ModelSpec | None) -> Uncertainty:
    """Return the uncertainty that is left once `scale` is set: the model's error of shape, or what lengths show.

    With several lengths their residuals count, and the model's own figure as one more of them, so that two lengths
    that agree by chance don't promise too much.
    """
    shape = _worst(spec, "median")
    squares = [] if shape is None or shape.relative is None else [shape.relative**2]
    if len(scale.lengths) > 1 and scale.spread is not None:
        free = len(scale.lengths) - 1
        relative = math.sqrt((sum(squares) + free * scale.spread**2) / (free + len(squares)))
        return Uncertainty(relative, False, f"What {len(scale.lengths)} known lengths differ by.")
    if shape is None:
        return Uncertainty(None, False, "Nobody has measured this model's error of shape. Give a second known length.")
    return replace(shape, basis=f"{shape.basis} One known length sets the scale.")


def worth_of(spec: ModelSpec, alignment: str) -> str:
    """Return what the model's metres ("raw") or, once a known length has set the scale, shapes ("median") are worth."""
    found = _of(spec, alignment)
    if not found:
        return "nobody has measured it"
    least, most = (f(100 * figure.relative for figure in found if figure.relative) for f in (min, max))
    off = f"{least:.0f} to {most:.0f} %" if round(least) < round(most) else f"{most:.2g} %"
    verb = "reported by its authors" if found[0].at_least else "measured"
    scaled = "" if alignment == "raw" else ", once one known length has set the scale"
    return f"off by {off} on average{scaled} ({verb})"


def significant(value: float, digits: int = 2) -> str:
    """Return `value` with `digits` significant digits, without an exponent."""
    return rounded(value, digits - 1 - _magnitude(value, digits))


def rounded(value: float, decimals: int) -> str:
    """Return `value` rounded to `decimals`, which may be negative: rounded(123, -1) is "120"."""
    return f"{round(value, decimals):.{max(decimals, 0)}f}"


def decimals_of(value: float, error: float) -> int:
    """Return the decimals for `value` and `error`: two digits of the value, more where the error is below them."""
    decimals = 1 - _magnitude(value, 2)
    if error > 0:
        decimals = max(decimals, -_magnitude(error, 1))
    return decimals


def _magnitude(value: float, digits: int) -> int:
    """Return the power of ten of the first digit of `value`, rounded to `digits`; 0 for 0."""
    return int(f"{abs(value):.{digits - 1}e}".split("e")[1]) if value else 0


def _worst(spec: ModelSpec | None, alignment: str) -> Uncertainty | None:
    """Return the largest AbsRel of the row's figures of `alignment`. Papers report raw ones and rarely say so."""
    return max(_of(spec, alignment), key=lambda figure: figure.relative or 0, default=None)


def _of(spec: ModelSpec | None, alignment: str) -> list[Uncertainty]:
    """Return the AbsRel of each of the row's data sets with figures of `alignment`."""
    found = []
    for metric in spec.metrics if spec else ():
        cited = _is_cited(metric)
        relative = dict(metric.values).get("abs_rel")
        if relative is None or (metric.alignment or ("raw" if cited else None)) != alignment:
            continue
        lower_bound = cited or "synthetic" in metric.dataset
        basis = f"Mean error on {metric.dataset}, {'as its authors report' if cited else 'measured'}."
        found.append(
            Uncertainty(relative, lower_bound, basis + (" Other photos are likely worse." if lower_bound else ""))
        )
    return found


def _is_cited(metric: Metric) -> bool:
    return metric.source.startswith("cited")
