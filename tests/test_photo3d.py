"""3D photos: the files for the page, the two layers, and pictures from other viewpoints of a scene of known shape."""

import ast
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo3d_support import BOX, BOX_M, SIZE, WALL_M, bar_middle, box_photo, box_scene, red
from PIL import Image

from glpn.camera import Camera
from glpn.errors import ConfigError, ExportError
from glpn.scene import effects, layers, motion, photo3d, stereo

ASSETS = Path(photo3d.__file__).parents[1] / "web" / "assets"


@pytest.fixture(scope="module")
def photo() -> photo3d.Photo3D:
    return box_photo()


@pytest.fixture(scope="module")
def viewer(photo: photo3d.Photo3D) -> motion.Viewer:
    return motion.Viewer(photo)


# ------------------------------------------------------------------------------------------------- the data


def test_the_files_hold_the_scene(photo: photo3d.Photo3D) -> None:
    back = photo3d.read(photo3d.photo_jpeg(photo), photo3d.depth_png(photo))
    assert back.rgb.shape == (*SIZE, 3)
    step = (photo.nearness.max() - photo.nearness.min()) / photo3d.DEPTH_LEVELS
    assert np.abs(back.nearness - photo.nearness).max() <= step
    assert 1 / back.nearness[120, 160] == pytest.approx(BOX_M, rel=1e-3)
    assert 1 / back.nearness[20, 20] == pytest.approx(WALL_M, rel=1e-3)
    assert back.meta() == photo.meta()


def test_a_large_photo_becomes_small_files() -> None:
    rng = np.random.default_rng(0)
    depth_m = rng.uniform(1, 5, (900, 2000)).astype(np.float32)  # noise: the worst case for a PNG
    photo = photo3d.prepare(np.zeros((900, 2000, 3), np.uint8), depth_m, Camera.from_fov(60, (900, 2000)))
    assert photo.rgb.shape == (720, 1600, 3)
    assert max(photo.nearness.shape) == photo3d.GRID_SIDE
    png = photo3d.depth_png(photo)
    assert len(png) <= photo3d.MOST_DEPTH_BYTES
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "I;16"
    with pytest.raises(ExportError, match="does not fit"):
        photo3d.depth_png(photo, limit=1000)


def test_unknown_depth_is_filled_in() -> None:
    rgb, depth_m, camera = box_scene()
    depth_m[:60, :60] = np.nan
    depth_m[200:, 200:] = 0
    photo = photo3d.prepare(rgb, depth_m, camera)
    assert np.isfinite(photo.nearness).all() and (photo.nearness > 0).all()
    with pytest.raises(ConfigError, match="no measurement"):
        photo3d.prepare(rgb, np.zeros_like(depth_m), camera)
    with pytest.raises(ConfigError, match="same size"):
        photo3d.prepare(rgb, depth_m[1:], camera)


def test_a_flat_scene_may_sway_as_far_as_any() -> None:
    rgb = box_scene()[0]
    photo = photo3d.prepare(rgb, np.full(SIZE, 3.0, np.float32), Camera.from_fov(60, SIZE))
    assert photo.sway_deg == photo3d.MAX_SWAY_DEG
    assert photo.pivot_m == pytest.approx(3)
    assert photo3d.read(photo3d.photo_jpeg(photo), photo3d.depth_png(photo)).pivot_m == pytest.approx(3)


def test_other_files_are_refused(photo: photo3d.Photo3D) -> None:
    jpeg, png = photo3d.photo_jpeg(photo), photo3d.depth_png(photo)
    plain = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(plain, "PNG")
    for bad in ((jpeg, jpeg), (jpeg, plain.getvalue()), (b"", png), (jpeg, png[: len(png) // 2])):
        with pytest.raises(ExportError, match="not a 3D photo"):
            photo3d.read(*bad)


# --------------------------------------------------------------------------------------------------- layers


def test_sharpening_moves_a_soft_edge_onto_the_photos() -> None:
    guide = np.zeros((40, 80, 3), np.float32)
    guide[:, 40:] = 255
    sharp = np.where(np.arange(80) < 40, 2.0, 1.0).astype(np.float32)
    soft = np.convolve(np.pad(sharp, 5, mode="edge"), np.ones(11) / 11, mode="valid").astype(np.float32)
    found = layers.sharpen(np.tile(soft, (40, 1)), guide)
    assert np.abs(found - sharp).mean() < np.abs(soft - sharp).mean()
    assert found[20, 39] - found[20, 40] > 3 * (soft[39] - soft[40])


def test_filling_keeps_what_is_known() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 1, (23, 37, 2)).astype(np.float32)
    weight = (rng.uniform(size=(23, 37)) < 0.3).astype(np.float32)
    filled = layers.pull_push(values, weight)
    assert np.array_equal(filled[weight == 1], values[weight == 1])
    assert filled.min() >= values[weight == 1].min() - 1e-6 and filled.max() <= values[weight == 1].max() + 1e-6
    assert np.allclose(layers.pull_push(np.full((9, 5, 1), 0.7, np.float32), np.eye(9, 5, dtype=np.float32)), 0.7)


def test_the_wall_goes_on_behind_the_box_s_edges(viewer: motion.Viewer) -> None:
    split = viewer.split
    inside = split.hidden.astype(bool) & (np.indices(SIZE)[1] > 114) & (np.indices(SIZE)[1] < 122)
    inside[:75], inside[165:] = False, False
    assert inside.sum() > 300
    wall = viewer.photo.pivot_m / WALL_M
    assert np.abs(split.back[inside] - wall).max() < 0.1 * wall
    assert split.back_rgb[inside][:, 0].max() < 90, "the wall's colors, not the box's red"
    assert not split.hidden[:40].any() and not split.hidden[110:130, 150:170].any()


# ------------------------------------------------------------------------------------------- other viewpoints


def test_at_rest_the_photo_is_seen(viewer: motion.Viewer) -> None:
    still = viewer.draw()
    cut = [round(length * (1 - 1 / viewer.zoom) / 2) for length in SIZE]
    inner = viewer.photo.rgb[cut[0] : SIZE[0] - cut[0], cut[1] : SIZE[1] - cut[1]]
    expected = photo3d.resize(inner, SIZE).astype(float)
    assert np.abs(still - expected).mean() < 4


def test_near_and_far_part_by_the_known_shift(viewer: motion.Viewer) -> None:
    photo = viewer.photo
    left, right = viewer.draw((-photo.reach, 0, 0)), viewer.draw((photo.reach, 0, 0))
    near = photo.pivot_m / BOX_M
    expected = viewer.zoom * SIZE[1] * photo.fx * 2 * photo.reach * (near - 1)
    assert bar_middle(left) - bar_middle(right) == pytest.approx(expected, abs=0.5)
    assert np.abs(viewer.draw((0, photo.reach, 0)).astype(float) - viewer.draw()).mean() > 1


def test_what_the_box_hid_is_the_wall(viewer: motion.Viewer) -> None:
    seen = viewer.draw((-viewer.photo.reach, 0, 0))
    row = seen[80].astype(int)  # above the white bar
    red = np.flatnonzero((row[:, 0] > 150) & (row[:, 1] < 90))
    beside = row[red[0] - 10 : red[0] - 3]
    assert (beside[:, 0] < 90).all(), "no red smear next to the box"
    assert np.ptp(red) + 1 == len(red), "no tear in the box"


def test_a_dolly_makes_near_things_grow_faster(viewer: motion.Viewer) -> None:
    def area(image: np.ndarray) -> int:
        return int(red(image).sum())

    assert area(viewer.draw((0, 0, 0.1))) > 1.02 * area(viewer.draw()) > 1.04 * area(viewer.draw((0, 0, -0.1)))


def test_a_gif_loops(photo: photo3d.Photo3D) -> None:
    with Image.open(io.BytesIO(motion.gif(photo, seconds=0.8, side=160))) as image:
        assert (image.n_frames, image.size, image.info["loop"], image.info["duration"]) == (8, (160, 120), 0, 100)
        middles = []
        for i in range(8):
            image.seek(i)
            middles.append(bar_middle(np.asarray(image.convert("RGB"))))
    assert np.argmin(middles) == 2 and np.argmax(middles) == 6  # a quarter and three quarters of a sway


@pytest.mark.parametrize("motion_name", motion.MOTIONS)
def test_an_mp4_holds_every_frame(photo: photo3d.Photo3D, motion_name: str) -> None:
    av = pytest.importorskip("av")
    data = motion.mp4(photo, motion=motion_name, seconds=0.4, side=160)
    with av.open(io.BytesIO(data)) as container:
        [stream] = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == 10 and pictures[0].shape == (120, 160, 3)
    assert np.abs(pictures[2].astype(float) - pictures[7]).mean() > 1


def test_impossible_loops_are_refused(photo: photo3d.Photo3D) -> None:
    with pytest.raises(ConfigError, match="Unknown motion 'spin'"):
        motion.gif(photo, motion="spin", seconds=1)
    for seconds in (0, 100, float("nan")):
        with pytest.raises(ConfigError, match=re.escape("0.2 to 20 seconds")):
            motion.gif(photo, seconds=seconds)
    with pytest.raises(ConfigError, match="does not move"):
        motion.path("sway", 1)


# ---------------------------------------------------------------------------------------------------- stereo


def test_the_pair_has_the_known_disparity(photo: photo3d.Photo3D, viewer: motion.Viewer) -> None:
    both = stereo.beside(*stereo.pair(photo))
    assert both.shape == (SIZE[0], 2 * SIZE[1], 3)
    left, right = both[:, : SIZE[1]], both[:, SIZE[1] :]
    near = photo.pivot_m / BOX_M
    expected = viewer.zoom * SIZE[1] * photo.fx * stereo.EYES * photo.reach * (near - 1)
    assert expected > 2
    assert bar_middle(left) - bar_middle(right) == pytest.approx(expected, abs=0.5)


def test_an_anaglyph_keeps_gray_and_parts_the_eyes() -> None:
    gray = np.full((2, 2, 3), 128, np.uint8)
    assert np.abs(stereo.anaglyph(gray, gray).astype(int) - 128).max() <= 8
    black, white = np.zeros_like(gray), np.full_like(gray, 255)
    left, right = stereo.anaglyph(white, black)[0, 0], stereo.anaglyph(black, white)[0, 0]
    assert left[0] > 240 and max(left[1:]) < 20, "the left eye is red"
    assert right[0] < 20 and min(right[1:]) > 240, "the right eye is cyan"


# --------------------------------------------------------------------------------------------------- effects


def test_cutting_out_keeps_the_box() -> None:
    rgb, depth_m, _ = box_scene()
    cut = effects.cut_out(rgb, depth_m, 1.4)
    inside = np.zeros(SIZE, bool)
    inside[BOX] = True
    assert (cut[inside, 3] == 255).all() and (cut[~inside, 3] == 0).all()
    assert np.array_equal(cut[..., :3], rgb)
    half = effects.cut_out(rgb[:1, :1], np.array([[1.4]], np.float32), 1.4)
    assert half[0, 0, 3] == pytest.approx(128, abs=1)


def test_fog_halves_the_contrast_at_its_distance() -> None:
    rgb, depth_m, _ = box_scene()
    foggy = effects.fog(rgb, depth_m, WALL_M)
    middle = (rgb[10, 10] + np.array(effects.FOG)) / 2
    assert np.abs(foggy[10, 10] - middle).max() <= 1
    unknown = effects.fog(rgb, np.full_like(depth_m, np.nan), WALL_M)
    assert (unknown == effects.FOG).all(), "unknown depth is infinitely far"


def test_blur_leaves_the_focus_alone() -> None:
    rgb, depth_m, _ = box_scene()
    blurred = effects.blur(rgb, depth_m, BOX_M)
    assert np.array_equal(blurred[BOX], rgb[BOX])
    assert blurred[10:60, 10:60, 1].std() < 0.8 * rgb[10:60, 10:60, 1].std()
    assert blurred[120, 105, 0] < 60, "the sharp box does not bleed into the blur"
    assert np.array_equal(effects.blur(rgb, depth_m, WALL_M)[:40], rgb[:40])
    assert not np.array_equal(effects.blur(rgb, depth_m, WALL_M)[BOX], rgb[BOX])
    with pytest.raises(ConfigError, match="aperture"):
        effects.blur(rgb, depth_m, 1, aperture=0)


def test_large_photos_are_worked_on_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, depth_m, _ = box_scene((960, 1280))  # larger than BLUR_SIDE
    made = [effect(rgb, depth_m, 1.2) for effect in (effects.cut_out, effects.fog, effects.bands, effects.blur)]
    assert np.array_equal(effects.blur(rgb, depth_m, BOX_M)[300:660, 460:820], rgb[300:660, 460:820]), (
        "the box is sharp"
    )
    monkeypatch.setattr(effects, "STRIP_PIXELS", 7 * 1280)
    again = [effect(rgb, depth_m, 1.2) for effect in (effects.cut_out, effects.fog, effects.bands, effects.blur)]
    for one, other in zip(made, again, strict=True):
        assert np.array_equal(one, other)


def test_the_depth_that_effects_see_is_that_of_the_3d_photo(photo: photo3d.Photo3D, viewer: motion.Viewer) -> None:
    sharp = layers.sharp_depth_m(photo, (960, 1280))
    assert sharp.shape == (960, 1280) and sharp.dtype == np.float32
    assert sharp[480, 640] == pytest.approx(BOX_M, rel=1e-3) and sharp[80, 80] == pytest.approx(WALL_M, rel=1e-3)
    same = photo.pivot_m / layers.sharp_depth_m(photo, photo.nearness.shape)
    np.testing.assert_allclose(same, viewer.split.front, rtol=1e-5)


def test_bands_and_contours_lie_at_their_depths() -> None:
    depth_m = np.tile(np.linspace(1, 2, 101, dtype=np.float32), (60, 1))
    rgb = np.full((60, 101, 3), 200, np.uint8)
    banded = effects.bands(rgb, depth_m, 0.25)
    lines = np.flatnonzero((banded[30] == effects.LINE).all(axis=-1))
    assert np.abs(lines - [24, 49, 74, 99]).max() <= 1
    assert banded[30, 10, 0] == 200 and banded[30, 40, 0] == round(200 * effects.SHADE)
    svg = effects.contours_svg(rgb, depth_m, 0.25)
    places = {
        float(name): float(re.search(r"M([\d.]+)", path)[1])  # type: ignore[index]
        for path, name in re.findall(r'd="([^"]+)"><title>([\d.]+) m', svg)
    }
    assert {1.25, 1.5, 1.75} <= set(places)
    for metres in (1.25, 1.5, 1.75):
        assert places[metres] == pytest.approx(100 * (metres - 1) + 0.5, abs=0.3)
    with pytest.raises(ConfigError, match="longer distance"):
        effects.contours_svg(rgb, depth_m, 0.001)


def test_a_postcard_shows_photo_depth_and_text() -> None:
    rgb, depth_m, _ = box_scene()
    card = effects.postcard(rgb, depth_m, line="A box before a wall")
    assert card.shape == (480 + 132, 3 * 24 + 2 * 640, 3)
    assert card[264, 24 + 320, 0] > 200 and card[264, 48 + 640 + 320].sum() > card[40, 48 + 660].sum()
    assert (card[-44:-20, :300] < 100).any() and not (card[-44:-20, 700:] < 100).any()


@pytest.mark.parametrize("distance", [0, -1, float("nan"), float("inf")])
def test_effects_refuse_invalid_distances(distance: float) -> None:
    rgb, depth_m, _ = box_scene()
    for effect in (effects.cut_out, effects.fog, effects.bands, effects.blur, effects.contours_svg):
        with pytest.raises(ConfigError, match="Give metres above 0"):
            effect(rgb, depth_m, distance)
    with pytest.raises(ConfigError, match="same size"):
        effects.fog(rgb, depth_m[1:], 1)


@pytest.mark.parametrize(
    ("script", "modules"),
    [
        ("photo3d_layers.js", [layers]),
        ("photo3d_renderer.js", [motion]),
        ("photo3d.js", [effects]),
        ("effects.js", [effects, stereo]),
        ("send.js", [motion, stereo]),
    ],
)
def test_what_page_and_python_both_draw_by_is_one_number(script: str, modules: list[Any]) -> None:
    text = (ASSETS / script).read_text(encoding="utf-8")
    theirs = dict(re.findall(r"^const ([A-Z][A-Z0-9_]+) = (.+?);", text, re.MULTILINE))
    ours = {name: value for module in modules for name, value in vars(module).items() if name in theirs}
    assert ours, "the script shares no constant with its module"
    for name, value in ours.items():
        np.testing.assert_array_equal(np.ravel(ast.literal_eval(theirs[name])), np.ravel(value), err_msg=name)


def test_scene_files_live_where_the_page_serves_them() -> None:
    for name in (
        "photo3d.js",
        "photo3d_layers.js",
        "photo3d_renderer.js",
        "send.js",
        "gif.js",
        "play.js",
        "effects.js",
    ):
        for imported in re.findall(r'from "\./([\w.]+)"', (ASSETS / name).read_text(encoding="utf-8")):
            assert (ASSETS / imported).is_file()
