"""DepthPrediction: what one estimate says, and what has to be known to use it."""

from dataclasses import dataclass, field

import numpy as np

from .camera import Camera


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthPrediction:
    """Depth of one photo.

    depth_m         (H, W) float32, metres along the optical axis, at the photo's own size (EXIF orientation applied);
                    already multiplied by `scale`
    variant         which model: a variant id of the zoo, or the repository or folder it came from
    max_depth_m     the largest depth that the model can state, before `scale`
    working_size    (height, width) that the network saw
    seconds         wall time from the opened photo to `depth_m`
    camera          the photo's camera, at the photo's own size; `camera.assumed` tells whether it is a guess
    scale           factor of the focal-length correction; 1.0 means none
    precision       arithmetic of the network: "float32", "bfloat16", "float16" or "int8"
    device          "cpu", "cuda" or "mps"
    flip_averaged   whether this is the mean of the photo and its mirror image
    notes           sentences that the user should see, such as an EXIF value that was ignored
    """

    depth_m: np.ndarray
    variant: str
    max_depth_m: float
    working_size: tuple[int, int]
    seconds: float
    camera: Camera
    scale: float = 1.0
    precision: str = "float32"
    device: str = "cpu"
    flip_averaged: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the photo."""
        height, width = self.depth_m.shape
        return height, width

    @property
    def raw_depth_m(self) -> np.ndarray:
        """(H, W) float32: what the network said, before the focal-length correction."""
        return self.depth_m if self.scale == 1.0 else self.depth_m / np.float32(self.scale)

    @property
    def share_at_limit(self) -> float:
        """Share of pixels within 2 % of `max_depth_m`, 0 to 1: a high one means that the scene is deeper than that."""
        return float(np.mean(self.raw_depth_m >= 0.98 * self.max_depth_m))
