"""The choices of the page as a link, and back. Everything that comes from a link is checked against what is known."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from typing_extensions import Self

from glpn.bounds import EDGE_CUT, FOV_DEG, RANGE_M, RESOLUTIONS, SCALE
from glpn.scene import geometry
from glpn.scene.figures import COLOR_MAPS
from glpn.scene.look import DEFAULT_LOOK, DETAILS, STYLES, TEXTURES, Look
from glpn.zoo import DEFAULT

PAGES = ("estimate", "compare", "evaluate", "many", "video", "360", "live", "zoo", "about")
TABS = {
    "photo3d": "3D photo",
    "depth": "Depth",
    "3d": "3D",
    "measure": "Measure",
    "play": "Play",
    "statistics": "Statistics",
    "files": "Files",
}
RANGE_CHOICES = (*geometry.RANGES, "fixed")
NEAR = ("bright", "dark")
CAMERAS = ("auto", "fov", "assumed")
MAX_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Every choice that a link can carry. Field names are the link's parameters.

    at          which page is open; Gradio takes a link's `page` for its own
    low, high   metres: ends of the colors where `range` is "fixed"
    cut         relative depth step at which the surface is cut
    camera      "auto" (EXIF, or else assumed), "fov" (the angle in `fov`) or "assumed"
    fov         degrees, horizontally
    scale       factor by a known length on the sample's metres; 1 means none
    cpu         whether large models run on the CPU where ZeroGPU would lend a graphics card
    """

    model: str = DEFAULT
    sample: str = ""
    at: str = "estimate"
    tab: str = "photo3d"
    colors: str = DEFAULT_LOOK.colors
    range: str = "robust"
    low: float = 0.0
    high: float = RANGE_M.default
    near: str = "bright"
    style: str = "surface"
    texture: str = "photo"
    detail: str = "standard"
    cut: float = EDGE_CUT.default
    res: str = "standard"
    flip: bool = False
    camera: str = "auto"
    fov: float = FOV_DEG.default
    correct: bool = True
    scale: float = SCALE.default
    cpu: bool = False

    @property
    def look(self) -> Look:
        """Return how depth is drawn."""
        return Look(
            colors=self.colors,
            range_m=(self.low, self.high) if self.range == "fixed" else self.range,
            near_bright=self.near == "bright",
            detail=self.detail,
            edge_cut=self.cut,
            style=self.style,
            texture=self.texture,
        )

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
            "range": _one_of(RANGE_CHOICES),
            "low": RANGE_M.check,
            "high": RANGE_M.check,
            "near": _one_of(NEAR),
            "style": _one_of(STYLES),
            "texture": _one_of(TEXTURES),
            "detail": _one_of(DETAILS),
            "cut": EDGE_CUT.check,
            "res": _one_of(RESOLUTIONS),
            "flip": _flag,
            "camera": _one_of(CAMERAS),
            "fov": FOV_DEG.check,
            "correct": _flag,
            "scale": SCALE.check,
            "cpu": _flag,
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
        note = f"Ignored from the link, because they are not known here: {', '.join(ignored)}."
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


def _flag(text: str) -> bool:
    return {"1": True, "0": False}[_one_of("01")(text)]
