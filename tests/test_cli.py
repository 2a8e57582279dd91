"""The command line as a user types it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from glpn.cli import main
from glpn.depth_file import read_depth

ROOT = Path(__file__).parents[1]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(skimage.data.coffee()).save(folder / "coffee.jpg")
    Image.fromarray(skimage.data.chelsea()).save(folder / "cat.png")
    return folder


def test_estimate_writes_files_and_prints_a_row_for_each_photo(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["estimate", str(photos), "--out", str(out), "--format", "depth-png,npy"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    assert "600×400" in rows[2]
    assert rows[1].count(" m ") == 3
    assert {path.name.split("_")[0].split(".")[0] for path in out.iterdir()} == {"cat", "coffee"}
    exact = np.load(next(out.glob("coffee*.npy")))
    assert exact.shape == (400, 600)
    from_png = read_depth(next(out.glob("coffee*.png")))
    np.testing.assert_allclose(from_png, exact, atol=0.00051)


def test_one_bad_photo_is_reported_and_passed_over(photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    assert main(["estimate", str(photos), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "broken.jpg" in captured.err
    assert "1 of 3 photos failed" in captured.err
    assert "coffee.jpg" in captured.out
    assert "Traceback" not in captured.err
    assert not list((tmp_path / "out").glob("broken*"))


def test_photos_of_one_name_do_not_overwrite_each_other(photos, tmp_path):
    Image.fromarray(skimage.data.chelsea()).save(photos / "coffee.png")
    out = tmp_path / "out"
    assert main(["estimate", str(photos), "--out", str(out), "--format", "npy"]) == 0
    assert len(list(out.iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["estimate", "absent.jpg"], "absent.jpg"),
        (["estimate", "PHOTO", "--model", "nyu-b9"], "nyu-b9"),
        (["estimate", "PHOTO", "--model", "nyu-b0"], "nyu-b0"),
        (["estimate", "PHOTO", "--fov", "200"], "field of view"),
        (["estimate", "PHOTO", "--camera", "absent.json"], "absent.json"),
        (["estimate", "PHOTO", "--resolution", "7"], "resolution"),
        (["estimate", "PHOTO", "--device", "toaster"], "toaster"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(photos, tmp_path, capsys, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    arguments = [str(photos / "coffee.jpg") if argument == "PHOTO" else argument for argument in arguments]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert word in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [[], ["paint"], ["estimate"], ["estimate", "x.jpg", "--format", "gif"]])
def test_wrong_usage_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_a_camera_changes_the_scale(photos, tmp_path):
    medians = {}
    for fov in ("30", "90"):
        out = tmp_path / fov
        assert main(["estimate", str(photos / "coffee.jpg"), "--out", str(out), "--format", "npy", "--fov", fov]) == 0
        medians[fov] = np.median(np.load(next(out.iterdir())))
    expected = np.tan(np.radians(45)) / np.tan(np.radians(15))
    assert medians["30"] / medians["90"] == pytest.approx(expected, rel=0.01)


def test_the_module_runs(tmp_path):
    listing = subprocess.run(
        [sys.executable, "-W", "error", "-m", "glpn", "zoo", "list"], capture_output=True, text=True, cwd=ROOT
    )
    assert listing.returncode == 0, listing.stderr
    assert "rooms-b0" in listing.stdout
    assert "kitti-b5" in listing.stdout


def test_listing_the_zoo_does_not_wait_for_torch():
    code = "import sys; from glpn.cli import main; main(['zoo', 'list']); print('torch' in sys.modules)"
    listing = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert listing.stdout.splitlines()[-1] == "False"
