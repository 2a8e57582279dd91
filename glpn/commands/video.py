"""`glpn video CLIP`: depth of every frame, steady over the clip."""

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from glpn.bounds import SMOOTHING
from glpn.estimator import load_estimator
from glpn.model.device import use_available_cores
from glpn.scene.figures import COLOR_MAPS
from glpn.scene.look import Look
from glpn.video import CLIP_SECONDS, CLIPS, FRAME_SIDE, VideoSettings, estimate_video, open_clip

from .options import add_model

EXAMPLES = (
    "glpn video clip.mp4",
    "glpn video clip.mov --kind depth --kind npz --max-side 960 --out depth",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = "; ".join(f"{name}: {what}" for name, (_, what) in CLIPS.items())
    parser.add_argument("clip", type=Path, help="an MP4, MOV, WebM or GIF file")
    parser.add_argument("--out", type=Path, default=Path(), help="output folder (default: this folder)")
    parser.add_argument("--kind", action="append", choices=CLIPS, help=f"what to write, repeatable. {kinds}")
    add_model(parser)
    parser.add_argument(
        "--smoothing", type=float, default=SMOOTHING.default, help="0 (off) to 0.95 (default: %(default)s)"
    )
    parser.add_argument("--max-side", type=int, default=FRAME_SIDE, help="longer side in pixels (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=CLIP_SECONDS, help="longest clip (default: %(default)s)")
    parser.add_argument("--colors", choices=COLOR_MAPS, default=Look.colors, help="color map (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    clip = open_clip(args.clip, max_seconds=args.max_seconds)
    use_available_cores()
    estimator = load_estimator(args.model)
    started = time.monotonic()
    with tqdm(total=clip.frames, unit=" frames", disable=not sys.stderr.isatty()) as bar:
        result = estimate_video(
            clip,
            estimator,
            args.out,
            tuple(args.kind or ("depth",)),
            settings=VideoSettings(smoothing=args.smoothing, max_side=args.max_side, look=Look(colors=args.colors)),
            progress=lambda done, expected: bar.update(done - bar.n),
        )
    seconds = time.monotonic() - started
    for note in result.notes:
        print(f"Note: {note}", file=sys.stderr)
    before, after = result.flicker
    print(f"{result.frames} frames, {result.frames / seconds:.1f} per second")
    print(f"Colors from {result.uncertainty.span(*result.range_m)}")
    print(f"Flicker where the picture stands still: {before:.2f} % before smoothing, {after:.2f} % after")
    for path in result.files.values():
        print(path)
    return 0
