"""The examples run as they are, and print what they promise."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "coffee.png"
    Image.fromarray(skimage.data.coffee()).save(path)
    return path


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a script in this process, which has PyTorch already; returns what it prints."""

    def run(script: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_two_pixels_have_metres_between_them(printed, photo: Path) -> None:
    assert re.fullmatch(
        r"\d+\.\d\d m from \(100, 200\) at \d\.\d\d m to \(500, 210\)\n",
        printed("metres_between.py", photo, "100,200", "500,210"),
    )


def test_a_photo_becomes_files(printed, photo: Path, tmp_path: Path) -> None:
    paths = [Path(line) for line in printed("photo_to_3d.py", photo, tmp_path).splitlines()]
    assert [path.suffix for path in paths] == [".glb", ".png", ".html"]
    assert all(path.stat().st_size > 1000 for path in paths)


def test_a_script_of_transformers_runs_with_its_import_changed(printed, photo: Path) -> None:
    assert re.match(r"600 × 400 pixels, \d\.\d\d to \d\.\d\d m", printed("as_in_transformers.py", photo))
