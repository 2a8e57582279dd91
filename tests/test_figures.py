"""Figures: their numbers, sizes, axes and settings. That browsers draw them is tested in test_figures_in_browser."""

import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest

from glpn.camera import Camera
from glpn.errors import ConfigError
from glpn.scene.figures import COLOR_MAPS, colorize, heatmap_figure, histogram_figure, surface_figure
from glpn.scene.look import DETAILS, STYLES, TEXTURES, Look
from glpn.scene.uncertainty import Uncertainty

ODD_SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5)]


def scene(height: int, width: int) -> tuple[np.ndarray, Camera, np.ndarray]:
    """A near box at the left, a far one at the right, before a rough wall; the photo is noise."""
    rng = np.random.default_rng(0)
    depth_m = rng.uniform(4, 4.05, (height, width)).astype(np.float32)
    depth_m[height // 4 : height // 2, : width // 4] = 2
    depth_m[height // 4 : height // 2, -width // 4 :] = 3
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    return depth_m, Camera.from_fov(63, (height, width)), rgb


def size_mb(figure: go.Figure) -> float:
    return len(figure.to_json()) / 1e6


def values(array: object) -> np.ndarray:
    return np.asarray(array, float)


def every_figure(depth_m: np.ndarray, camera: Camera, rgb: np.ndarray) -> list[go.Figure]:
    figures = [heatmap_figure(depth_m), histogram_figure(depth_m)]
    figures += [
        surface_figure(depth_m, camera, rgb, Look(style=style, texture=texture))
        for style in STYLES
        for texture in TEXTURES
    ]
    return figures


@pytest.mark.parametrize("size", [(480, 640), (375, 1242), (1600, 1200)])
def test_figures_stay_small(size: tuple[int, int]) -> None:
    depth_m, camera, rgb = scene(*size)
    assert size_mb(heatmap_figure(depth_m)) < 1
    for style in STYLES:
        for texture in TEXTURES:
            assert size_mb(surface_figure(depth_m, camera, rgb, Look(style=style, texture=texture))) < 1.5


def test_detail_trades_size_for_finesse() -> None:
    depth_m, camera, _ = scene(960, 1280)
    assert list(DETAILS) == ["draft", "standard", "fine"]
    for draw in (
        lambda detail: heatmap_figure(depth_m, Look(detail=detail)),
        lambda d: surface_figure(depth_m, camera, None, Look(detail=d)),
    ):
        draft, standard, fine = (size_mb(draw(detail)) for detail in DETAILS)
        assert 2 * draft < standard < fine / 2


def test_a_heatmap_reads_metres_at_the_photos_pixels() -> None:
    depth_m, _, _ = scene(1200, 1600)
    figure = heatmap_figure(depth_m)
    trace = figure.data[0]
    assert trace.hovertemplate == "x %{x:.0f}, y %{y:.0f} · %{z:.2f} m<extra></extra>"
    z = values(trace.z)
    assert z.dtype == np.float64 and trace.z.dtype == np.float32
    x = trace.x0 + trace.dx * np.arange(z.shape[1])
    y = trace.y0 + trace.dy * np.arange(z.shape[0])
    assert x[0] - trace.dx / 2 == pytest.approx(-0.5) and x[-1] + trace.dx / 2 == pytest.approx(1599.5)
    assert y[0] - trace.dy / 2 == pytest.approx(-0.5) and y[-1] + trace.dy / 2 == pytest.approx(1199.5)
    row, col = np.searchsorted(y, 450), np.searchsorted(x, 200)
    assert z[row, col] == pytest.approx(2, abs=1e-6)
    assert figure.layout.yaxis.scaleanchor == "x" and figure.layout.yaxis.range == (1199.5, -0.5)
    assert figure.layout.coloraxis.colorbar.title.text == "m"


def test_the_range_is_robust_full_or_the_users() -> None:
    depth_m = np.linspace(1, 11, 1000, dtype=np.float32).reshape(20, 50)
    axis = heatmap_figure(depth_m).layout.coloraxis
    assert (axis.cmin, axis.cmax) == pytest.approx((1.2, 10.8), abs=0.01)
    axis = heatmap_figure(depth_m, Look(range_m="full")).layout.coloraxis
    assert (axis.cmin, axis.cmax) == pytest.approx((1, 11))
    axis = heatmap_figure(depth_m, Look(range_m=(0, 10))).layout.coloraxis
    assert (axis.cmin, axis.cmax) == (0, 10)


def test_color_maps_drive_plotly_and_images_alike() -> None:
    assert {"turbo", "viridis", "magma", "cividis", "inferno", "plasma", "gray", "Spectral"} <= set(COLOR_MAPS)
    depth_m = np.array([[1, 2, 5]], np.float32)
    for name, stops in COLOR_MAPS.items():
        assert stops[0][0] == 0 and stops[-1][0] == 1
        ends = [tuple(int(stops[index][1][at : at + 2], 16) for at in (1, 3, 5)) for index in (-1, 0)]
        image = colorize(depth_m, Look(colors=name, range_m=(1, 5)))
        assert image.dtype == np.uint8 and image.shape == (1, 3, 3)
        assert [tuple(image[0, 0]), tuple(image[0, 2])] == ends
        assert [tuple(colorize(depth_m, Look(colors=name, range_m=(1, 5), near_bright=False))[0, 0])] == [ends[1]]
        axis = heatmap_figure(depth_m, Look(colors=name.upper())).layout.coloraxis
        assert axis.reversescale and tuple(axis.colorscale) == stops
    assert not heatmap_figure(depth_m, Look(near_bright=False)).layout.coloraxis.reversescale


def test_gray_and_viridis_are_brighter_the_nearer() -> None:
    depth_m = np.linspace(1, 5, 100, dtype=np.float32)[None]
    for name in ("gray", "viridis", "magma", "inferno", "cividis", "thermal"):
        brightness = colorize(depth_m, Look(colors=name, range_m="full")).astype(float) @ (0.2126, 0.7152, 0.0722)
        assert (np.diff(brightness[0]) < 1).all() and brightness[0, 0] > 4 * brightness[0, -1] + 50


def test_what_was_not_measured_stays_black_and_empty() -> None:
    depth_m = np.array([[np.nan, 0, 2, np.inf]], np.float32)
    image = colorize(depth_m)
    assert image[0, [0, 1, 3]].max() == 0 and image[0, 2].max() > 0
    np.testing.assert_array_equal(np.isnan(values(heatmap_figure(depth_m).data[0].z)), [[True, True, False, True]])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("texture", TEXTURES)
def test_scenes_are_to_scale_and_not_mirrored(style: str, texture: str) -> None:
    depth_m, camera, rgb = scene(120, 160)
    figure = surface_figure(depth_m, camera, rgb, Look(style=style, texture=texture))
    trace, axes = figure.data[0], figure.layout.scene
    x, y, z = (values(array) for array in (trace.x, trace.y, trace.z))
    near, far = np.abs(y - 2) < 0.01, np.abs(y - 3) < 0.01
    assert x[near].mean() < -0.5 and x[far].mean() > 0.5  # left stays left
    assert z[near].mean() > 0.1  # the upper half stays up
    # Back in the camera's frame, every vertex lies in a pixel of its own depth.
    pixel = np.rint(camera.project(np.stack([x, -z, y], axis=-1))).astype(int)
    np.testing.assert_allclose(depth_m[pixel[:, 1], pixel[:, 0]], y, atol=1e-5)
    extent = [axis.range[1] - axis.range[0] for axis in (axes.xaxis, axes.yaxis, axes.zaxis)]
    ratio = [axes.aspectratio[name] for name in "xyz"]
    np.testing.assert_allclose(np.divide(ratio, extent), ratio[0] / extent[0])
    assert axes.aspectmode == "manual"


def test_metres_under_the_cursor_carry_their_doubt() -> None:
    depth_m, camera, rgb = scene(48, 64)
    doubt = Uncertainty(0.32, False, "")
    surface = surface_figure(depth_m, camera, rgb, uncertainty=doubt)
    assert "%{y:.2r} m away" in surface.data[0].hovertemplate
    assert surface.data[0].hovertemplate.endswith("all ± 32 %<extra></extra>")
    heatmap = heatmap_figure(depth_m, uncertainty=doubt)
    assert heatmap.data[0].hovertemplate == "x %{x:.0f}, y %{y:.0f} · %{z:.2r} m ± 32 %<extra></extra>"
    assert heatmap.layout.coloraxis.colorbar.title.text == "m<br>± 32 %"
    by_depth = surface_figure(depth_m, camera, None, uncertainty=doubt)
    assert by_depth.layout.coloraxis.colorbar.title.text == "m<br>± 32 %"
    assert "m ± 32 %" in histogram_figure(depth_m, uncertainty=doubt).data[0].hovertemplate


def test_measured_lines_stand_in_the_scene() -> None:
    depth_m, camera, rgb = scene(48, 64)
    places = np.array([[0, 0.5, 2], [1, -0.5, 3]])
    line = surface_figure(depth_m, camera, rgb, lines=[(places, "1.7 m ± 0.5")]).data[1]
    np.testing.assert_allclose(
        np.stack([values(line.x), values(line.y), values(line.z)], -1), [[0, 2, -0.5], [1, 3, 0.5]]
    )
    assert "1.7 m ± 0.5" in line.text


def test_the_first_view_is_the_cameras_turned_by_12_degrees() -> None:
    depth_m, _, _ = scene(240, 320)
    narrow = Camera.from_fov(30, (240, 320))
    axes = surface_figure(depth_m, narrow).layout.scene
    low, high = np.array([axis.range for axis in (axes.xaxis, axes.yaxis, axes.zaxis)]).T
    unit = axes.aspectratio.x / (high[0] - low[0])
    eye = np.array([axes.camera.eye[name] for name in "xyz"]) / unit + (low + high) / 2
    center = np.array([axes.camera.center[name] for name in "xyz"]) / unit + (low + high) / 2
    assert center[1] > 0 and center[[0, 2]] == pytest.approx(0, abs=1e-6)
    away = eye - center
    assert np.linalg.norm(away) == pytest.approx(center[1]) and away[2] == pytest.approx(0, abs=1e-6)
    assert math.degrees(math.atan2(away[0], -away[1])) == pytest.approx(12)
    wide = surface_figure(depth_m, Camera.from_fov(100, (240, 320))).layout.scene
    assert wide.camera.eye.y < wide.camera.center.y  # further back, still looking forward


def test_viewpoint_and_zoom_survive_restyling() -> None:
    depth_m, camera, rgb = scene(48, 64)
    turbo, gray = (
        surface_figure(depth_m, camera, rgb, Look(colors=name, texture="depth")).layout for name in ("turbo", "gray")
    )
    assert turbo.uirevision and turbo.uirevision == gray.uirevision
    assert turbo.scene.uirevision and turbo.scene.uirevision == gray.scene.uirevision
    assert turbo.scene.camera == gray.scene.camera


def test_depth_edges_are_cut_as_the_user_says() -> None:
    depth_m, camera, _ = scene(48, 64)
    strict, loose = (len(surface_figure(depth_m, camera, None, Look(edge_cut=cut)).data[0].i) for cut in (0.05, 5))
    assert strict < loose == 2 * 47 * 63


def test_a_histogram_counts_all_pixels() -> None:
    depth_m, _, _ = scene(48, 64)
    trace = histogram_figure(depth_m).data[0]
    assert values(trace.y).sum() == pytest.approx(100, abs=0.01)
    depth_m[:24] = np.nan
    assert values(histogram_figure(depth_m).data[0].y).sum() == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize("shape", ODD_SHAPES)
@pytest.mark.parametrize("fill", [2.0, np.nan, 0.0, "half"])
def test_odd_maps_draw_something(shape: tuple[int, int], fill: float | str) -> None:
    depth_m = np.full(shape, 2 if fill == "half" else fill, np.float32)
    if fill == "half":
        depth_m.ravel()[::2] = np.nan
    camera = Camera.from_fov(63, shape)
    figures = every_figure(depth_m, camera, np.zeros((*shape, 3), np.uint8))
    for figure in figures:
        text = figure.to_json()
        json.loads(text)
        for axis in ("x", "y", "z"):
            scene_axis = figure.layout.scene[f"{axis}axis"].range
            assert scene_axis is None or scene_axis[0] < scene_axis[1]
    if not (depth_m > 0).any():
        assert "no depth" in figures[0].layout.annotations[0].text
        assert "no depth" in figures[-1].layout.annotations[0].text
    else:
        assert len(figures[-1].data[0].x) == (depth_m > 0).sum()


@pytest.mark.parametrize(
    "settings",
    [
        {"range_m": "all"},
        {"detail": "best"},
        {"style": "wire"},
        {"texture": "wood"},
        {"edge_cut": 0},
        {"edge_cut": np.nan},
    ],
)
def test_a_look_refuses_what_it_does_not_know(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"Known: |above 0"):
        Look(**settings)


def test_an_unknown_color_map_names_the_known_ones() -> None:
    depth_m, camera, _ = scene(24, 32)
    with pytest.raises(ConfigError, match="Known: turbo"):
        surface_figure(depth_m, camera, None, Look(colors="jet9"))


def test_without_a_photo_depth_colors_the_scene() -> None:
    depth_m, camera, rgb = scene(24, 32)
    assert surface_figure(depth_m, camera).data[0].coloraxis == "coloraxis"
    assert surface_figure(depth_m, camera, rgb).data[0].coloraxis is None
