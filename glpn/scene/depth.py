"""Depth: what drawing, writing and measuring need of a `DepthPrediction`, which imports from this room."""

from typing import Any, Protocol

import numpy as np

from glpn.camera import Camera
from glpn.photo import Photo
from glpn.scale import Scale


class Depth(Protocol):
    """A depth map with its camera, its photo and what is known of both; see `glpn.DepthPrediction`."""

    @property
    def depth_m(self) -> np.ndarray: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def working_size(self) -> tuple[int, int]: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def photo(self) -> Photo | None: ...
    @property
    def variant(self) -> str: ...
    @property
    def calibration(self) -> Scale | None: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def to_dict(self) -> dict[str, Any]: ...
