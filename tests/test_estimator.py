"""From a photo to metres: the one path that command line, page and API share."""

import io
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from glpn.camera import Camera
from glpn.errors import ConfigError, PhotoError, PhotoTooLarge, UnknownModel
from glpn.estimator import DepthEstimator, load_estimator
from glpn.model.border import RimFree
from glpn.model.image_processing import GLPNImageProcessor


@pytest.fixture(scope="module")
def estimator():
    return load_estimator("rooms-b0", device="cpu")


@pytest.fixture(scope="module")
def photo():
    return skimage.data.coffee()  # (400, 600, 3) uint8


def jpeg(rgb, **options):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", **options)
    return file.getvalue()


def test_a_prediction_says_what_it_is(estimator, photo):
    prediction = estimator(photo)
    assert prediction.depth_m.shape == (400, 600)
    assert prediction.depth_m.dtype == np.float32
    assert 0 < prediction.depth_m.min() < prediction.depth_m.max() <= prediction.max_depth_m == 10
    assert prediction.variant == "rooms-b0"
    assert prediction.working_size == estimator.working_size((400, 600))
    assert min(prediction.working_size) == estimator.spec.working_short_side
    assert prediction.camera.assumed
    assert prediction.camera.size == (400, 600)
    assert prediction.scale == 1
    assert prediction.raw_depth_m is prediction.depth_m
    assert prediction.seconds > 0
    assert prediction.precision == "float32"
    assert prediction.device == "cpu"


def test_every_kind_of_photo_gives_the_same_depth(estimator, photo, tmp_path):
    path = tmp_path / "photo.png"
    image = Image.fromarray(photo)
    image.save(path)
    expected = estimator(photo).depth_m
    kinds = [path, str(path), path.read_bytes(), image, torch.from_numpy(photo.transpose(2, 0, 1).copy()), photo / 255]
    for kind in kinds:
        np.testing.assert_allclose(estimator(kind).depth_m, expected, atol=0.02)


def test_depth_is_that_of_the_network_without_its_rim(estimator, photo):
    """No step between photo and depth does more than resize: at its own size a photo gives the network's output."""
    small = np.asarray(Image.fromarray(photo).resize((160, 96)))
    prediction = estimator(small, resolution="native")
    assert prediction.working_size == (96, 160)
    pixels = torch.tensor(small).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = RimFree(estimator.model)(pixels)[0].numpy()
    np.testing.assert_allclose(prediction.depth_m, expected, atol=1e-4)
    assert prediction.rim_free


def test_depth_has_no_rim(estimator):
    """Over a few photos neighbours at each border differ no more than those inside; the plain network's do."""
    ours, plain = [], []
    for name in ("coffee", "astronaut", "chelsea", "rocket"):
        photo = np.asarray(Image.fromarray(getattr(skimage.data, name)()).resize((256, 192)))
        ours.append(rim(estimator(photo, resolution="native").depth_m))
        with torch.no_grad():
            depth = estimator.model(torch.tensor(photo).permute(2, 0, 1)[None] / 255).predicted_depth
        plain.append(rim(depth[0].numpy()))
    assert np.mean(ours, 0).max() <= 1
    assert np.mean(plain, 0).max() > 2


def rim(depth_m):
    """By how much neighbours at each border differ, in log depth, as a share of what they do 4 to 16 pixels inside."""
    logs = np.log(depth_m)
    sides = (logs, logs[::-1], logs.T, logs.T[::-1])
    steps = [np.abs(np.diff(side, axis=0)).mean(1) for side in sides]
    return [step[0] / step[4:16].mean() for step in steps]


def test_a_batch_agrees_with_its_singles_in_order(estimator, photo):
    photos = [photo, photo[:, ::-1], photo[:300, :200], photo[::-1]]
    together = estimator.estimate_batch(photos)
    for one, prediction in zip(photos, together, strict=True):
        np.testing.assert_allclose(prediction.depth_m, estimator(one).depth_m, atol=1e-4)


def test_flip_average_is_symmetric(estimator, photo):
    straight = estimator(photo, flip_average=True).depth_m
    mirrored = estimator(photo[:, ::-1], flip_average=True).depth_m
    np.testing.assert_allclose(straight, mirrored[:, ::-1], atol=1e-3)
    mean = (estimator(photo).depth_m + estimator(photo[:, ::-1]).depth_m[:, ::-1]) / 2
    np.testing.assert_allclose(straight, mean, atol=1e-3)


@pytest.mark.parametrize(
    ("resolution", "short_side"), [("standard", 1.0), ("fast", 2 / 3), (64, None), (224, None), ("native", None)]
)
def test_working_sizes_are_multiples_of_32_with_the_photos_aspect(estimator, resolution, short_side):
    height, width = estimator.working_size((480, 640), resolution)
    assert height % 32 == 0 == width % 32
    wanted = 480 if resolution == "native" else resolution if short_side is None else None
    wanted = wanted or short_side * estimator.spec.working_short_side
    assert abs(height - wanted) <= 16
    assert abs(width / height - 4 / 3) < 0.35


@pytest.mark.parametrize("resolution", ["huge", 0, -32, 31, 10_000, 64.5, True, None])
def test_an_unknown_resolution_is_refused(estimator, photo, resolution):
    with pytest.raises(ConfigError, match="resolution"):
        estimator(photo, resolution=resolution)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3))),
    st.sampled_from(["standard", "fast", "native"]),
)
def test_every_photo_of_a_pixel_or_more_works(estimator, rgb, resolution):
    prediction = estimator(rgb, resolution=resolution)
    assert prediction.depth_m.shape == rgb.shape[:2]
    assert np.isfinite(prediction.depth_m).all()
    assert prediction.depth_m.min() >= 0
    assert prediction.depth_m.max() <= prediction.max_depth_m


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (33, 31)])
def test_extreme_shapes_work(estimator, size):
    assert estimator(np.full((*size, 3), 128, np.uint8)).depth_m.shape == size


def test_a_large_jpeg_gives_what_the_decoded_photo_gives(estimator, photo):
    large = np.asarray(Image.fromarray(photo).resize((4000, 3000), Image.Resampling.BICUBIC))
    from_jpeg = estimator(jpeg(large, quality=95))
    assert from_jpeg.depth_m.shape == (3000, 4000)
    from_array = estimator(large)
    assert np.abs(from_jpeg.depth_m - from_array.depth_m).mean() < 0.03


def test_a_photo_over_the_pixel_limit_is_refused_before_it_is_decoded(estimator):
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    with pytest.raises(PhotoTooLarge, match="20000"):
        estimator(file.getvalue())


@pytest.mark.parametrize("source", [b"", b"no photo", 3, None, np.zeros((0, 4, 3)), np.full((4, 4, 3), np.nan)])
def test_what_is_no_photo_is_refused(estimator, source):
    with pytest.raises(PhotoError):
        estimator(source)


def test_the_focal_length_restores_metres_where_it_is_known(estimator, photo):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[41989] = 52  # FocalLengthIn35mmFilm
    prediction = estimator(jpeg(photo, exif=exif), correct_scale=True)
    assert prediction.camera.source == "exif"
    expected = prediction.camera.resized(prediction.working_size).fx_px / estimator.spec.camera.fx_px
    assert prediction.scale == pytest.approx(expected)
    assert prediction.scale > 1.2
    np.testing.assert_allclose(prediction.raw_depth_m * prediction.scale, prediction.depth_m, rtol=1e-5)
    assert prediction.raw_depth_m.max() <= 10.001
    off = estimator(jpeg(photo, exif=exif))  # no gain was measured for this model
    assert off.scale == 1
    np.testing.assert_allclose(off.depth_m, prediction.raw_depth_m, rtol=1e-5)


def test_a_given_camera_counts_more_than_exif(estimator, photo):
    camera = Camera.from_fov(40, (800, 1200))
    prediction = estimator(photo, camera=camera)
    assert prediction.camera.size == (400, 600)
    assert prediction.camera.fov_deg == pytest.approx(40)


@pytest.mark.parametrize("helps", [True, False])
def test_the_focal_length_corrects_unasked_only_where_that_was_measured_to_help(estimator, photo, helps):
    spec = replace(estimator.spec, camera=replace(estimator.spec.camera, correct_focal=helps))
    of_model = DepthEstimator(estimator.model, estimator.processor, spec=spec, device="cpu")
    camera = Camera.from_fov(40, (400, 600))
    assert (of_model(photo, camera=camera).scale > 1) == helps
    assert of_model(photo).scale == 1  # the focal length is not known


def test_correction_with_the_training_camera_at_the_training_size_changes_nothing(estimator):
    short = estimator.spec.working_short_side
    photo = np.full((short, round(estimator.spec.camera.fx_px / estimator.spec.camera.fx_over_width), 3), 90, np.uint8)
    assert estimator(photo, correct_scale=True).scale == pytest.approx(1, rel=0.02)


NEEDS_BFLOAT16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16"
)


@NEEDS_BFLOAT16
def test_another_precision_is_recorded_and_stays_close(estimator, photo):
    small = photo[::4, ::4]
    prediction = load_estimator("rooms-b0", device="cpu", precision="bfloat16")(small)
    assert prediction.precision == "bfloat16"
    assert 0 < np.abs(prediction.depth_m - estimator(small).depth_m).mean() < 0.1


def test_the_engine_is_recorded(estimator, photo):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    small = photo[::4, ::4]
    expected, prediction = (
        load_estimator("rooms-b0", device="cpu", engine=engine)(small) for engine in ("pytorch", "openvino")
    )
    assert (expected.engine, prediction.engine) == ("pytorch", "openvino")
    assert np.abs(prediction.depth_m - expected.depth_m).max() < 1e-5


def test_unknown_models_and_devices_are_refused():
    with pytest.raises(UnknownModel, match="nyu-b9"):
        load_estimator("nyu-b9")
    with pytest.raises(ConfigError, match="toaster"):
        load_estimator("rooms-b0", device="toaster")
    with pytest.raises(ConfigError, match="float3"):
        load_estimator("rooms-b0", precision="float3")


def test_the_embedded_model_beats_a_constant_on_a_real_photo_with_true_depth(estimator):
    """Middlebury 2014 motorcycle: focal length, baseline and disparity offset as published for this size."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    truth_m = 994.978 * 0.193001 / (disparity + 31.086)
    known = np.isfinite(disparity)  # elsewhere infinite: not measured
    truth = truth_m[known]
    depth_m = estimator(left).depth_m
    assert np.isfinite(depth_m).all()

    def scores(estimate):
        estimate = estimate * np.median(truth) / np.median(estimate)
        ratio = np.maximum(estimate / truth, truth / estimate)
        return np.mean(np.abs(estimate - truth) / truth), np.mean(ratio < 1.25)

    abs_rel, delta1 = scores(depth_m[known])
    constant, constant_delta1 = scores(np.full_like(truth, np.median(truth)))
    print(f"median-scaled AbsRel {abs_rel:.3f}, δ1 {delta1:.3f}; a constant {constant:.3f}, {constant_delta1:.3f}")
    assert abs_rel < constant
    assert delta1 > constant_delta1


def test_the_checkpoints_own_preprocessing_is_obeyed(tmp_path):
    plain = load_estimator()
    plain.model.save_pretrained(tmp_path / "plain")
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    own = GLPNImageProcessor(do_normalize=True, image_mean=0.5, image_std=0.25, resample=Image.Resampling.NEAREST)
    own.save_pretrained(tmp_path / "own")
    plain.model.save_pretrained(tmp_path / "own")
    assert GLPNImageProcessor.from_pretrained(tmp_path / "own") == own  # saving the model left it alone
    seen = []
    for name in ("plain", "own"):
        estimator = load_estimator(tmp_path / name)
        run = estimator.infer
        estimator.infer = lambda pixels, flip, run=run: (seen.append(pixels), run(pixels, flip))[1]
        assert not estimator(photo, resolution=64).notes[1:]
    image = Image.fromarray(photo).resize((96, 64), Image.Resampling.NEAREST)
    np.testing.assert_allclose(seen[1][0], (np.asarray(image).transpose(2, 0, 1) / 255 - 0.5) / 0.25, atol=1e-5)
    assert 0 <= seen[0].min() < seen[0].max() <= 1


def test_a_preprocessing_that_is_not_done_is_said(tmp_path):
    load_estimator().model.save_pretrained(tmp_path)
    GLPNImageProcessor(do_resize=False, size_divisor=16).save_pretrained(tmp_path)
    estimator = load_estimator(tmp_path)
    assert estimator.working_size((50, 70), "native") == (32, 64)  # multiples of the network's stride too
    assert any("do_resize" in note for note in estimator(np.zeros((64, 64, 3), np.uint8)).notes)
