"""DepthEstimator: the one way from a photo to a DepthPrediction, for the command line, the page and the API alike."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from os import PathLike

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .camera import Camera, scale_correction
from .compute import pick_device, pick_precision
from .errors import ConfigError
from .fast import make_fast
from .image_processing import GLPNImageProcessor, native_size, resize_depth, to_pixel_values, working_size
from .modeling import GLPNForDepthEstimation
from .photo import Photo, load_photo
from .prediction import DepthPrediction
from .pretrained import load_located
from .zoo import ModelSpec, Zoo

PhotoSource = str | PathLike[str] | bytes | Image.Image | np.ndarray | Tensor | Photo
RESOLUTIONS = ("standard", "fast", "native")
FAST_SCALE = 2 / 3


class DepthEstimator:
    """A network with what is needed to feed it: `estimator(photo)` gives metres.

    Use `load_estimator` to make one. It keeps no state between photos, so threads may share it.
    """

    def __init__(
        self,
        model: GLPNForDepthEstimation,
        processor: GLPNImageProcessor,
        *,
        spec: ModelSpec,
        device: str = "auto",
        precision: str = "float32",
        notices: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.notices = tuple(notices)
        self.device = pick_device(device)
        self.precision = pick_precision(precision, device=self.device)
        self.model = model.to(self.device).eval()
        self.processor = processor
        on_cpu = self.device == "cpu"
        self._network = make_fast(self.model, precision=self.precision) if on_cpu else self.model

    def __call__(
        self,
        photo: PhotoSource,
        *,
        resolution: str | int = "standard",
        flip_average: bool = False,
        camera: Camera | None = None,
        correct_scale: bool | None = None,
    ) -> DepthPrediction:
        """Estimate the depth of one photo: a path, encoded bytes, a Pillow image, an array, a tensor, or a `Photo`.

        resolution      "standard" (short side as the model was trained), "fast" (two thirds of it), "native" (the
                        photo's own size, floored to multiples of 32, up to a cap), or the short side in pixels
        flip_average    also run the mirror image and take the mean: twice the time, a little steadier
        camera          the photo's camera; None reads EXIF and falls back on the training camera, marked as assumed
        correct_scale   multiply by the focal-length correction (see `camera.scale_correction`); None does so just
                        where the focal length is known

        Raises `PhotoError`, `ConfigError` or `CameraError`.
        """
        return self.estimate_batch(
            [photo], resolution=resolution, flip_average=flip_average, camera=camera, correct_scale=correct_scale
        )[0]

    def estimate_batch(
        self,
        photos: Sequence[PhotoSource],
        *,
        resolution: str | int = "standard",
        flip_average: bool = False,
        camera: Camera | None = None,
        correct_scale: bool | None = None,
    ) -> list[DepthPrediction]:
        """Estimate several photos, those of equal size in one run of the network; arguments as for one photo."""
        predictions: dict[int, DepthPrediction] = {}
        loaded = [self._load(photo, resolution) for photo in photos]
        sizes = [self.working_size(photo.size, resolution) for photo in loaded]
        for size in dict.fromkeys(sizes):
            indices = [index for index, own in enumerate(sizes) if own == size]
            start = time.perf_counter()
            depths = self._run(np.stack([self._pixels(loaded[index], size) for index in indices]), flip_average)
            shared_seconds = (time.perf_counter() - start) / len(indices)
            for index, depth in zip(indices, depths, strict=True):
                photo = loaded[index]
                start = time.perf_counter()
                own_camera, notes = self._camera(photo, camera)
                scale = self._scale(own_camera, size, correct_scale)
                depth_m = resize_depth(np.clip(depth, 0, self.spec.max_depth_m), photo.size)
                if scale != 1:
                    depth_m *= np.float32(scale)
                predictions[index] = DepthPrediction(
                    depth_m=depth_m,
                    variant=self.spec.id,
                    max_depth_m=self.spec.max_depth_m,
                    working_size=size,
                    seconds=shared_seconds + time.perf_counter() - start,
                    camera=own_camera,
                    scale=scale,
                    precision=self.precision,
                    device=self.device,
                    flip_averaged=flip_average,
                    notes=(*self.notices, *photo.notes, *notes),
                )
        return [predictions[index] for index in range(len(loaded))]

    def working_size(self, size: tuple[int, int], resolution: str | int = "standard") -> tuple[int, int]:
        """Return the (height, width) at which the network sees a photo of `size` (height, width)."""
        divisor = self.processor.size_divisor
        if resolution == "native":
            return native_size(size, divisor)
        if resolution == "standard":
            short_side = self.spec.working_short_side
        elif resolution == "fast":
            short_side = round(self.spec.working_short_side * FAST_SCALE)
        elif isinstance(resolution, int) and not isinstance(resolution, bool) and divisor <= resolution <= 4096:
            short_side = resolution
        else:
            raise ConfigError(
                f"Unknown resolution {resolution!r}. Give {', '.join(RESOLUTIONS)}, or the short side in pixels "
                f"({divisor} to 4096)."
            )
        return working_size(size, short_side=short_side, divisor=divisor)

    def _load(self, photo: PhotoSource, resolution: str | int) -> Photo:
        if isinstance(photo, Photo):
            return photo
        # A JPEG is decoded at a fraction of its size where the network would only shrink it again.
        return load_photo(photo, at_least=lambda size: self.working_size(size, resolution))

    def _pixels(self, photo: Photo, size: tuple[int, int]) -> np.ndarray:
        return to_pixel_values(photo.rgb, size)  # (3, h, w) float32, 0 to 1

    def _run(self, pixel_values: np.ndarray, flip_average: bool) -> list[np.ndarray]:
        """Return the depth (h, w) float32, metres, of each photo of a batch (B, 3, h, w)."""
        x = torch.from_numpy(pixel_values).to(self.device)
        if flip_average:
            x = torch.cat((x, x.flip(-1)))
        # The fast form mixes precisions itself; on a GPU autocast does.
        mixed = self.device != "cpu" and self.precision != "float32"
        autocast = torch.autocast(self.device, getattr(torch, self.precision)) if mixed else nullcontext()
        with torch.inference_mode(), autocast:
            depth = self._network(x)
            depth = depth if isinstance(depth, Tensor) else depth.predicted_depth
            if flip_average:
                straight, mirrored = depth.chunk(2)
                depth = (straight + mirrored.flip(-1)) / 2
        return list(depth.float().cpu().numpy())

    def _camera(self, photo: Photo, camera: Camera | None) -> tuple[Camera, tuple[str, ...]]:
        if camera is not None:
            return camera.resized(photo.size), ()
        from_exif, notes = Camera.from_exif(photo.exif, photo.size)
        return from_exif or Camera.assumed_like(self.spec.camera.fx_over_width, photo.size), notes

    def _scale(self, camera: Camera, size: tuple[int, int], correct_scale: bool | None) -> float:
        if correct_scale is False or (correct_scale is None and camera.assumed):
            return 1.0
        return scale_correction(camera, size, self.spec.camera.fx_px)


def load_estimator(
    name: str | PathLike[str] = "rooms-b0",
    *,
    device: str = "auto",
    precision: str = "float32",
    zoo: Zoo | None = None,
    cache_dir: str | PathLike[str] | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    progress: Callable[[int, int | None, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> DepthEstimator:
    """Load a model by variant id, Hub repository (`"owner/name"` or `"owner/name@revision"`) or checkpoint folder.

    device       "auto" (CUDA, then MPS, then CPU) or PyTorch's name of one
    precision    "float32"; or, for depth that differs a little, "bfloat16", "float16" (GPU), "int8" (CPU, linear
                 layers), or "auto", the fastest of them here
    progress     is told bytes, total bytes (or None) and bytes per second of a download
    cancelled    is asked between the download's pieces

    Raises `UnknownModel`, `VariantNotTrained`, `HubError`, `ConfigError`, `CheckpointError` or `Cancelled`.
    """
    from .hub import locate

    found = locate(
        name,
        zoo=zoo or Zoo.load(),
        cache_dir=cache_dir,
        token=token,
        local_files_only=local_files_only,
        progress=progress,
        cancelled=cancelled,
    )
    model = load_located(GLPNForDepthEstimation, found)
    processor = GLPNImageProcessor.from_file(found.preprocessor) if found.preprocessor else GLPNImageProcessor()
    return DepthEstimator(model, processor, spec=found.spec, device=device, precision=precision, notices=found.notices)
