"""GLPNImageProcessor: photos to pixel values with transformers' numbers, for scripts written for transformers.

The estimator uses `working_image` instead, which keeps the aspect and bounds the memory.
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
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from typing_extensions import Self

from glpn.access import HubAccess
from glpn.errors import CheckpointError, ConfigError, PhotoError, PhotoUnreadable, printable
from glpn.files import write_atomically
from glpn.layout import PREPROCESSOR, Publishable, find_file, read_json, upload
from glpn.photo import load_photo, tensor_to_array, to_channels_last
from glpn.zoo import Zoo

CHANNEL_LAYOUTS = ("channels_first", "channels_last")

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


# Settings of transformers' processors that change nothing for GLPN, there or here: photos become RGB always, sizes come
# from `size_divisor`, and there is one implementation.
HARMLESS_SETTINGS = {
    "do_convert_rgb",
    "use_fast",
    "backend",
    "size",
    "default_to_square",
    "do_center_crop",
    "crop_size",
    "do_pad",
    "pad_size",
    "disable_grouping",
    "image_seq_length",
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
}


# A dataclass for the fields and their defaults; `__init__` is written out because transformers' takes more keywords.
@dataclass(init=False)
class GLPNImageProcessor(Publishable):
    """Make pixel values of photos, with the arguments and the results of transformers' `GLPNImageProcessorPil`.

    do_resize         shrink so that both sides are multiples of `size_divisor`
    size_divisor      32, the network's stride
    resample          number of a Pillow filter; 2 is bilinear
    do_rescale        multiply by `rescale_factor`
    rescale_factor    1/255 brings 8-bit values to 0…1
    do_normalize      subtract `image_mean` and divide by `image_std` (a number, or one for each channel); no published
                      GLPN does

    Where transformers fails, or gives the network something else than an upright RGB photo, this does what was probably
    intended:

    - A side shorter than `size_divisor` becomes `size_divisor` (transformers: 0, an error).
    - Gray, palette, 1-bit, 16-bit and CMYK pictures become RGB and transparency is laid on white, as transformers does
      for most when told `do_convert_rgb=True`. An array may also be (H, W).
    - The EXIF orientation of a Pillow image is applied (transformers: only that of a path).
    - Arrays of 16-bit integers, or of floats in 0…255 that are not whole, are resized (transformers: an error).

    As there, values that are 0…1 already are multiplied by `rescale_factor` too: pass `do_rescale=False` for them.
    Raises `ConfigError` for an invalid setting or one that transformers does not know.
    """

    do_resize: bool = True
    size_divisor: int = 32
    resample: int = Image.Resampling.BILINEAR
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = False
    image_mean: Any = None
    image_std: Any = None
    data_format: str = "channels_first"

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, **settings: Any) -> None:
        names = {one.name: one.default for one in fields(self)}
        unknown = settings.keys() - names.keys() - HARMLESS_SETTINGS
        if unknown:
            raise ConfigError(f"GLPNImageProcessor has no setting {printable(sorted(unknown)[0])}. Leave it out.")
        for name, default in names.items():
            value = settings.get(name)
            setattr(self, name, default if value is None else value)
        self.validate()

    def validate(self) -> None:
        """Raise `ConfigError` for an invalid setting."""
        for name in ("do_resize", "do_rescale", "do_normalize"):
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
        if self.do_normalize:
            _per_channel("image_mean", self.image_mean)
            if not _per_channel("image_std", self.image_std).all():
                raise ConfigError(f"image_std is {self.image_std!r}. Give numbers other than 0.")
        if self.data_format not in CHANNEL_LAYOUTS:
            raise ConfigError(f"data_format is {self.data_format!r}. Known: {', '.join(CHANNEL_LAYOUTS)}.")

    def __call__(self, images: Any, return_tensors: str | None = None, **overrides: Any) -> BatchFeature:
        """Call `preprocess`."""
        return self.preprocess(images, return_tensors, **overrides)

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        *,
        input_data_format: str | None = None,
        device: Any = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Return `pixel_values` of one photo or many: (3, h, w) each, float32 (or as given, if nothing is rescaled).

        images               Pillow image, path, NumPy array or torch tensor of (H, W), (H, W, C) or (C, H, W), a list
                             of these, or a batch (B, …); C is 1 to 4, and (C, H, W) is taken where both fit
        return_tensors       None gives a list of arrays, "np" one array (B, 3, h, w), "pt" one tensor
        input_data_format    "channels_first" or "channels_last" settles the layout of all arrays
        device               where a tensor goes
        overrides            the processor's own settings for this call; None leaves them. `data_format` is the layout
                             of the result

        Raises `PhotoError` for a photo that can't be used or for sizes that can't be one batch, `ConfigError` for an
        invalid setting.
        """
        settings = GLPNImageProcessor(**asdict(self) | {k: v for k, v in overrides.items() if v is not None})
        if return_tensors not in (None, "np", "pt"):
            raise ConfigError(f"return_tensors is {return_tensors!r}. Known: None, 'np', 'pt'.")
        if input_data_format not in (None, *CHANNEL_LAYOUTS):
            raise ConfigError(f"input_data_format is {input_data_format!r}. Known: {', '.join(CHANNEL_LAYOUTS)}.")
        pixel_values = []
        for image in _each(images):
            pixels = channels_first_rgb(image, input_data_format)
            if settings.do_rescale and pixels.dtype.kind == "f" and pixels.max() <= 1:
                logger.warning("The image has values of 0 to 1 already, and is rescaled. Is do_rescale=False meant?")
            if settings.do_resize:
                pixels = resize_to_multiple(pixels, settings.size_divisor, settings.resample)
            pixel_values.append(settings.scaled(pixels))
        if return_tensors is None:
            return BatchFeature(pixel_values=[settings.laid_out(pixels) for pixels in pixel_values])
        batch = settings.laid_out(_stack(pixel_values))
        return BatchFeature(pixel_values=torch.from_numpy(batch).to(device) if return_tensors == "pt" else batch)

    def scaled(self, pixels: np.ndarray) -> np.ndarray:
        """Rescale and normalize an image (3, H, W), as the settings ask."""
        pixels = rescale(pixels, self.rescale_factor) if self.do_rescale else pixels
        if self.do_normalize:
            mean, std = _per_channel("image_mean", self.image_mean), _per_channel("image_std", self.image_std)
            pixels = ((pixels - mean) / std).astype(np.float32)
        return pixels

    def laid_out(self, pixels: np.ndarray) -> np.ndarray:
        """Return (…, 3, H, W) in the layout of `data_format`."""
        return np.moveaxis(pixels, -3, -1) if self.data_format == "channels_last" else pixels

    def post_process_depth_estimation(
        self, outputs: Any, target_sizes: Tensor | Sequence[tuple[int, int] | None] | None = None
    ) -> list[dict[str, Tensor]]:
        """Return `{"predicted_depth": (H, W) tensor}` of each photo, metres, resized to its (height, width) target.

        As in transformers the resize is bicubic, which overshoots at depth edges: values may lie a little outside
        [0, max_depth]. `resize_depth` does not. Raises `ConfigError` if the targets are not as many as the photos.
        """
        depths: Tensor = outputs["predicted_depth"] if isinstance(outputs, Mapping) else outputs.predicted_depth
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
    def get_image_processor_dict(
        cls, source: str | PathLike[str], **keywords: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the content of preprocessor_config.json, not yet checked, and the keywords not about finding it."""
        access, rest = HubAccess.split(keywords)
        zoo = Zoo.load()
        if source in zoo:
            from glpn.zoo.locate import find_preprocessor  # here, because it brings the network code

            path = find_preprocessor(str(source), zoo=zoo, access=access)
        else:
            path = find_file(source, PREPROCESSOR, access)
        if path.parent.is_dir() and not path.is_file():
            raise CheckpointError(f"{printable(path.parent)} has no {path.name}. Save the processor there, too.")
        values = read_json(path)
        if not isinstance(values, dict):
            raise ConfigError(f"A processor's settings are {type(values).__name__}. Give a JSON object.")
        return values, rest

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | PathLike[str], **keywords: Any) -> Any:
        """Read preprocessor_config.json of a folder, a variant of the zoo or a Hub repository (or that file itself).

        keywords    how to find it (`revision`, `cache_dir`, `token`, `local_files_only`, `subfolder`), overrides of
                    settings, and `return_unused_kwargs`

        Raises `CheckpointError` if the folder has none, `ConfigError` for a bad value, `HubError` if a download fails.
        """
        values, rest = cls.get_image_processor_dict(pretrained_model_name_or_path, **keywords)
        return cls.from_dict(values, **rest)

    @classmethod
    def from_file(cls, path: Path, **overrides: Any) -> Self:
        """Read a preprocessor_config.json; `overrides` win over it."""
        return cls.from_pretrained(path.parent if path.name == PREPROCESSOR else path, **overrides)

    from_json_file = from_file

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, return_unused_kwargs: bool = False, **overrides: Any) -> Any:
        """Build a processor from a parsed preprocessor_config.json; keys that it doesn't know, or null, are ignored."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"A processor's settings are {type(values).__name__}. Give a JSON object.")
        known = {one.name for one in fields(cls)}
        unused = {name: overrides.pop(name) for name in list(overrides) if name not in known | HARMLESS_SETTINGS}
        if unused and not return_unused_kwargs:
            raise ConfigError(f"GLPNImageProcessor has no setting {printable(sorted(unused)[0])}. Leave it out.")
        kept = {name: value for name, value in values.items() if name in known and value is not None}
        processor = cls(**kept | overrides)
        return (processor, unused) if return_unused_kwargs else processor

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and the class name by which transformers finds its own processor."""
        additions = {"do_normalize": False, "image_mean": None, "image_std": None, "data_format": "channels_first"}
        settings = {name: value for name, value in asdict(self).items() if value != additions.get(name, self)}
        return settings | {"image_processor_type": "GLPNImageProcessor"}

    def to_json_string(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | PathLike[str]) -> None:
        """Write `to_json_string`, whole or not at all."""
        write_atomically(Path(json_file_path), self.to_json_string().encode())

    def save_pretrained(
        self, save_directory: str | PathLike[str], push_to_hub: bool = False, **keywords: Any
    ) -> list[str]:
        """Write preprocessor_config.json, whole or not at all, into a folder, made if need be; return its path.

        `push_to_hub` uploads the folder to `repo_id` (the folder's name if left out), with `token` and `private`.
        """
        folder = Path(save_directory).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        self.to_json_file(folder / PREPROCESSOR)
        if push_to_hub:
            upload(folder, **keywords)
        return [str(folder / PREPROCESSOR)]


@dataclass(init=False)
class GLPNFeatureExtractor(GLPNImageProcessor):
    """The old name of `GLPNImageProcessor`."""

    def __init__(self, **settings: Any) -> None:
        warnings.warn(
            "GLPNFeatureExtractor is deprecated. Use GLPNImageProcessor, which is the same.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(**settings)


def _per_channel(name: str, value: Any) -> np.ndarray:
    """Return a mean or deviation as (3, 1, 1) or (1, 1, 1) float32."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float32))
    except (TypeError, ValueError):
        numbers = np.empty(0, dtype=np.float32)
    if numbers.shape not in ((1,), (3,)) or not np.isfinite(numbers).all():
        raise ConfigError(f"{name} is {value!r}. Give a number, or one for each of the three channels.")
    return numbers[:, None, None]


def _stack(pixel_values: list[np.ndarray]) -> np.ndarray:
    sizes = list(dict.fromkeys(pixels.shape[1:] for pixels in pixel_values))
    if not sizes:
        raise PhotoError("There are no images. Give at least one.")
    if len(sizes) > 1:
        raise PhotoError(
            f"Photos of {len(sizes)} sizes, such as {sizes[0]} and {sizes[1]}, can't be one batch. Give them one "
            "by one, make them equal first, or ask for return_tensors=None."
        )
    return np.stack(pixel_values)


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
        raise PhotoUnreadable(f"An image with {image.shape[-1]} channels is not a photo. Expected 1 to 4.")
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
