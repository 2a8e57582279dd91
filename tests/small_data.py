"""NYU and KITTI in the layouts of BTS and GLPDepth, small and rendered: 200 training pairs each, and a few to test."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from glpn.synthesis.shards import RgbdImage, SynthesisPlan, scene_frames, texture_bank

SIZES = {"nyu": (120, 160), "kitti": (64, 208)}
WHOLE = 4  # NYU's test pairs are this many times larger: its metrics are defined at 480 × 640
WORLDS = {"nyu": "rooms", "kitti": "streets"}
LIGHTS = 10  # a rendered view and its mirror image in so many lights
TRAIN, TEST = 200, 4
VIEWS = 6  # of a scene


def write_small_data(root: Path) -> dict[str, Path]:
    """Render both data sets into `root`; returns their folders."""
    cv2.setNumThreads(1)
    bank = None
    folders = {}
    for head, size in SIZES.items():
        plan = SynthesisPlan(TEST, 3, scenes=WORLDS[head], size=size, views_per_scene=VIEWS, scenes_per_shard=1)
        bank = bank or texture_bank(plan, 0)
        frames = [frame for number in range(3) for frame in scene_frames(plan, bank, number)]
        folders[head] = root / {"nyu": "nyu_depth_v2", "kitti": "kitti"}[head]
        write = _write_nyu if head == "nyu" else _write_kitti
        views = len(frames) - TEST
        train = [_in_light(frames[TEST + n % views], n // views) for n in range(TRAIN)]
        write(folders[head], {"test": frames[:TEST], "train": train})
    return folders


def _in_light(frame: RgbdImage, number: int) -> RgbdImage:
    mirrored = slice(None, None, -1 if number % 2 else 1)
    lit = ImageEnhance.Brightness(Image.fromarray(frame.rgb)).enhance(0.6 + 0.8 * number / LIGHTS)
    return RgbdImage(np.asarray(lit)[:, mirrored], frame.depth_m[:, mirrored], frame.fov_deg)


def _write_nyu(root: Path, parts: dict[str, list[RgbdImage]]) -> None:
    for part, frames in parts.items():
        folder = root / {"train": "sync", "test": "official_splits/test"}[part]
        lines = []
        for number, frame in enumerate(frames):
            scene = f"bedroom_{number % 4:04d}"
            if part == "test":
                larger = [np.repeat(np.repeat(a, WHOLE, 0), WHOLE, 1) for a in (frame.rgb, frame.depth_m)]
                frame = RgbdImage(larger[0], larger[1], frame.fov_deg)
            names = f"/{scene}/rgb_{number:05d}.jpg", f"/{scene}/sync_depth_{number:05d}.png"
            _save(frame, folder / names[0][1:], folder / names[1][1:], 1000)
            lines.append(f"{names[0]} {names[1]} 518.8579")
        (root / f"nyudepthv2_{part}_files_with_gt.txt").write_text("\n".join(lines) + "\n")


def _write_kitti(root: Path, parts: dict[str, list[RgbdImage]]) -> None:
    for place, (part, frames) in enumerate(parts.items()):
        lines = []
        for number, frame in enumerate(frames):
            drive = f"2011_09_26_drive_{4 * place + number % 4:04d}_sync"
            picture = f"2011_09_26/{drive}/image_02/data/{number:010d}.png"
            depth = f"{drive}/proj_depth/groundtruth/image_02/{number:010d}.png"
            kept = "train" if part == "train" else "val"
            _save(frame, root / "raw" / picture, root / "data_depth_annotated" / kept / depth, 256)
            lines.append(f"{picture} {depth} 721.5377")
        lines.append(f"2011_09_26/{drive}/image_02/data/9999999999.png None 721.5377")
        (root / f"eigen_{part}_files_with_gt.txt").write_text("\n".join(lines) + "\n")


def _save(frame: RgbdImage, picture: Path, depth: Path, scale: int) -> None:
    for path in (picture, depth):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame.rgb).save(picture, **({"quality": 95} if picture.suffix == ".jpg" else {"compress_level": 1}))
    steps = np.rint(frame.depth_m * scale).astype(np.uint16)
    Image.fromarray(steps).save(depth, compress_level=1)
