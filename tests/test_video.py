"""Clips read, steadied and written: every file is opened again, and what is no clip is refused in a sentence."""

import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from glpn.camera import Camera
from glpn.errors import ConfigError, VideoError
from glpn.photo import Photo
from glpn.prediction import DepthPrediction
from glpn.scene.look import Look
from glpn.scene.uncertainty import Uncertainty
from glpn.video import CLIPS, SWAY_SECONDS, Steady, Sway, estimate_video, open_clip, read_frames
from glpn.web.pages.video import players

av = pytest.importorskip("av")
SIZE = (96, 128)


class Flickering:
    """Depth that is a function of the frame's brightness, times a scale that jumps from frame to frame."""

    def __init__(self, wobble: float = 0.1) -> None:
        self.rng, self.wobble, self.seen = np.random.default_rng(0), wobble, 0

    def estimate_batch(self, photos, **settings):
        self.seen += len(photos)
        return [
            DepthPrediction(
                depth_m=(1 + photo.rgb[..., 0] / np.float32(64))
                * np.float32(math.exp(self.wobble * self.rng.normal())),
                variant="test",
                max_depth_m=10.0,
                working_size=photo.size,
                seconds=0.0,
                camera=Camera.assumed_like(0.8, photo.size),
            )
            for photo in photos
        ]


def picture(step: int = 0) -> np.ndarray:
    """A gradient that stands still, with a bright square that moves over it."""
    rgb = np.repeat(np.tile(np.linspace(20, 200, SIZE[1]), (SIZE[0], 1))[..., None], 3, 2).astype(np.uint8)
    rgb[30:50, step * 4 : step * 4 + 20] = 255
    return rgb


def write_clip(path: Path, frames=24, *, rotation=0, times=None, codec="libx264") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for step in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(step), format="rgb24")
            if times:
                frame.pts, frame.time_base = round(1000 * times[step]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.webm", "libvpx"), ("a.gif", "gif")]
)
def test_a_clip_of_every_kind_becomes_every_kind(tmp_path, name, codec):
    clip = open_clip(write_clip(tmp_path / name, codec=codec))
    assert clip.size == SIZE
    seen = []
    result = estimate_video(clip, Flickering(), tmp_path / "out", tuple(CLIPS), progress=lambda *n: seen.append(n))
    assert result.frames == 24 and seen[-1][0] == 24
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_depth.mp4",
        "a_depth_m.npz",
        "a_photo3d.mp4",
        "a_side.mp4",
    ]
    for kind, width in (("depth", 128), ("side", 256), ("photo3d", 128)):
        again = open_clip(result.files[kind])
        assert again.size == (96, width)
        assert again.seconds == pytest.approx(1.0, abs=0.1)
        assert len(list(read_frames(again, again.size))) == 24
    with np.load(result.files["npz"]) as data:
        assert data["depth_00023"].shape == SIZE
        assert data["time_00012"] == pytest.approx(0.5, abs=0.05)


def test_one_range_of_colors_holds_for_the_whole_clip(tmp_path):
    result = estimate_video(open_clip(write_clip(tmp_path / "a.mp4")), Flickering(0), tmp_path)
    frames = [rgb for _, rgb in read_frames(open_clip(result.files["depth"]), SIZE)]
    assert np.abs(frames[0][80:].astype(int) - frames[-1][80:]).mean() < 4
    assert 1 < result.range_m[0] < result.range_m[1] < 6
    known = replace(result, uncertainty=Uncertainty(0.3, False, "Measured."))
    assert re.search(r"<dd>\d\.\d m ± \d\.\d to \d\.\d m ± \d\.\d over the whole clip", players(known, 1.0))
    assert players(result, 1.0).count("error unknown") == 2


def test_in_a_3d_clip_near_and_far_move_against_each_other():
    rgb, depth_m = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, 4.0, np.float32)
    rgb[30:60, 50:70, 0], depth_m[20:70, 40:80] = 255, 1.0  # red and near
    rgb[30:60, 100:110, 1] = 255  # green and far
    sway = Sway(Camera.assumed_like(0.8, SIZE), Look())
    right, left = (sway(at * SWAY_SECONDS, rgb, depth_m).astype(float) for at in (0.25, 0.75))
    near, far = ((column(right, channel) - column(left, channel)) for channel in (0, 1))
    assert near < -1 and far > 1  # the camera stands right first, so what is near stands left


def column(picture: np.ndarray, channel: int) -> float:
    """Mean column of what is bright in one channel."""
    weight = picture[..., channel].sum(axis=0)
    return float((weight * np.arange(weight.size)).sum() / weight.sum())


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.2]
    clip = open_clip(write_clip(tmp_path / "a.mp4", 6, times=times))
    result = estimate_video(clip, Flickering(), tmp_path)
    written = [time for time, _ in read_frames(open_clip(result.files["depth"]), SIZE)]
    assert written == pytest.approx(times, abs=0.01)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_phones_rotation_is_obeyed(tmp_path, rotation):
    clip = open_clip(write_clip(tmp_path / "a.mp4", 2, rotation=rotation))
    assert clip.size == (SIZE if rotation == 180 else SIZE[::-1])
    _, rgb = next(read_frames(clip, clip.size))
    upright = np.rot90(picture(), rotation // 90)
    assert np.abs(rgb.astype(int) - upright).mean() < 6


def test_flicker_falls_where_the_picture_stands_still_and_moving_parts_follow_at_once():
    estimator, steady, rng = Flickering(0.1), Steady(0.9), np.random.default_rng(1)
    for step in range(25):
        rgb = picture(step)
        (prediction,) = estimator.estimate_batch([_photo(rgb)])
        noisy = prediction.depth_m * np.exp(0.05 * rng.normal(size=SIZE)).astype(np.float32)
        smooth = steady(rgb, noisy)
    before, after = steady.flicker
    assert before > 8 and after < before / 4
    square = np.s_[35:45, 24 * 4 + 4 : 24 * 4 + 16]
    assert np.median(smooth[square]) == pytest.approx(1 + 255 / 64, rel=0.25)


def test_another_scene_starts_anew_and_off_is_off():
    steady, dark, bright = Steady(0.9), np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 250, np.uint8)
    steady(dark, np.full((40, 40), 1, np.float32))
    assert np.all(steady(bright, np.full((40, 40), 5, np.float32)) == 5)
    off = Steady(0)
    for depth in (1.0, 3.0):
        assert off(dark, np.full((40, 40), depth, np.float32)) == pytest.approx(depth, rel=1e-5)
    with pytest.raises(ConfigError, match="smoothing"):
        Steady(1.0)


def test_stop_keeps_what_is_done(tmp_path):
    clip = open_clip(write_clip(tmp_path / "a.mp4", 40))
    estimator = Flickering()
    result = estimate_video(clip, estimator, tmp_path, cancelled=lambda: estimator.seen >= 16)
    assert result.frames < 40
    assert "Stopped after" in result.notes[-1]
    assert len(list(read_frames(open_clip(result.files["depth"]), SIZE))) == result.frames


def test_a_failure_leaves_nothing_behind(tmp_path):
    clip = open_clip(write_clip(tmp_path / "a.mp4", 40))

    class Failing(Flickering):
        def estimate_batch(self, photos, **settings):
            if self.seen > 20:
                raise RuntimeError("no")
            return super().estimate_batch(photos)

    with pytest.raises(RuntimeError):
        estimate_video(clip, Failing(), tmp_path / "out", tuple(CLIPS))
    assert not list((tmp_path / "out").iterdir())


def test_memory_holds_a_few_frames_only(tmp_path):
    """Frames are read at most a few batches ahead of what is written."""
    clip, estimator, ahead = open_clip(write_clip(tmp_path / "a.mp4", 60)), Flickering(), []
    estimate_video(clip, estimator, tmp_path, progress=lambda done, _: ahead.append(estimator.seen - done))
    assert max(ahead) <= 8 + 4


def _photo(rgb):
    return Photo(rgb=rgb, size=rgb.shape[:2])


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "damaged"), (b"not a clip at all" * 100, "damaged"), (None, "no clip")],
    ids=["empty", "text", "missing"],
)
def test_what_is_no_clip_is_refused_in_a_sentence(tmp_path, content, words):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=words):
        open_clip(path)


def test_a_clip_that_breaks_off_gives_what_came_before(tmp_path):
    whole = write_clip(tmp_path / "a.webm", 48, codec="libvpx").read_bytes()
    (tmp_path / "b.webm").write_bytes(whole[: len(whole) * 2 // 3])
    result = estimate_video(open_clip(tmp_path / "b.webm"), Flickering(), tmp_path)
    assert 4 < result.frames < 48


def test_sound_alone_too_long_and_too_large_are_refused(tmp_path, monkeypatch):
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match="no video"):
        open_clip(tmp_path / "a.wav")
    clip = write_clip(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="1 s long"):
        open_clip(clip, max_seconds=0.5)
    monkeypatch.setattr("glpn.video.MAX_FRAME_PIXELS", 100)
    with pytest.raises(VideoError, match="128 × 96"):
        open_clip(clip)
    monkeypatch.setattr("glpn.video.MAX_CLIP_BYTES", 100)
    with pytest.raises(VideoError, match="MB"):
        open_clip(clip)
