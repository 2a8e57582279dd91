"""The Video page: a clip in, steady depth out, as clips that play here and as numbers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from glpn.bounds import SMOOTHING
from glpn.errors import VideoError
from glpn.hub import megabytes
from glpn.photo import Photo
from glpn.prediction import DepthPrediction
from glpn.video import CLIP_SECONDS, CLIPS, SUFFIXES, VideoResult, VideoSettings, estimate_video, open_clip
from glpn.web.choices import Choices
from glpn.web.jobs import Progress, Report, Stopped, follow, reported
from glpn.web.parts import components, html
from glpn.web.parts.colors import Colors, choices_of
from glpn.web.parts.job_box import JobBox, take_files
from glpn.web.runner import Engine
from glpn.web.session import Session, Sessions
from glpn.web.turns import Place, Turns
from glpn.web.uploads import NO_ROOM

PUBLIC_SECONDS = 20.0  # longest clip where strangers share the machine


class InTurns:
    """An estimator whose every batch of frames waits for a turn of its own, so that photos of others come between."""

    def __init__(self, estimator: Any, turns: Turns, place: Place, left: Callable[[], bool]) -> None:
        self.estimator, self.turns, self.place, self.left = estimator, turns, place, left

    def estimate_batch(self, photos: Sequence[Photo]) -> list[DepthPrediction]:
        with self.turns.turn(self.place, self.left, lambda before, seconds: None):
            batch: list[DepthPrediction] = self.estimator.estimate_batch(photos)
        return batch


def estimate_clip(
    session: Session,
    engine: Engine,
    folder: Path,
    path: str | None,
    model: str,
    kinds: Sequence[str],
    smoothing: float,
    choices: Choices,
) -> Iterator[dict[str, Any]]:
    """Estimate the clip `path` and write `kinds` into `folder`; yields the progress and, at last, players and links.

    Stop keeps the frames that are finished.
    """
    engine.check(model)
    if not path:
        raise VideoError("There is no clip yet. Choose an MP4, MOV, WebM or GIF file.")
    clip = open_clip(Path(path), max_seconds=PUBLIC_SECONDS if engine.host.public else CLIP_SECONDS)
    if not session.has_room():
        raise VideoError(NO_ROOM)
    settings = VideoSettings(smoothing=SMOOTHING.check(smoothing), look=choices.look)

    def work(stop: threading.Event, report: Report, left: Stopped) -> tuple[VideoResult, float]:
        def loading(done: int, total: int | None, rate: float) -> None:
            report(Progress(f"Downloading {model}: {megabytes(done)}.", done / total if total else None))

        with engine.turns.place() as place:
            report(Progress(f"Loading {model}."))
            estimator = engine.store.get(model, progress=loading, cancelled=lambda: stop.is_set() or left())
            started = time.monotonic()

            def told(done: int, frames: int) -> None:
                rate = done / max(time.monotonic() - started, 1e-6)
                ahead = f", {(frames - done) / rate:.0f} s left" if done < frames else ""
                sentence = f"Frame {done} of about {frames}, {rate:.1f} per second{ahead}."
                report(Progress(sentence, min(1.0, done / frames)))

            report(Progress("Finding the range of colors."))
            result = estimate_video(
                clip,
                InTurns(estimator, engine.turns, place, left),
                folder,
                kinds,
                settings=settings,
                progress=told,
                cancelled=lambda: stop.is_set() or left(),
            )
        return result, result.frames / max(time.monotonic() - started, 1e-6)

    with session.job() as stop:
        # Stop ends it between frames, so that it is not what `follow` waits for.
        result, rate = yield from reported(follow(partial(work, stop), threading.Event()))
    yield {"progress": "", "clips": players(result, rate)}


def title(kind: str) -> str:
    """Return what a clip of `kind` shows, as the beginning of a line."""
    text = CLIPS[kind][1]
    return text[0].upper() + text[1:]


def players(result: VideoResult, rate: float) -> str:
    """Return the clips to play, links to all files, and what was measured."""
    plays = "".join(
        f'<video controls loop muted playsinline preload="metadata" src="{html.file_url(file)}" '
        f'aria-label="{CLIPS[kind][1]}"></video>'
        for kind, file in result.files.items()
        if file.suffix == ".mp4"
    )
    links = "".join(html.download(file, title(kind)) for kind, file in result.files.items())
    before, after = result.flicker
    rows = [
        ("Frames", f"{result.frames}, {rate:.1f} per second"),
        ("Colors", f"{result.uncertainty.span(*result.range_m)} over the whole clip"),
    ]
    if before == before:  # NaN where nothing stood still
        rows.append(("Flicker where the picture stands still", f"{before:.2f} % before smoothing, {after:.2f} % after"))
    notes = html.notices([*result.notes, result.uncertainty.basis])
    return f'<div class="clips">{plays}</div>{links}{html.facts(rows)}{notes}'


class VideoPage:
    """Layout and wiring of the Video page."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine, self.sessions = engine, sessions
        longest = PUBLIC_SECONDS if engine.host.public else CLIP_SECONDS
        gr.HTML(
            f'<p class="lead">A clip of up to {longest:.0f} s becomes a depth clip in one range of colors, steadied '
            "where the picture stands still. Longer ones: <code>glpn video CLIP</code>.</p>",
            apply_default_css=False,
        )
        with gr.Row(elem_id="video"):
            with gr.Column(scale=1, min_width=320):
                clip = components.file_input(
                    sessions.uploads, label="Clip", file_types=["video", *SUFFIXES], height=150, elem_id="video-clip"
                )
                model = components.model_choice(engine.zoo, elem_id="video-model")
                kinds = gr.CheckboxGroup(
                    [(title(kind), kind) for kind in CLIPS],
                    value=["depth", "side"],
                    label="Files",
                    elem_id="video-kinds",
                )
                smoothing = gr.Slider(
                    SMOOTHING.least,
                    SMOOTHING.most,
                    value=SMOOTHING.default,
                    step=0.05,
                    label="Smoothing",
                    info="How much of the past stays where the picture stands still.",
                    elem_id="video-smoothing",
                )
                box = JobBox("Estimate the clip", elem_id="video")
            with gr.Column(scale=2, min_width=320):
                clips = gr.HTML(apply_default_css=False, elem_id="video-clips")
                self.colors = Colors("video")

        inputs = {"path": clip, "model": model, "kinds": kinds, "smoothing": smoothing, **self.colors.values}
        box.wire(sessions, self._work, inputs, {"clips": clips})
        take_files(sessions, clip)

    def _work(
        self, session: Session, path: str | None, model: str, kinds: list[str], smoothing: float, **colors: Any
    ) -> Iterator[dict[str, Any]]:
        yield {"clips": ""}
        folder, choices = self.sessions.uploads.api_folder(), choices_of(**colors)
        yield from estimate_clip(session, self.engine, folder, path, model, kinds, smoothing, choices)
