"""Coverage-guided fuzzing (Atheris) of the readers whose code is ours, or that strangers reach first.

    pip install -r requirements-fuzz.txt
    python -m benchmarks.fuzz_atheris                      every target for its budget
    python -m benchmarks.fuzz_atheris camera --runs 100000

Each target starts from the seeds of `benchmarks.fuzz_corpus` and keeps what it finds in artifacts/fuzz/TARGET, where
the next run continues. Anything but a result or a GLPNError is a finding: Atheris prints its trace, writes the input.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["glpn", "PIL"]):
    import PIL.TiffImagePlugin  # noqa: F401 - EXIF is read by it
    from PIL import Image

    from glpn.checkpoint import load_config
    from glpn.errors import GLPNError
    from glpn.exif import camera_from_exif
    from glpn.formats import identify
    from glpn.intrinsics import read_camera
    from glpn.scene.depth_files import read_depth

from benchmarks.fuzz_corpus import cameras, configs, depth_files, photos

RUNS = 20_000
KEPT = Path("artifacts/fuzz")


def _identify(data: bytes) -> None:
    identify(io.BytesIO(data), "photo")


def _exif(data: bytes) -> None:
    exif = Image.Exif()
    try:
        exif.load(b"Exif\0\0" + data)
        tags = dict(exif) | dict(exif.get_ifd(0x8769))
    except Exception:  # what glpn.photo takes for a damaged block
        return
    camera_from_exif(tags, (480, 640))


def _by_file(read: Callable[[Path], object], suffix: str) -> Callable[[bytes], None]:
    path = Path(tempfile.gettempdir()) / f"glpn_fuzz{suffix}"

    def target(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return target


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "identify": (_identify, lambda: [case.make() for case in photos() if case.name.startswith("whole")]),
    "exif": (_exif, lambda: [case.make()[12:2000] for case in photos() if "exif" in case.name and not case.heavy]),
    "depth": (
        _by_file(lambda path: read_depth(path, 1000), ".png"),
        lambda: [case.make() for case in depth_files() if case.name.endswith(".png") and not case.heavy],
    ),
    "camera": (
        _by_file(lambda path: read_camera(path, (60, 80)), ".txt"),
        lambda: [data for case in cameras() if len(data := case.make()) < 4000],
    ),
    "config": (_by_file(load_config, ".json"), lambda: [case.make() for case in configs()]),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing.")
    parser.add_argument("target", nargs="?", choices=TARGETS, help="default: all, one after the other")
    parser.add_argument("--runs", type=int, default=RUNS, help="inputs for each target (default: %(default)s)")
    args = parser.parse_args()
    if args.target is None:  # libFuzzer ends the process, so that each target needs its own
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.fuzz_atheris"]
        return max(
            subprocess.run([*command, name, "--runs", str(args.runs)], check=False).returncode for name in TARGETS
        )
    read, seeds = TARGETS[args.target]
    folder = KEPT / args.target
    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(seeds()):
        (folder / f"seed_{index:03}").write_bytes(data)

    def target(data: bytes) -> None:
        try:
            read(data)
        except GLPNError as error:
            assert str(error).isprintable(), repr(str(error))

    options = [f"-atheris_runs={args.runs}", "-timeout=20", "-rss_limit_mb=2000", f"-artifact_prefix={folder}/found_"]
    atheris.Setup([sys.argv[0], str(folder), *options], target)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
