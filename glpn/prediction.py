"""DepthPrediction: what one estimate states, and what has to be known to use it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from .camera import Camera
from .photo import Photo
from .scale import Scale
from .scene.geometry import depth_range, is_measured
from .scene.look import DEFAULT_LOOK, Look


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthPrediction:
    """Depth of one photo.

    depth_m         (H, W) float32, metres along the optical axis, at the photo's own size (EXIF orientation applied);
                    already multiplied by `scale` and `calibration.factor`
    variant         which model: a variant id of the zoo, or the repository or folder it came from
    max_depth_m     the largest depth that the model can state, before `scale` and `calibration`
    working_size    (height, width) that the network saw
    seconds         wall time from the opened photo to `depth_m`
    camera          the photo's camera, at the photo's own size; `camera.assumed` tells whether it is a guess
    scale           factor of the focal-length correction; 1.0 means none
    calibration     the scale by known lengths that was applied (see `calibrated`), or None
    precision       arithmetic of the network: "float32", "bfloat16" or "float16"
    device          "cpu", "cuda" or "mps"
    engine          library that ran the network: "pytorch" or "openvino"
    flip_averaged   whether this is the mean of the photo and its mirror image
    rim_free        whether the network saw its maps continued beyond the photo's border (see `model.border`)
    notes           sentences that the user should see, such as an EXIF value that was ignored
    photo           the photo, for colors and textures, or None where it was not kept
    """

    depth_m: np.ndarray
    variant: str
    max_depth_m: float
    working_size: tuple[int, int]
    seconds: float
    camera: Camera
    scale: float = 1.0
    calibration: Scale | None = None
    precision: str = "float32"
    device: str = "cpu"
    engine: str = "pytorch"
    flip_averaged: bool = False
    rim_free: bool = False
    notes: tuple[str, ...] = field(default=())
    photo: Photo | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the photo."""
        height, width = self.depth_m.shape
        return height, width

    @property
    def factor(self) -> float:
        """What the network's depth was multiplied by in all: focal-length correction times calibration."""
        return self.scale * (self.calibration.factor if self.calibration else 1.0)

    @property
    def raw_depth_m(self) -> np.ndarray:
        """(H, W) float32: what the network said, before the focal-length correction and any calibration."""
        return self.depth_m if self.factor == 1.0 else self.depth_m / np.float32(self.factor)

    def calibrated(self, scale: Scale | None) -> Self:
        """Return this prediction with `scale` instead of its present calibration; None undoes that."""
        if scale == self.calibration:
            return self
        new, old = (one.factor if one else 1.0 for one in (scale, self.calibration))
        return replace(self, depth_m=self.depth_m * np.float32(new / old), calibration=scale)

    @property
    def share_at_limit(self) -> float:
        """Share of pixels within 2 % of `max_depth_m`, 0 to 1: a high one means that the scene is deeper than that."""
        return float(np.mean(self.raw_depth_m >= 0.98 * self.max_depth_m))

    def write(
        self,
        folder: str | Path,
        formats: Iterable[str] = ("depth-png", "color-png"),
        *,
        stem: str | None = None,
        look: Look = DEFAULT_LOOK,
    ) -> list[Path]:
        """Write files such as "depth-png", "glb" or "html" into `folder`; return their paths.

        Args:
            folder: where they go; it is made if it does not exist.
            formats: names of `glpn.scene.export.FORMATS`.
            stem: start of the files' names; None takes the photo's.
            look: colors, detail and edge cut of images and 3D files.

        Raises:
            ExportError: a format is unknown, can't hold this depth, or a file can't be written.
            PhotoError: the photo was decoded at less than its size, and its file has gone since.
        """
        from .scene import export  # here, because Plotly takes a second to import

        return export.write(self, folder, formats, stem=stem, look=look)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the depth map and the photo, JSON-ready, with the range of depth."""
        nearest, farthest = depth_range(self.depth_m, "full")
        return {
            "variant": self.variant,
            "size": _size_to_dict(self.size),
            "working_size": _size_to_dict(self.working_size),
            "depth": {
                "unit": "m",
                "axis": "optical axis (z)",
                "nearest": nearest,
                "farthest": farthest,
                "max_depth_m": self.max_depth_m,
                "share_at_limit": self.share_at_limit,
                "measured_pixels": int(is_measured(self.depth_m).sum()),
            },
            "scale_correction": self.scale,
            "calibration": self.calibration.to_dict() if self.calibration else None,
            "camera": self.camera.to_dict() | {"assumed": self.camera.assumed},
            "seconds": self.seconds,
            "precision": self.precision,
            "device": self.device,
            "engine": self.engine,
            "flip_averaged": self.flip_averaged,
            "rim_free": self.rim_free,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], depth_m: np.ndarray, photo: Photo | None = None) -> Self:
        """Read what `to_dict` gave, together with the depth map (H, W) float32, metres, and the photo."""
        return cls(
            depth_m=depth_m,
            variant=values["variant"],
            max_depth_m=values["depth"]["max_depth_m"],
            working_size=(values["working_size"]["height"], values["working_size"]["width"]),
            camera=Camera(**{field.name: values["camera"][field.name] for field in fields(Camera)}),
            scale=values["scale_correction"],
            calibration=Scale.from_dict(values["calibration"]) if values["calibration"] else None,
            notes=tuple(values["notes"]),
            photo=photo,
            **{
                name: values[name] for name in ("seconds", "precision", "device", "engine", "flip_averaged", "rim_free")
            },
        )


def _size_to_dict(size: tuple[int, int]) -> dict[str, int]:
    return {"height": size[0], "width": size[1]}
