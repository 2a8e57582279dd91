"""The processor against transformers' own, and the estimator's pure functions by their properties."""

import json
import math
import pickle
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor
from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

from glpn import hub
from glpn.access import HubAccess
from glpn.errors import CheckpointError, ConfigError, HubError, PhotoError, PhotoUnreadable, VariantNotTrained
from glpn.model.image_processing import GLPNFeatureExtractor, GLPNImageProcessor
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.working_image import (
    MAX_ASPECT,
    MAX_NATIVE_PIXELS,
    native_size,
    resize_depth,
    to_pixel_values,
    working_size,
)

TOLERANCE = 1e-6
RNG = np.random.default_rng(7)
HWC = RNG.integers(0, 256, (75, 101, 3), dtype=np.uint8)
UNIT = (HWC / 255).astype(np.float32)
INPUTS = {
    "PIL": Image.fromarray(HWC),
    "uint8 HWC": HWC,
    "uint8 CHW": HWC.transpose(2, 0, 1),
    "torch uint8 CHW": torch.from_numpy(HWC).permute(2, 0, 1),
    "torch uint8 HWC": torch.from_numpy(HWC),
    "float32 in 0..1": UNIT,
    "float32 CHW in 0..1": UNIT.transpose(2, 0, 1),
    "float64 in 0..1": RNG.random((75, 101, 3)),
    "float16 in 0..1": UNIT.astype(np.float16),
    "torch float in 0..1": torch.from_numpy(UNIT).permute(2, 0, 1),
    "float32 in 0..255": HWC.astype(np.float32),
    "float32 of 0 and 1": (HWC > 99).astype(np.float32),
    "bool": HWC > 99,
    "int64": HWC.astype(np.int64),
    "uint16 in 0..255": HWC.astype(np.uint16),
    "batch array": np.stack([HWC, 255 - HWC]),
    "batch tensor": torch.from_numpy(np.stack([HWC, 255 - HWC])).permute(0, 3, 1, 2),
    "list of PIL": [Image.fromarray(HWC), Image.fromarray(255 - HWC)],
    "list of arrays": [HWC, UNIT],
    "tuple of tensors": (torch.from_numpy(HWC), torch.from_numpy(HWC)),
    "nested lists": [[HWC], [HWC, HWC]],
    "list of batches": [np.stack([HWC, HWC])],
}
SETTINGS = {
    "default": {},
    "no resize": {"do_resize": False},
    "no rescale": {"do_rescale": False},
    "neither": {"do_resize": False, "do_rescale": False},
    "divisor 16": {"size_divisor": 16},
    "divisor 1": {"size_divisor": 1},
    "factor": {"rescale_factor": 0.5},
    **{f"resample {kind.name.lower()}": {"resample": kind} for kind in Image.Resampling},
}


def assert_same(ours: object, theirs: object) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=0, atol=TOLERANCE)


# --- parity


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("images", INPUTS.values(), ids=INPUTS)
def test_pixel_values_are_those_of_transformers(images: object, options: dict) -> None:
    ours = GLPNImageProcessor(**options)(images, return_tensors="pt")
    theirs = GLPNImageProcessorPil(**options)(images, return_tensors="pt")
    assert_same(ours.pixel_values, theirs.pixel_values)
    override = GLPNImageProcessor().preprocess(images, return_tensors="np", **options)
    assert isinstance(override["pixel_values"], np.ndarray)
    assert_same(override["pixel_values"], theirs.pixel_values)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "1", "P", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("options", [{}, {"do_resize": False}], ids=["resize", "no resize"])
def test_other_modes_are_those_of_transformers_told_to_convert(mode: str, options: dict) -> None:
    image = Image.fromarray(np.dstack((HWC, HWC[..., :1]))).convert(mode)
    ours = GLPNImageProcessor(**options)(image, return_tensors="np")
    theirs = GLPNImageProcessorPil(**options)(image, do_convert_rgb=True, return_tensors="np")
    assert_same(ours.pixel_values, theirs.pixel_values)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("first", [False, True])
def test_arrays_of_other_channels_are_those_of_transformers_told_to_convert(
    channels: int, kind: type, first: bool
) -> None:
    image = np.dstack((HWC, HWC[..., :1]))[..., -channels:].astype(kind) / (255 if kind is not np.uint8 else 1)
    image = np.moveaxis(image.astype(kind), -1, 0 if first else -1)
    ours = GLPNImageProcessor()(image, return_tensors="np")
    theirs = GLPNImageProcessorPil()(image, do_convert_rgb=True, return_tensors="np")
    assert_same(ours.pixel_values, theirs.pixel_values)


@settings(deadline=None, max_examples=40)
@given(st.integers(32, 200), st.integers(32, 200), st.sampled_from([8, 32]), st.sampled_from(list(Image.Resampling)))
def test_parity_at_any_size(height: int, width: int, divisor: int, resample: int) -> None:
    image = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    options = {"size_divisor": divisor, "resample": resample, "return_tensors": "np"}
    ours, theirs = GLPNImageProcessor()(image, **options), GLPNImageProcessorPil()(image, **options)
    assert_same(ours.pixel_values, theirs.pixel_values)


def test_layout_can_be_told() -> None:
    image = HWC[:3]  # (3, 101, 3): both layouts fit
    for layout in ("channels_first", "channels_last"):
        options = {"input_data_format": layout, "do_resize": False, "return_tensors": "np"}
        assert_same(
            GLPNImageProcessor()(image, **options).pixel_values, GLPNImageProcessorPil()(image, **options).pixel_values
        )
    assert GLPNImageProcessor()(image, do_resize=False)["pixel_values"][0].shape == (3, 101, 3)


def test_a_path_is_that_of_transformers(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    Image.fromarray(HWC).save(path, exif=exif)
    theirs = GLPNImageProcessorPil()(str(path), return_tensors="np")
    assert theirs.pixel_values.shape == (1, 3, 96, 64)
    assert_same(GLPNImageProcessor()(str(path), return_tensors="np").pixel_values, theirs.pixel_values)
    with Image.open(path) as opened:  # transformers would leave this one lying on its side
        assert_same(GLPNImageProcessor()(opened, return_tensors="np").pixel_values, theirs.pixel_values)


@pytest.mark.parametrize(
    "targets", [None, [(75, 101), (40, 30)], torch.tensor([[75, 101], [480, 640]]), [None, (9, 9)]]
)
def test_post_processing_is_that_of_transformers(targets: object) -> None:
    outputs = SimpleNamespace(predicted_depth=torch.rand(2, 64, 96, generator=torch.manual_seed(0)) * 10)
    ours = GLPNImageProcessor().post_process_depth_estimation(outputs, targets)
    if isinstance(targets, torch.Tensor):  # documented there, but fails
        targets = targets.tolist()
    theirs = GLPNImageProcessorPil().post_process_depth_estimation(outputs, targets)
    assert len(ours) == len(theirs) == 2
    for own, peer in zip(ours, theirs, strict=True):
        assert own.keys() == peer.keys() == {"predicted_depth"}
        assert torch.equal(own["predicted_depth"], peer["predicted_depth"])


def test_post_processing_wants_one_target_for_each_photo() -> None:
    outputs = SimpleNamespace(predicted_depth=torch.zeros(2, 4, 4))
    with pytest.raises(ConfigError, match="1 target_sizes for 2 photos"):
        GLPNImageProcessor().post_process_depth_estimation(outputs, [(4, 4)])


# --- what transformers can't do


@pytest.mark.parametrize("size", [(1, 1), (31, 20), (1, 5000), (70, 5)])
def test_a_short_side_becomes_one_divisor(size: tuple[int, int]) -> None:
    pixels = GLPNImageProcessor()(Image.new("RGB", size[::-1], "white"), return_tensors="np").pixel_values
    assert pixels.shape == (1, 3, *(max(side // 32, 1) * 32 for side in size))
    assert pixels.min() == 1


def test_16_bit_and_gray() -> None:
    deep = HWC[..., 0].astype(np.uint16) * 257
    expected = GLPNImageProcessor()(HWC[..., 0], return_tensors="np").pixel_values
    assert expected.shape == (1, 3, 64, 96)
    for image in (deep, Image.fromarray(deep), np.dstack([deep] * 3), Image.fromarray(HWC[..., 0]), HWC[..., :1]):
        np.testing.assert_array_equal(GLPNImageProcessor()(image, return_tensors="np").pixel_values, expected)


def test_floats_of_0_to_255_that_are_not_whole() -> None:
    pixels = GLPNImageProcessor()(HWC * np.float32(0.999), return_tensors="np").pixel_values
    assert np.abs(pixels - GLPNImageProcessor()(HWC, return_tensors="np").pixel_values).max() < 2 / 255


@pytest.mark.parametrize("shape", [(75, 101, 2), (2, 75, 101)])
def test_gray_with_opacity(shape: tuple[int, ...]) -> None:
    clear = np.zeros(shape, np.uint8)
    assert GLPNImageProcessor()(clear, return_tensors="np").pixel_values.min() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.5, 70000])
def test_values_that_are_no_photos(value: float) -> None:
    image = UNIT.copy()
    image[3, 4, 1] = value
    with pytest.raises(PhotoUnreadable, match="Give integers from 0 to 255"):
        GLPNImageProcessor()(image)


def test_double_rescaling_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    GLPNImageProcessor()(UNIT)
    assert "do_rescale=False" in caplog.text
    caplog.clear()
    GLPNImageProcessor()(UNIT, do_rescale=False)
    assert caplog.text == ""


# --- the result


def test_the_result_is_used_like_a_batch_feature() -> None:
    inputs = GLPNImageProcessor()([HWC, HWC], return_tensors="pt")
    assert inputs["pixel_values"] is inputs.pixel_values
    assert list(inputs) == ["pixel_values"] == GLPNImageProcessor.model_input_names
    assert (lambda pixel_values: pixel_values.shape)(**inputs) == (2, 3, 64, 96)
    assert inputs.to("cpu") is inputs
    assert inputs.to(torch.float64).pixel_values.dtype == torch.float64
    assert torch.equal(pickle.loads(pickle.dumps(inputs)).pixel_values, inputs.pixel_values)
    with pytest.raises(AttributeError, match="labels"):
        _ = inputs.labels


def test_without_return_tensors_sizes_may_differ() -> None:
    images = [HWC, HWC[:40]]
    pixels = GLPNImageProcessor()(images).pixel_values
    assert [array.shape for array in pixels] == [(3, 64, 96), (3, 32, 96)]
    with pytest.raises(PhotoError, match=r"\(64, 96\) and \(32, 96\).*return_tensors=None"):
        GLPNImageProcessor()(images, return_tensors="pt")


@pytest.mark.parametrize("images", [[], [None], 3, [[]], "nowhere.jpg"])
def test_not_images(images: object) -> None:
    with pytest.raises(PhotoError):
        GLPNImageProcessor()(images, return_tensors="pt")


# --- settings and files


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("do_resize", "yes"),
        ("do_rescale", 1),
        ("size_divisor", 0),
        ("size_divisor", 32.0),
        ("size_divisor", True),
        ("resample", 6),
        ("resample", "bilinear"),
        ("rescale_factor", float("nan")),
        ("rescale_factor", "1/255"),
    ],
)
def test_bad_settings_are_named(name: str, value: object) -> None:
    for call in (
        lambda **options: GLPNImageProcessor(**options),
        lambda **options: GLPNImageProcessor()(HWC, **options),
    ):
        with pytest.raises(ConfigError, match=f"^{name} is "):
            call(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("return_tensors", "tf"), ("input_data_format", "HWC")])
def test_bad_call_options_are_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is '{value}'"):
        GLPNImageProcessor()(HWC, **{name: value})


def test_unknown_keywords_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="size_divisior"):
        GLPNImageProcessor(size_divisior=32)
    with pytest.raises(ConfigError, match="size_divisior"):
        GLPNImageProcessor()(HWC, size_divisior=32)


def test_transformers_loads_what_we_save_and_the_reverse(tmp_path: Path) -> None:
    options = {"do_resize": False, "size_divisor": 16, "resample": 3, "do_rescale": False, "rescale_factor": 0.25}
    ours = GLPNImageProcessor(**options)
    assert ours.save_pretrained(tmp_path / "new" / "ours") == [
        str(tmp_path / "new" / "ours" / "preprocessor_config.json")
    ]
    GLPNImageProcessorPil(**options).save_pretrained(tmp_path / "theirs")
    files = [tmp_path / "new" / "ours", tmp_path / "theirs"]
    assert len({(folder / "preprocessor_config.json").read_text() for folder in files}) == 1
    for load in (
        GLPNImageProcessorPil.from_pretrained,
        lambda folder: AutoImageProcessor.from_pretrained(folder, backend="pil"),
    ):
        peer = load(tmp_path / "new" / "ours")
        assert isinstance(peer, GLPNImageProcessorPil)
        assert {name: getattr(peer, name) for name in options} == options
    assert GLPNImageProcessor.from_pretrained(tmp_path / "theirs") == ours
    assert GLPNImageProcessor.from_pretrained(tmp_path / "theirs" / "preprocessor_config.json") == ours
    assert GLPNImageProcessor.from_pretrained(str(tmp_path / "theirs"), do_resize=True).do_resize is True
    assert [file.name for file in files[0].iterdir()] == ["preprocessor_config.json"]


def test_obsolete_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    values = {
        "feature_extractor_type": "GLPNFeatureExtractor",
        "do_normalize": None,
        "resample": None,
        "size_divisor": 64,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    assert GLPNImageProcessor.from_pretrained(tmp_path) == GLPNImageProcessor(size_divisor=64)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, CheckpointError),
        ("", ConfigError),
        ("[1]", ConfigError),
        ("\xff", ConfigError),
        ('{"resample": 9}', ConfigError),
    ],
)
def test_bad_files(text: str | None, error: type[Exception], tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "preprocessor_config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(error):
        GLPNImageProcessor.from_pretrained(tmp_path)


def test_a_repository_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    GLPNImageProcessor(size_divisor=64).save_pretrained(tmp_path)
    calls = []

    def fetch(repo_id: str, filename: str, access: HubAccess) -> Path:
        calls.append((repo_id, filename, access))
        return tmp_path / filename

    monkeypatch.setattr(hub, "fetch", fetch)
    options = {"revision": "abc", "cache_dir": tmp_path, "token": "t", "local_files_only": True}
    processor = GLPNImageProcessor.from_pretrained("vinvino02/glpn-nyu", **options)
    assert processor.size_divisor == 64
    assert calls == [("vinvino02/glpn-nyu", "preprocessor_config.json", HubAccess(**options))]


def test_a_variant_of_the_zoo_has_its_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert GLPNImageProcessor.from_pretrained("rooms-b0") == GLPNImageProcessor()
    (tmp_path / "m").mkdir()
    GLPNImageProcessor(size_divisor=64).save_pretrained(tmp_path / "m")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert GLPNImageProcessor.from_pretrained("~/m").size_divisor == 64
    with pytest.raises(VariantNotTrained, match="nyu-b0"):
        GLPNImageProcessor.from_pretrained("nyu-b0")


@pytest.mark.parametrize("load", [GLPNImageProcessor.from_pretrained, GLPNForDepthEstimation.from_pretrained])
def test_a_mistyped_folder_is_said_to_be_none(load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="There is no folder 'models/my-glpn' on this machine either"):
        load("models/my-glpn", cache_dir=tmp_path)


def test_the_feature_extractor_warns_once_and_is_the_processor(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="Use GLPNImageProcessor") as caught:
        extractor = GLPNFeatureExtractor(size_divisor=16)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = extractor(HWC, return_tensors="np")
    assert_same(result.pixel_values, GLPNImageProcessor(size_divisor=16)(HWC, return_tensors="np").pixel_values)
    extractor.save_pretrained(tmp_path)
    with pytest.warns(FutureWarning):
        assert GLPNFeatureExtractor.from_pretrained(tmp_path).size_divisor == 16
    assert GLPNImageProcessor.from_pretrained(tmp_path).size_divisor == 16


# --- pure functions of the estimator

sides = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((480, 640), 480, (480, 640)),
        ((3000, 4000), 480, (480, 640)),
        ((4000, 3000), 480, (640, 480)),
        ((48, 64), 480, (480, 640)),
        ((375, 1242), 352, (352, 1152)),
        ((1, 1), 480, (480, 480)),
        ((1, 5000), 480, (32, 1920)),
        ((500, 5000), 480, (192, 1920)),
        ((480, 640), 500, (512, 672)),
    ],
)
def test_working_size_examples(size: tuple[int, int], short_side: int, expected: tuple[int, int]) -> None:
    assert working_size(size, short_side=short_side) == expected


@given(sides, sides, st.integers(32, 1024))
def test_working_size_properties(height: int, width: int, short_side: int) -> None:
    h, w = working_size((height, width), short_side=short_side)
    assert h % 32 == w % 32 == 0
    assert min(h, w) >= 32
    assert max(h, w) <= MAX_ASPECT * short_side + 16
    assert working_size((width, height), short_side=short_side) == (w, h)
    if min(h, w) > 32 and max(height, width) <= MAX_ASPECT * min(height, width):
        assert abs(min(h, w) - short_side) <= 16
        assert (
            abs(math.log((h / w) / (height / width)))
            < 2 * math.log((short_side + 16) / max(short_side - 16, 16)) + 1e-9
        )


@given(sides, sides, st.sampled_from([100_000, MAX_NATIVE_PIXELS]))
def test_native_size_properties(height: int, width: int, max_pixels: int) -> None:
    h, w = native_size((height, width), max_pixels=max_pixels)
    assert h % 32 == w % 32 == 0
    assert min(h, w) >= 32
    assert h * w <= max_pixels
    if height * width <= max_pixels and min(height, width) >= 32:
        assert (h, w) == (height // 32 * 32, width // 32 * 32)


@pytest.mark.parametrize(
    ("size", "expected"), [((1, 1), (32, 32)), ((1, 5000), (32, 4992)), ((1, 10**8), (32, 131072))]
)
def test_native_size_examples(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert native_size(size) == expected


def test_pixel_values_are_antialiased() -> None:
    checkers = np.where(np.indices((640, 640)).sum(0)[..., None] % 2, 255, 0).astype(np.uint8).repeat(3, -1)
    pixels = to_pixel_values(checkers, (64, 96))
    assert pixels.shape == (3, 64, 96)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert np.abs(pixels - 0.5).max() < 0.02
    np.testing.assert_allclose(to_pixel_values(HWC, HWC.shape[:2]), HWC.transpose(2, 0, 1) / 255, atol=1e-7)
    assert torch.from_numpy(pixels).is_contiguous()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90))
def test_resized_depth_does_not_overshoot(h: int, w: int, height: int, width: int) -> None:
    depth = np.random.default_rng(h + 100 * w).random((h, w), np.float32) * 10
    resized = resize_depth(depth, (height, width))
    assert resized.shape == (height, width)
    assert resized.dtype == np.float32
    assert resized.min() >= depth.min() - 1e-5
    assert resized.max() <= depth.max() + 1e-5
    flat = resize_depth(np.full((h, w), 3.5, np.float32), (height, width))
    np.testing.assert_allclose(flat, 3.5, rtol=1e-6)


def test_resized_depth_is_its_own_array() -> None:
    depth = RNG.random((480, 640), np.float32)
    same = resize_depth(depth, (480, 640))
    assert not np.shares_memory(same, depth)
