"""Photos to what the network sees, and the network's depth back to the photo's size.

`GLPNImageProcessor` gives transformers' numbers, for scripts that were written for transformers. The estimator uses the
functions at the end of this file, which keep the aspect and bound the memory.
"""

import json
import logging
import math
import warnings
from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .errors import CheckpointError, ConfigError, PhotoError, PhotoUnreadable
from .files import write_atomically
from .photo import load_photo, tensor_to_array, to_channels_last

PREPROCESSOR = "preprocessor_config.json"
# Whole-photo inference keeps several (64, H, W) float32 maps; at 4 megapixels one is 1 GB.
MAX_NATIVE_PIXELS = 4_194_304
# The longest photo, long side over short side, that gets the full short side; a longer one is shrunk until it fits.
MAX_ASPECT = 4

logger = logging.getLogger(__name__)


class BatchFeature(UserDict[str, Any]):
    """What a processor returns: a dict whose entries are attributes too, and that `**` hands to a model."""

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name not in self.data:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return self.data[name]

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the tensors to a device, or cast them to a dtype, in place; arguments as for `torch.Tensor.to`."""
        for name, value in self.data.items():
            if isinstance(value, Tensor):
                self.data[name] = value.to(*args, **kwargs)
        return self


@dataclass(kw_only=True)
class GLPNImageProcessor:
    """Make pixel values of photos, with the arguments and the results of transformers' `GLPNImageProcessorPil`.

    do_resize         shrink so that both sides are multiples of `size_divisor`
    size_divisor      32, the network's stride
    resample          number of a Pillow filter; 2 is bilinear
    do_rescale        multiply by `rescale_factor`; nothing else is normalised
    rescale_factor    1/255 brings 8-bit values to 0…1

    Where transformers fails, or gives the network something else than an upright RGB photo, this does what is meant:

    - A side shorter than `size_divisor` becomes `size_divisor` (transformers: 0, an error).
    - Grey, palette, 1-bit, 16-bit and CMYK pictures become RGB and transparency is laid on white, as transformers does
      for most when told `do_convert_rgb=True`. An array may also be (H, W).
    - The EXIF orientation of a Pillow image is applied (transformers: only that of a path).
    - Arrays of 16-bit integers, or of floats in 0…255 that are not whole, are resized (transformers: an error).

    As there, values that are 0…1 already are multiplied by `rescale_factor` too: pass `do_rescale=False` for them.
    Raises `ConfigError` for a setting that can't be.
    """

    do_resize: bool = True
    size_divisor: int = 32
    resample: int = Image.Resampling.BILINEAR
    do_rescale: bool = True
    rescale_factor: float = 1 / 255

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __post_init__(self) -> None:
        for name in ("do_resize", "do_rescale"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}. Give True or False.")
        divisor, factor = self.size_divisor, self.rescale_factor
        if isinstance(divisor, bool) or not isinstance(divisor, int) or not 1 <= divisor <= 4096:
            raise ConfigError(f"size_divisor is {divisor!r}. Give an integer from 1 to 4096, usually 32.")
        if isinstance(self.resample, bool) or self.resample not in tuple(Image.Resampling):
            known = ", ".join(f"{kind.value} ({kind.name.lower()})" for kind in sorted(Image.Resampling))
            raise ConfigError(f"resample is {self.resample!r}. Known: {known}.")
        self.resample = int(self.resample)
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
            raise ConfigError(f"rescale_factor is {factor!r}. Give a number, usually 1/255.")

    def __call__(self, images: Any, return_tensors: str | None = None, **overrides: Any) -> BatchFeature:
        """Call `preprocess`."""
        return self.preprocess(images, return_tensors, **overrides)

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        *,
        do_resize: bool | None = None,
        size_divisor: int | None = None,
        resample: int | None = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        input_data_format: str | None = None,
    ) -> BatchFeature:
        """Return `pixel_values` of one photo or many: (3, h, w) each, float32 (or as given, if nothing is rescaled).

        images               Pillow image, path, NumPy array or torch tensor of (H, W), (H, W, C) or (C, H, W), a list
                             of these, or a batch (B, …); C is 1 to 4, and (C, H, W) is taken where both fit
        return_tensors       None gives a list of arrays, "np" one array (B, 3, h, w), "pt" one tensor
        input_data_format    "channels_first" or "channels_last" settles the layout of all arrays
        others               override the processor's own settings for this call; None leaves them

        Raises `PhotoError` for a photo that can't be used or for sizes that can't be one batch, `ConfigError` for a
        setting that can't be.
        """
        overrides = {
            "do_resize": do_resize,
            "size_divisor": size_divisor,
            "resample": resample,
            "do_rescale": do_rescale,
            "rescale_factor": rescale_factor,
        }
        own = asdict(self) | {name: value for name, value in overrides.items() if value is not None}
        settings = GLPNImageProcessor(**own)
        if return_tensors not in (None, "np", "pt"):
            raise ConfigError(f"return_tensors is {return_tensors!r}. Known: None, 'np', 'pt'.")
        if input_data_format not in (None, "channels_first", "channels_last"):
            raise ConfigError(f"input_data_format is {input_data_format!r}. Known: 'channels_first', 'channels_last'.")
        pixel_values = []
        for image in _each(images):
            pixels = channels_first_rgb(image, input_data_format)
            if settings.do_rescale and pixels.dtype.kind == "f" and pixels.max() <= 1:
                logger.warning("The image has values of 0 to 1 already, and is rescaled. Is do_rescale=False meant?")
            if settings.do_resize:
                pixels = resize_to_multiple(pixels, settings.size_divisor, settings.resample)
            pixel_values.append(rescale(pixels, settings.rescale_factor) if settings.do_rescale else pixels)
        if return_tensors is None:
            return BatchFeature(pixel_values=pixel_values)
        sizes = list(dict.fromkeys(pixels.shape[1:] for pixels in pixel_values))
        if not sizes:
            raise PhotoError("There are no images. Give at least one.")
        if len(sizes) > 1:
            raise PhotoError(
                f"Photos of {len(sizes)} sizes, such as {sizes[0]} and {sizes[1]}, can't be one batch. Give them one "
                "by one, make them equal first, or ask for return_tensors=None."
            )
        batch = np.stack(pixel_values)
        return BatchFeature(pixel_values=torch.from_numpy(batch) if return_tensors == "pt" else batch)

    def post_process_depth_estimation(
        self, outputs: Any, target_sizes: Tensor | Sequence[tuple[int, int] | None] | None = None
    ) -> list[dict[str, Tensor]]:
        """Return `{"predicted_depth": (H, W) tensor}` of each photo, metres, resized to its (height, width) target.

        As in transformers the resize is bicubic, which overshoots at depth edges: values may lie a little outside
        [0, max_depth]. `resize_depth` does not. Raises `ConfigError` if the targets are not as many as the photos.
        """
        depths: Tensor = outputs.predicted_depth
        targets = [None] * len(depths) if target_sizes is None else list(target_sizes)
        if len(targets) != len(depths):
            raise ConfigError(f"There are {len(targets)} target_sizes for {len(depths)} photos. Give one for each.")
        results = []
        for depth, target in zip(depths, targets, strict=True):
            if target is not None:
                height, width = (int(side) for side in target)
                depth = F.interpolate(depth[None, None], size=(height, width), mode="bicubic", align_corners=False)[
                    0, 0
                ]
            results.append({"predicted_depth": depth})
        return results

    @classmethod
    def from_pretrained(
        cls,
        repo_or_folder: str | PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | PathLike[str] | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Read preprocessor_config.json of a folder or a Hub repository (or that file itself); `overrides` win over it.

        Raises `CheckpointError` if the folder has none, `ConfigError` for a bad value, `HubError` if a download fails.
        """
        path = Path(repo_or_folder)
        if path.is_dir():
            path /= PREPROCESSOR
        elif not path.is_file():
            from .hub import fetch  # only repositories need the network code

            path = fetch(
                str(repo_or_folder),
                PREPROCESSOR,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
            )
        return cls.from_file(path, **overrides)

    @classmethod
    def from_file(cls, path: Path, **overrides: Any) -> Self:
        """Read a preprocessor_config.json; `overrides` win over it."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(f"{path.parent} has no {path.name}. Save the processor there, too.") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} can't be read as JSON ({error}). Copy or download it again.") from None
        return cls.from_dict(values, **overrides)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build a processor from a parsed preprocessor_config.json; keys that it doesn't know, or null, are ignored."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"A processor's settings are {type(values).__name__}. Give a JSON object.")
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known and value is not None} | overrides)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and the class name by which transformers finds its own processor."""
        return asdict(self) | {"image_processor_type": "GLPNImageProcessor"}

    def save_pretrained(self, folder: str | PathLike[str]) -> list[str]:
        """Write preprocessor_config.json, whole or not at all, into `folder`, made if need be; return its path."""
        path = Path(folder) / PREPROCESSOR
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n").encode())
        return [str(path)]


@dataclass(kw_only=True)
class GLPNFeatureExtractor(GLPNImageProcessor):
    """The old name of `GLPNImageProcessor`."""

    def __post_init__(self) -> None:
        warnings.warn(
            "GLPNFeatureExtractor is deprecated. Use GLPNImageProcessor, which is the same.",
            FutureWarning,
            stacklevel=3,
        )
        super().__post_init__()


def _each(images: Any) -> Iterator[Any]:
    """Yield the single images of one image, a batch array, or lists of either."""
    if isinstance(images, list | tuple):
        for image in images:
            yield from _each(image)
    elif isinstance(images, np.ndarray | Tensor) and images.ndim == 4:
        yield from images
    else:
        yield images


def channels_first_rgb(image: Any, input_data_format: str | None = None) -> np.ndarray:
    """Return an image as (3, H, W): of uint8 if it comes from Pillow or a file, else of the array's dtype and range.

    Raises `PhotoError`.
    """
    if isinstance(image, Tensor):
        image = tensor_to_array(image)
    if not isinstance(image, np.ndarray):
        return np.moveaxis(load_photo(image).rgb, -1, 0)
    if input_data_format is None or image.ndim != 3:
        image = to_channels_last(image, prefer_first=True)
    elif input_data_format == "channels_first":
        image = np.moveaxis(image, 0, -1)
    if not 1 <= image.shape[-1] <= 4:
        raise PhotoUnreadable(f"An image with {image.shape[-1]} channels is no photo. Expected 1 to 4.")
    if image.shape[-1] in (2, 4):
        image = _on_white(image)
    return np.moveaxis(np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image, -1, 0)


def _on_white(image: np.ndarray) -> np.ndarray:
    """Lay (H, W, C + 1), whose last channel is opacity, on white: (H, W, C) of the same dtype."""
    whole = np.issubdtype(image.dtype, np.integer)
    white = 1 if not whole and image.max() <= 1 else 255 if image.max() <= 255 else 65535
    opacity = image[..., -1:] / white
    blend = opacity * image[..., :-1] + (1 - opacity) * white
    return (np.round(blend) if whole else blend).astype(image.dtype)


def resize_to_multiple(image: np.ndarray, divisor: int = 32, resample: int = Image.Resampling.BILINEAR) -> np.ndarray:
    """Shrink `image` (C, H, W) so that both sides are multiples of `divisor`, at least one `divisor` long.

    The work is done in 8 bits, as in transformers: whole numbers in 0…255 come back as uint8, and floats in 0…1 as
    float32 in steps of 1/255. Raises `PhotoUnreadable` for values beyond those of 16 bits, negative, or no numbers.
    """
    levels, unit = _eight_bits(image)
    height, width = (max(side // divisor, 1) * divisor for side in image.shape[1:])
    photo = Image.fromarray(np.ascontiguousarray(np.moveaxis(levels, 0, -1)))
    resized = np.moveaxis(np.array(photo.resize((width, height), resample=Image.Resampling(resample))), -1, 0)
    return rescale(resized, 1 / 255) if unit else resized


def _eight_bits(image: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return `image` as uint8, and whether it was in 0…1, with the rounding of transformers where that has one."""
    if image.dtype == np.uint8:
        return image, False
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 65535):  # also if either is NaN
        raise PhotoUnreadable(
            f"The image has values from {low:g} to {high:g}. Give integers from 0 to 255 (or 65535), or floats from "
            "0 to 1."
        )
    if high > 255:
        return np.rint(image / 257).astype(np.uint8), False
    if np.allclose(image, image.astype(int)):
        return image.astype(np.uint8), False
    if high > 1:
        return np.rint(image).astype(np.uint8), False
    return rescale(image, 255).astype(np.uint8), True


def rescale(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply by `factor` in float64 and round to float32, as transformers does."""
    return (image.astype(np.float64) * factor).astype(np.float32)


def working_size(size: tuple[int, int], *, short_side: int, divisor: int = 32) -> tuple[int, int]:
    """Return the (height, width) at which a network should see a photo of `size` (height, width).

    The short side becomes `short_side`, larger or smaller than it was, and the aspect is kept; a photo longer than
    `MAX_ASPECT` : 1 is shrunk until its long side is `MAX_ASPECT * short_side`, so that memory is bounded. Then each
    side is rounded to the nearest multiple of `divisor`, at least one `divisor`.
    """
    scale = min(short_side / min(size), MAX_ASPECT * short_side / max(size))
    height, width = (max(math.floor(side * scale / divisor + 0.5), 1) * divisor for side in size)
    return height, width


def native_size(size: tuple[int, int], divisor: int = 32, max_pixels: int = MAX_NATIVE_PIXELS) -> tuple[int, int]:
    """Floor `size` (height, width) to multiples of `divisor`, at least one, after shrinking it to `max_pixels` or less.

    The aspect is kept, but for photos so long that their short side would be under `divisor`.
    """
    scale = min(1.0, math.sqrt(max_pixels / (size[0] * size[1])))
    height, width = (max(int(side * scale) // divisor, 1) * divisor for side in size)
    longest = max(max_pixels // (min(height, width) * divisor), 1) * divisor
    return min(height, longest), min(width, longest)


def to_pixel_values(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `rgb` (H, W, 3) uint8 to (height, width) `size` and return (3, height, width) float32, 0 to 1.

    Bilinear, which in Pillow averages all the pixels that one stands for when it shrinks.
    """
    height, width = size
    image = Image.fromarray(rgb)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)  # (3, height, width)
    return np.divide(pixels, 255, dtype=np.float32, order="C")


def resize_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `depth` (h, w) float32 to (height, width) `size`, bilinearly: no value is outside the range of `depth`."""
    if depth.shape == size:
        return depth.copy()
    tensor = torch.from_numpy(np.ascontiguousarray(depth))[None, None]
    shrinks = size[0] < depth.shape[0] or size[1] < depth.shape[1]
    return F.interpolate(tensor, size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0, 0].numpy()
