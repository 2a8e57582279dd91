"""DepthEstimator: the one way from a photo to a DepthPrediction, for the command line, the page and the API alike."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from os import PathLike

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import Unpack

from .access import HubAccess, HubKeywords
from .bounds import MAX_SHORT_SIDE, RESOLUTIONS
from .camera import Camera, scale_correction
from .errors import ConfigError
from .exif import camera_from_exif
from .model.border import RimFree
from .model.device import pick_device, pick_precision
from .model.engine import CPUEngine
from .model.image_processing import GLPNImageProcessor
from .model.modeling import GLPNForDepthEstimation
from .model.pretrained import load_located
from .model.working_image import native_size, resize_depth, resize_photo, to_pixel_values, working_size
from .photo import Photo, load_photo
from .prediction import DepthPrediction
from .zoo import DEFAULT, ModelSpec, Zoo

PhotoSource = str | PathLike[str] | bytes | Image.Image | np.ndarray | Tensor | Photo
FAST_SCALE = 2 / 3
Elsewhere = Callable[[np.ndarray, bool], list[np.ndarray]]


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
        engine: str = "pytorch",
        notices: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.notices = tuple(notices)
        self._elsewhere: Elsewhere | None = None
        self.device = pick_device(device)
        self.precision = pick_precision(precision, device=self.device)
        self.model = model.to(self.device).eval()
        self.processor = processor
        # Whether the photo is only resized and brought to 0…1, which is done in one pass.
        self._plain = replace(processor, do_resize=True, size_divisor=32) == GLPNImageProcessor()
        if not processor.do_resize:
            self.notices += (
                "The checkpoint's preprocessor_config.json asks for no resizing (do_resize: false), but photos are "
                'resized here. resolution="native" stays nearest to their own size.',
            )
        # Both forms continue the decoder's maps beyond the border (see `model.border`), unlike the model itself.
        on_cpu = self.device == "cpu"
        self._network = (
            CPUEngine(self.model, engine=engine, precision=self.precision, rim_free=True)
            if on_cpu
            else RimFree(self.model)
        )

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
        correct_scale   multiply by the focal-length correction (see `camera.scale_correction`); None does so
                        where the focal length is known and the model's `camera.correct_focal` says that it helps

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
            batch = np.stack([self._pixels(loaded[index], size) for index in indices])
            depths, engine = self.infer(batch, flip_average)
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
                    engine=engine,
                    flip_averaged=flip_average,
                    rim_free=True,
                    notes=(*self.notices, *photo.notes, *notes),
                    photo=photo,
                )
        return [predictions[index] for index in range(len(loaded))]

    def elsewhere(self, network: Elsewhere, *, device: str) -> "DepthEstimator":
        """Return an estimator like this one whose network runs in another process or on another machine.

        network   takes (B, 3, h, w) float32 and whether to average with the mirror image; gives B × (h, w) metres
        device    what predictions name as theirs
        """
        other = copy(self)
        other._elsewhere, other.device = network, device
        return other

    def working_size(self, size: tuple[int, int], resolution: str | int = "standard") -> tuple[int, int]:
        """Return the (height, width) at which the network sees a photo of `size` (height, width)."""
        divisor = math.lcm(self.processor.size_divisor, self.model.config.stride)
        if resolution == "native":
            return native_size(size, divisor)
        if resolution == "standard":
            short_side = self.spec.working_short_side
        elif resolution == "fast":
            short_side = round(self.spec.working_short_side * FAST_SCALE)
        elif (
            isinstance(resolution, int) and not isinstance(resolution, bool) and divisor <= resolution <= MAX_SHORT_SIDE
        ):
            short_side = resolution
        else:
            raise ConfigError(
                f"Unknown resolution {resolution!r}. Give {', '.join(RESOLUTIONS)}, or the short side in pixels "
                f"({divisor} to {MAX_SHORT_SIDE})."
            )
        return working_size(size, short_side=short_side, divisor=divisor)

    def _load(self, photo: PhotoSource, resolution: str | int) -> Photo:
        if isinstance(photo, Photo):
            return photo
        # A JPEG is decoded at a fraction of its size where the network would only shrink it again.
        return load_photo(photo, at_least=lambda size: self.working_size(size, resolution))

    def _pixels(self, photo: Photo, size: tuple[int, int]) -> np.ndarray:
        """Return (3, h, w) float32: 0 to 1, unless the checkpoint's own preprocessor_config.json asks for else."""
        if self._plain:
            return to_pixel_values(photo.rgb, size)
        pixels = resize_photo(photo.rgb, size, self.processor.resample)
        return np.ascontiguousarray(self.processor.scaled(pixels), dtype=np.float32)

    def infer(self, pixel_values: np.ndarray, flip_average: bool = False) -> tuple[list[np.ndarray], str]:
        """Return the depth (h, w) float32, metres, of each photo of a batch (B, 3, h, w), and the engine's name.

        The batch is float32, 0 to 1, at a working size.
        """
        if self._elsewhere is not None:
            return self._elsewhere(pixel_values, flip_average), "pytorch"
        x = torch.from_numpy(pixel_values).to(self.device)
        if flip_average:
            x = torch.cat((x, x.flip(-1)))
        # The fast form mixes precisions itself; on a GPU autocast does.
        mixed = self.device != "cpu" and self.precision != "float32"
        autocast = torch.autocast(self.device, getattr(torch, self.precision)) if mixed else nullcontext()
        with torch.inference_mode(), autocast:
            if isinstance(self._network, CPUEngine):
                depth, engine = self._network(x)
            else:
                depth, engine = self._network(x), "pytorch"
            if flip_average:
                straight, mirrored = depth.chunk(2)
                depth = (straight + mirrored.flip(-1)) / 2
        return list(depth.float().cpu().numpy()), engine

    def _camera(self, photo: Photo, camera: Camera | None) -> tuple[Camera, tuple[str, ...]]:
        if camera is not None:
            return camera.resized(photo.size), ()
        from_exif, notes = camera_from_exif(photo.exif, photo.size)
        return from_exif or Camera.assumed_like(self.spec.camera.fx_over_width, photo.size), notes

    def _scale(self, camera: Camera, size: tuple[int, int], correct_scale: bool | None) -> float:
        unasked = self.spec.camera.correct_focal and not camera.assumed
        if not (unasked if correct_scale is None else correct_scale):
            return 1.0
        return scale_correction(camera, size, self.spec.camera.fx_px)


def load_estimator(
    name: str | PathLike[str] = DEFAULT,
    *,
    device: str = "auto",
    precision: str = "float32",
    engine: str = "pytorch",
    zoo: Zoo | None = None,
    **hub: Unpack[HubKeywords],
) -> DepthEstimator:
    """Load a model by variant id, Hub repository (`"owner/name"` or `"owner/name@revision"`) or checkpoint folder.

    Args:
        name: what to load.
        device: "auto" (CUDA, then MPS, then CPU) or PyTorch's name of one.
        precision: "float32"; or, for depth that differs a little, "bfloat16", "float16" (GPU), or "auto", the fastest
            of them here.
        engine: on a CPU "pytorch", "openvino", or "auto": OpenVINO for sizes that repeat, where it is installed and
            faster.
        zoo: the variants that `name` may mean; None is the packaged manifest.
        **hub: `revision`, `cache_dir`, `token`, `local_files_only`, `progress` and `cancelled`, as in `HubAccess`.

    Raises:
        UnknownModel: no variant, repository or folder has that name.
        VariantNotTrained: the variant has an encoder, and no trained depth decoder.
        HubError: a download failed; the message states the cause and what to do.
        ConfigError, CheckpointError: the files are not a GLPN's, or a setting is unknown.
        Cancelled: `cancelled` returned True.
    """
    from .zoo.locate import locate

    found = locate(name, zoo=Zoo.load() if zoo is None else zoo, access=HubAccess(**hub))
    model = load_located(GLPNForDepthEstimation, found)
    processor = GLPNImageProcessor.from_file(found.preprocessor) if found.preprocessor else GLPNImageProcessor()
    return DepthEstimator(
        model,
        processor,
        spec=found.spec,
        device=device,
        precision=precision,
        engine=engine,
        notices=found.notices,
    )
