"""The choices of the page as a link, and back. Everything that comes from a link is checked against what is known."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self
from urllib.parse import urlencode

from glpn.rendering import COLOR_MAPS, DETAILS, STYLES, TEXTURES

PAGES = ("estimate", "compare", "evaluate", "zoo", "about")
TABS = ("depth", "slider", "3d", "measure", "statistics", "files")
RANGES = ("robust", "full", "fixed")
NEAR = ("bright", "dark")
RESOLUTIONS = ("standard", "fast", "native")
CAMERAS = ("auto", "fov", "assumed")
MAX_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Every choice that a link can carry. Field names are the link's parameters.

    at          which page is open; Gradio takes a link's `page` for its own
    near, far   metres: ends of the colours where `range` is "fixed"
    cut         relative depth step at which the surface is cut
    camera      "auto" (EXIF, or else assumed), "fov" (the angle in `fov`) or "assumed"
    fov         degrees, horizontally
    """

    model: str = "rooms-b0"
    sample: str = ""
    at: str = "estimate"
    tab: str = "depth"
    colors: str = "turbo"
    range: str = "robust"
    low: float = 0.0
    high: float = 10.0
    near: str = "bright"
    style: str = "surface"
    texture: str = "photo"
    detail: str = "standard"
    cut: float = 0.05
    res: str = "standard"
    flip: bool = False
    camera: str = "auto"
    fov: float = 63.0
    correct: bool = True

    @property
    def look(self) -> Self:
        """These choices without what is chosen to be seen: how it is seen."""
        return replace(self, model="", sample="", at="", tab="")

    def query(self) -> str:
        """Return the query string: model and sample always, the rest where it differs from the default."""
        default = type(self)()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return urlencode(
            {
                name: _text(value)
                for name, value in values.items()
                if value != getattr(default, name) or (name in ("model", "sample") and value)
            }
        )

    @classmethod
    def parse(
        cls, query: Mapping[str, str], *, models: Iterable[str], samples: Iterable[str]
    ) -> tuple[Self, tuple[str, ...]]:
        """Read the choices from `query`; what isn't known or can't be is left at its default and named in a note."""
        checks: dict[str, Callable[[str], Any]] = {
            "model": _one_of(models),
            "sample": _one_of(samples),
            "at": _one_of(PAGES),
            "tab": _one_of(TABS),
            "colors": _one_of(COLOR_MAPS),
            "range": _one_of(RANGES),
            "low": _number(0, 1000),
            "high": _number(0, 1000),
            "near": _one_of(NEAR),
            "style": _one_of(STYLES),
            "texture": _one_of(TEXTURES),
            "detail": _one_of(DETAILS),
            "cut": _number(0.005, 1),
            "res": _one_of(RESOLUTIONS),
            "flip": _flag,
            "camera": _one_of(CAMERAS),
            "fov": _number(5, 170),
            "correct": _flag,
        }
        choices, ignored = cls(), []
        for name, check in checks.items():
            text = query.get(name)
            if text is None:
                continue
            try:
                choices = replace(choices, **{name: check(text[:MAX_LENGTH])})
            except ValueError:
                ignored.append(name)
        if choices.low >= choices.high:
            choices = replace(choices, low=cls.low, high=cls.high)
            ignored += ["low", "high"]
        note = f"The link's {', '.join(ignored)} is not something this page knows, so it was ignored."
        return choices, (note,) if ignored else ()


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value


def _one_of(known: Iterable[str]) -> Callable[[str], str]:
    values = tuple(known)

    def check(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return check


def _number(least: float, most: float) -> Callable[[str], float]:
    def check(text: str) -> float:
        value = float(text)
        if not least <= value <= most:  # false for NaN as well
            raise ValueError(text)
        return value

    return check


def _flag(text: str) -> bool:
    return {"1": True, "0": False}[_one_of("01")(text)]
