"""Synthetic scenes: depth against geometry, color against depth, the same seed the same bytes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.real_photos import baselines
from glpn import load_estimator
from glpn.datasets import Pair, Shards
from glpn.errors import ConfigError, DataError
from glpn.evaluation.metrics import depth_metrics
from glpn.synthesis import materials, rooms, views
from glpn.synthesis.dice import Dice
from glpn.synthesis.materials import SURFACES, TEXTURE_SIZE, TextureBank, hsv
from glpn.synthesis.rooms import build_room
from glpn.synthesis.scene import Ambient, Draft, Frame, Light
from glpn.synthesis.sensor import develop
from glpn.synthesis.shading import first_hits, shade
from glpn.synthesis.shapes import SHAPES, rotation_to, rotation_x, superquadric
from glpn.synthesis.shards import SynthesisPlan, scene_frames, synthesize, texture_bank
from glpn.synthesis.views import View

SIZE = (48, 64)
AMBIENT = Ambient((0.3, 0.3, 0.3), 0.2, 1.0)
BOUNDS = (np.full(3, -9.0), np.full(3, 9.0))
AHEAD = View.towards(np.zeros(3), np.array([0.0, 1.0, 0.0]), 60)


@pytest.fixture(scope="module")
def bank():
    return TextureBank(Dice(0))


@pytest.fixture
def draft(bank):
    return Draft(Dice(1), bank)


def rays(view, size):
    """x / z and y / z of the pixels' centers, from the definition of the field of view."""
    height, width = size
    focal = width / 2 / math.tan(math.radians(view.fov_deg) / 2)
    x = (np.arange(width) - (width - 1) / 2) / focal
    y = (np.arange(height) - (height - 1) / 2) / focal
    return np.meshgrid(x, y)


def test_a_wall_ahead_has_one_depth(draft):
    Frame.world(draft).box((-9, 9), (3, 4), (-9, 9), draft.material("plain"))
    scene = draft.finish(ambient=AMBIENT, bounds=BOUNDS)
    hits = first_hits(scene, AHEAD, SIZE)
    assert np.allclose(hits.depth_m, 3, atol=1e-4)


def test_a_floor_has_the_depth_of_the_plane(draft):
    Frame.world(draft).box((-99, 99), (-99, 99), (-1.5, -1.4), draft.material("plain"))
    scene = draft.finish(ambient=AMBIENT, bounds=BOUNDS)
    _, y = rays(AHEAD, SIZE)
    expected = np.where(y > 0, 1.4 / np.maximum(y, 1e-9), 0)
    expected[expected > 90] = 0
    depth = first_hits(scene, AHEAD, SIZE).depth_m.reshape(SIZE)
    near = expected > 0
    assert np.allclose(depth[near], expected[near], rtol=1e-4)


def test_a_tilted_plane(draft):
    tilt = 0.7
    Frame.world(draft).add("box", (0, 4, 0), (99, 0.2, 99), draft.material("plain"), rotation_x(tilt))
    scene = draft.finish(ambient=AMBIENT, bounds=BOUNDS)
    _, y = rays(AHEAD, SIZE)
    normal = np.array([0, math.cos(tilt), math.sin(tilt)])  # of the turned box's front
    point = np.array([0, 4, 0]) - 0.1 * normal
    expected = (normal @ point) / (normal[1] - normal[2] * y)
    assert np.allclose(first_hits(scene, AHEAD, SIZE).depth_m.reshape(SIZE), expected, rtol=1e-4)


def test_a_sphere_agrees_with_its_equation(draft):
    ball = superquadric(1.0, sides=96, slices=96)
    Frame.world(draft).mesh(2 * ball.vertices + [0, 3, 0], ball.faces, draft.material("plain"), smooth=True)
    scene = draft.finish(ambient=AMBIENT, bounds=BOUNDS)
    x, y = rays(AHEAD, SIZE)
    square = x**2 + y**2 + 1  # |d|² of the ray (x, y, 1); the sphere has radius 1 and stands at depth 3
    discriminant = 9 - square * 8
    expected = np.where(discriminant > 0, (3 - np.sqrt(np.maximum(discriminant, 0))) / square, 0)
    depth = first_hits(scene, AHEAD, SIZE).depth_m.reshape(SIZE)
    clear = np.abs(discriminant) > 0.1  # away from the limb, where facets are seen edge on
    assert np.array_equal(depth[clear] > 0, expected[clear] > 0)
    assert np.abs(depth - expected)[clear].max() < 2e-3


def test_the_colors_silhouette_is_the_depths(draft):
    here = Frame.world(draft)
    here.box((-9, 9), (6, 7), (-9, 9), draft.material("plain", tint=0.01))
    here.add("sphere", (0.4, 3, 0.2), (1.4, 1.4, 1.4), draft.material("wall", emission=3.0))
    here.add("box", (-0.9, 3, -0.3), (0.8, 0.8, 0.8), draft.material("wall", emission=3.0))
    scene = draft.finish(ambient=Ambient((0.01, 0.01, 0.01), 0, 1.0), bounds=BOUNDS)
    hits = first_hits(scene, AHEAD, (96, 128))
    radiance = shade(scene, AHEAD, hits, np.random.default_rng(0)).mean(2)
    near = hits.depth_m.reshape(96, 128) < 5
    bright = radiance > 0.4 * np.median(radiance[near])
    assert 0.1 < near.mean() < 0.6
    assert np.mean(near == bright) > 0.98  # edges are softened by a pixel


def test_light_falls_and_casts_a_shadow(draft):
    here = Frame.world(draft)
    here.box((-9, 9), (-9, 9), (-1.1, -1), draft.material("plain", tint=0.9, gloss=0))
    here.box((-0.4, 0.4), (3, 3.8), (-0.2, -0.1), draft.material("plain"))
    draft.lights.append(Light(np.array([0.0, 3.4, 2.0]), np.full(3, 5.0)))
    view = View.towards(np.array([0.0, -1.0, 1.5]), np.array([0.0, 3.4, -1.0]), 60)
    scene = draft.finish(ambient=Ambient((0.05, 0.05, 0.05), 0, 1.0), bounds=BOUNDS)
    hits = first_hits(scene, view, (96, 128))
    radiance = shade(scene, view, hits, np.random.default_rng(0)).mean(2).ravel()
    on_floor = np.abs(hits.position[:, 2] + 1) < 1e-3
    across = np.abs(hits.position[:, :2] - [0, 3.4]).max(1)
    shadow, lit = on_floor & (across < 0.4), on_floor & (across > 1) & (across < 1.5)
    assert shadow.sum() > 20
    assert radiance[shadow].mean() < 0.3 * radiance[lit].mean()


def test_views_are_right_handed_and_look_where_they_should():
    view = View.towards(np.array([1.0, 2, 3]), np.array([4.0, 6, 2]), 50, roll=0.3)
    assert np.allclose(view.rotation.T @ view.rotation, np.eye(3))
    assert np.linalg.det(view.rotation) == pytest.approx(1)
    assert np.allclose(view.rotation[:, 2], np.array([3, 4, -1]) / math.sqrt(26))
    directions = view.directions((31, 41)).reshape(31, 41, 3)
    assert np.allclose(directions[15, 20], view.rotation[:, 2], atol=1e-6)
    left, right = directions[15, 0], directions[15, -1]
    cosine = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    # The outermost pixels' centers lie half a pixel inside the angle of 50°.
    assert math.degrees(math.acos(cosine)) == pytest.approx(50 * 40 / 41, abs=0.2)


def test_shapes_fit_their_cube_and_rotations_turn():
    for name, mesh in SHAPES.items():
        assert np.abs(mesh.vertices).max() <= 0.5 + 1e-9, name
        assert mesh.faces.min() == 0
        assert mesh.faces.max() < len(mesh.vertices)
    for direction in np.random.default_rng(0).normal(size=(10, 3)):
        turn = rotation_to(direction)
        assert np.allclose(turn @ [0, 0, 1], direction / np.linalg.norm(direction))
        assert np.linalg.det(turn) == pytest.approx(1)


def test_colors():
    assert np.allclose(hsv(0, 1, 1), [1, 0, 0])
    assert np.allclose(hsv(1 / 3, 1, 0.5), [0, 0.5, 0])
    assert np.allclose(hsv(2 / 3, 0.5, 1), [0.5, 0.5, 1])


def test_the_bank_samples_its_textures(bank):
    count = sum(number for _, number in SURFACES.values())
    assert [len(numbers) for numbers in bank.kinds.values()] == [number for _, number in SURFACES.values()]
    assert bank.mean.shape == (count, 3)
    textures = np.arange(count)
    # The coarsest level is the average; at the finest, whole repeats are the same texel.
    top = bank.sample(textures, np.full((count, 2), 0.125, np.float32), np.full(count, 99.0))
    assert np.abs(top - bank.mean).mean() < 0.1
    uv = np.full((count, 2), 5.5 / TEXTURE_SIZE, np.float32)
    assert np.allclose(
        bank.sample(textures, uv, np.zeros(count)), bank.sample(textures, uv + 3, np.zeros(count)), atol=1e-3
    )


@pytest.mark.parametrize("number", range(3))
def test_rooms_are_closed_and_pictures_have_content(bank, number):
    plan = SynthesisPlan(1, 5, size=SIZE, views_per_scene=2)
    frames = list(scene_frames(plan, bank, number))
    assert frames
    for frame in frames:
        assert frame.rgb.shape == (*SIZE, 3)
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.std() > 5
        assert np.mean(frame.depth_m > 0) > 0.9
        assert frame.depth_m.max() < 10
        assert 40 < frame.fov_deg < 105


@pytest.mark.parametrize("number", range(2))
def test_streets_reach_far_and_have_a_sky(bank, number):
    plan = SynthesisPlan(1, 5, scenes="streets", size=(64, 192), views_per_scene=2)
    frames = list(scene_frames(plan, bank, number))
    assert frames
    for frame in frames:
        assert frame.rgb.std() > 5
        assert 0.3 < np.mean(frame.depth_m > 0) <= 1
        assert 15 < frame.depth_m.max() < 80
        assert 75 <= frame.fov_deg <= 88
        # The lowest row's road lies where the camera's height of about 1.65 m puts it; what stands on it is nearer.
        focal = 192 / 2 / math.tan(math.radians(frame.fov_deg) / 2)
        assert frame.depth_m[-1].max() == pytest.approx(1.65 * focal / 31.5, rel=0.3)


def test_streets_b0_beats_constant_and_row_profile_by_a_third(bank):
    plan = SynthesisPlan(1, 5, scenes="streets", size=(96, 320), views_per_scene=2)  # no training saw this seed
    frames = [frame for number in range(3) for frame in scene_frames(plan, bank, number)]
    pairs = [Pair(frame.rgb, frame.depth_m, "street") for frame in frames]
    estimator = load_estimator("streets-b0", device="cpu")

    def error(predict):
        return np.mean([depth_metrics(predict(q.rgb), q.depth_m, max_depth_m=80).abs_rel for q in pairs])

    ours = error(lambda rgb: estimator(rgb).depth_m)
    assert all(ours < 0.7 * error(line) for line in baselines(pairs, max_depth_m=80))


def test_closeups_show_things_within_two_metres(bank):
    plan = SynthesisPlan(1, 5, scenes="closeups", size=SIZE, views_per_scene=3)
    frames = [frame for number in range(3) for frame in scene_frames(plan, bank, number)]
    assert len(frames) > 3
    for frame in frames:
        assert 0.3 <= np.median(frame.depth_m) <= 2
        assert frame.rgb.std() > 5


def test_still_lifes_are_places_on_the_floor_and_change_nothing_else(bank):
    plain, laid = build_room(Dice(7, 2), bank), build_room(Dice(7, 2), bank, still_lifes=3)
    heights = [top.frame.origin[2] for top in laid.tabletops]
    assert [top.frame.origin[2] for top in plain.tabletops] == heights[:-3]
    assert heights[-3:] == [0, 0, 0]
    high = laid.bounds[1]
    assert all(np.all(np.abs(top.frame.origin[:2]) <= high[:2]) for top in laid.tabletops[-3:])
    assert np.array_equal(plain.bounds, laid.bounds)


def test_a_room_has_lights_and_places_to_look_at(bank):
    scenes = [build_room(Dice(7, seed), bank) for seed in range(4)]
    assert all(scene.lights for scene in scenes)
    assert any(len(scene.focuses) for scene in scenes)
    assert all(len(scene.normals) == len(scene.material) == len(scene.uv) for scene in scenes)


def test_stairs_lead_down_to_a_landing(bank, monkeypatch):
    flight, met = rooms.Flight(steps=10, rise=0.18, tread=0.25), []
    monkeypatch.setattr(rooms.Flight, "random", lambda dice: met.append(flight) or flight)
    for seed in range(200):
        scene = build_room(Dice(5, seed), bank)
        if met:
            break
    length = 2 * (scene.bounds[1][1] + 0.15)
    y = np.linspace(-length / 2 + 0.3, length / 2 - 0.2, 200)
    down = np.broadcast_to([0.0, 0.0, -1.0], (200, 3))
    height = 0.5 - scene.cast(np.stack([0 * y, y, 0 * y + 0.5], 1), down)["tfar"]
    assert height[0] == pytest.approx(0, abs=1e-4)  # the floor of the corridor
    assert height[-1] == pytest.approx(-10 * 0.18, abs=1e-4)  # the landing
    steps = np.unique(np.round(height, 3))
    assert np.allclose(steps, -0.18 * np.arange(10, -1, -1), atol=1e-3)
    assert np.all(np.diff(height) < 1e-4)


@pytest.mark.parametrize("kind", ["face", "self"])
def test_people_are_seen_from_near_and_see_themselves(bank, monkeypatch, kind):
    monkeypatch.setattr(views, "SHARE_OF_VIEWS", {kind: 1.0})
    seen = 0
    for seed in range(40):
        dice = Dice(6, seed)
        scene = build_room(dice, bank)
        view = views.room_view(scene, dice) if scene.faces else None
        if view is None:
            continue
        seen += 1
        distances = [np.linalg.norm(view.position - face) for face, _ in scene.faces]
        nearest, (_, facing) = min(distances), scene.faces[int(np.argmin(distances))]
        if kind == "self":
            assert nearest == pytest.approx(0.17)
            assert view.rotation[:, 2] @ facing > 0
        else:
            ways = [face - view.position for face, _ in scene.faces]  # the nearest may sit next to the one looked at
            assert any(np.linalg.norm(way) < 2.3 and view.rotation[:, 2] @ way > 0 for way in ways)
    assert seen > 3


def test_the_sensor_spans_its_range():
    radiance = np.random.default_rng(0).gamma(2, 0.2, (*SIZE, 3)).astype(np.float32)
    photos = [develop(radiance, Dice(seed)) for seed in range(8)]
    assert all(photo.dtype == np.uint8 and photo.shape == (*SIZE, 3) for photo in photos)
    assert all(60 < photo.mean() < 240 for photo in photos)
    assert len({photo.tobytes() for photo in photos}) == 8


@pytest.fixture
def quick(monkeypatch):
    """A bank of few textures, so that a test can afford several."""
    monkeypatch.setattr(materials, "SURFACES", {kind: (make, 2) for kind, (make, _) in SURFACES.items()})


PLAN = SynthesisPlan(4, 11, size=(32, 32), views_per_scene=2, scenes_per_shard=1)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_and_a_stopped_run_goes_on(tmp_path, quick):
    synthesize(PLAN, tmp_path / "one")
    for path in (tmp_path / "one").glob("*00001*"):
        path.unlink()
    before = contents(tmp_path / "one")
    assert synthesize(PLAN, tmp_path / "one") > 0
    synthesize(PLAN, tmp_path / "other")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert before.items() <= contents(tmp_path / "one").items()
    synthesize(replace(PLAN, seed=12), tmp_path / "different")
    name = "rooms-00000-rgb.npy"
    assert contents(tmp_path / "one")[name] != contents(tmp_path / "different")[name]


def test_two_workers_write_the_bytes_of_one(tmp_path):
    synthesize(PLAN, tmp_path / "one")
    synthesize(PLAN, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_shards_are_read_as_they_were_made(tmp_path, quick):
    synthesize(PLAN, tmp_path)
    shards, bank = Shards(tmp_path), texture_bank(PLAN, 0)
    frames = [frame for number in (0, 1) for frame in scene_frames(PLAN, bank, number)]
    assert len(shards) == len(frames)
    for index, frame in enumerate(frames):
        pair = shards[index]
        assert np.array_equal(pair.rgb, frame.rgb)
        assert np.abs(pair.depth_m - frame.depth_m).max() <= 0.0005 + 1e-6
    with pytest.raises(IndexError):
        shards[len(shards)]
    held_out, rest = Shards(tmp_path, lambda n: n == 1), Shards(tmp_path, lambda n: n != 1)
    assert len(held_out) + len(rest) == len(shards)


def test_shards_can_be_brought_to_one_camera(tmp_path, quick):
    synthesize(PLAN, tmp_path)
    own, common = Shards(tmp_path), Shards(tmp_path, fx_over_width=0.8)
    frames = [frame for number in (0, 1) for frame in scene_frames(PLAN, texture_bank(PLAN, 0), number)]
    for index, frame in enumerate(frames):
        ratio = 0.8 * 2 * math.tan(math.radians(frame.fov_deg) / 2)  # of the focal lengths
        assert np.allclose(common[index].depth_m, own[index].depth_m * ratio, rtol=1e-5)
        assert (own[index].fx_over_width, common[index].fx_over_width) == (pytest.approx(0.8 / ratio), 0.8)


def test_shards_of_different_plans_do_not_mix(tmp_path, quick):
    synthesize(PLAN, tmp_path)
    with pytest.raises(DataError, match="seed"):
        synthesize(replace(PLAN, seed=12), tmp_path)
    assert json.loads((tmp_path / "dataset.json").read_text())["seed"] == 11


@pytest.mark.parametrize("wrong", [{"scenes": "moons"}, {"frames": 0}, {"seed": -1}, {"size": (8, 64)}])
def test_plans_that_can_not_be(wrong):
    with pytest.raises(ConfigError):
        SynthesisPlan(**({"frames": 1, "seed": 0} | wrong))
