"""Look: how depth is drawn, in figures, in files, on the page and on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from glpn.bounds import APERTURE, DISTANCE_M, EDGE_CUT
from glpn.errors import ConfigError

from .geometry import RANGES
from .relief import Relief

STYLES = ("surface", "mesh", "points")
TEXTURES = ("depth", "photo")
# Samples of a depth map. In its JSON a figure's heatmap takes 5 to 7 bytes for each, points up to 26, vertices with
# faces up to 52. A file's mesh has one vertex for each, but below "fine" no more than the network has pixels; its cloud
# has one point.
DETAILS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        name: MappingProxyType(dict(zip(("heatmap", *STYLES, "file mesh", "file points"), samples, strict=True)))
        for name, samples in {
            "draft": (40_000, 8_000, 8_000, 15_000, 40_000, 160_000),
            "standard": (135_000, 26_000, 26_000, 52_000, 160_000, 640_000),
            "fine": (600_000, 120_000, 120_000, 240_000, 640_000, 4_000_000),
        }.items()
    }
)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How depth is drawn. What a figure or file has no use for, it ignores.

    colors       a color map of `figures.COLOR_MAPS`
    range_m      depth at the ends of the colors: "robust" (2nd to 98th percentile), "full", or (near, far) in metres
    near_bright  whether near things get the bright or warm end of the color map
    detail       number of samples of figures and 3D files: "draft", "standard" or "fine"
    edge_cut     relative step between samples beyond which they belong to different objects, above 0
    style        of 3D figures: "surface" (smooth), "mesh" (triangles in a light that shows their shape) or "points"
    texture      of 3D figures: "photo", or "depth" for its colors; without a photo it is always "depth"
    distance_m   of cut-outs, focus and fog, and from one band to the next; None takes the middle of the scene, and
                 bands of half a metre
    aperture     of "focus": radius of the blur at infinity, a share of the width
    relief       sizes of the printable relief

    Raises `ConfigError` for invalid values.
    """

    colors: str = "plasma"
    range_m: str | tuple[float, float] = "robust"
    near_bright: bool = True
    detail: str = "standard"
    edge_cut: float = EDGE_CUT.default
    style: str = "surface"
    texture: str = "photo"
    distance_m: float | None = None
    aperture: float = APERTURE.default
    relief: Relief = Relief()  # noqa: RUF009 - a frozen value

    def __post_init__(self) -> None:
        _check("detail", self.detail, DETAILS)
        _check("style", self.style, STYLES)
        _check("texture", self.texture, TEXTURES)
        if isinstance(self.range_m, str):
            _check("range", self.range_m, RANGES)
        if not self.edge_cut > 0:
            raise ConfigError(
                f"The edge cut is {self.edge_cut!r}. Give a relative step above 0, such as {EDGE_CUT.default}."
            )

        if self.distance_m is not None:
            DISTANCE_M.check(self.distance_m)
        APERTURE.check(self.aperture)

    def samples(self, kind: str) -> int:
        """Return the number of samples of a "heatmap", of one of STYLES, of a "file mesh" or "file points"."""
        return DETAILS[self.detail][kind]


def _check(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ConfigError(f"Unknown {name} {value!r}. Known: {', '.join(known)}.")


DEFAULT_LOOK = Look()
