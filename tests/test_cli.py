"""The command line as a user types it."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import glpn
from glpn.commands import COMMANDS, load_command, main, make_parser
from glpn.scene.depth_files import read_depth

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
    assert {path.name.split("_")[0].split(".")[0] for path in out.glob("[!.]*")} == {"cat", "coffee"}
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


def test_something_to_send_is_written(photos, tmp_path, monkeypatch, capsys):
    Image.fromarray(skimage.data.coffee()).resize((150, 100)).save(photos / "coffee.jpg")
    out = tmp_path / "out"
    formats = "gif,anaglyph,sbs,cross,postcard,cutout,focus"
    assert (
        main(["estimate", str(photos / "coffee.jpg"), "--out", str(out), "--format", formats, "--distance", "0.6"]) == 0
    )
    sizes = {}
    for path in out.glob("[!.]*"):
        with Image.open(path) as image:
            sizes[path.name.removeprefix("coffee_")] = (image.size, getattr(image, "n_frames", 1), image.mode)
    assert sizes == {
        "3d.gif": ((150, 100), 20, "P"),
        "anaglyph.png": ((150, 100), 1, "RGB"),
        "LRF_Full_SBS.png": ((300, 100), 1, "RGB"),
        "cross-eyed.png": ((300, 100), 1, "RGB"),
        "postcard.png": ((1352, 558), 1, "RGB"),
        "cutout.png": ((150, 100), 1, "RGBA"),
        "focus.jpg": ((150, 100), 1, "RGB"),
    }
    monkeypatch.setitem(sys.modules, "av", None)  # as if PyAV were not installed
    assert main(["estimate", str(photos / "coffee.jpg"), "--out", str(out), "--format", "mp4"]) == 1
    assert 'MP4 needs PyAV, which is not installed. Run `pip install "glpn[video]"`.' in capsys.readouterr().err


def test_photos_of_one_name_do_not_overwrite_each_other(photos, tmp_path):
    Image.fromarray(skimage.data.chelsea()).save(photos / "coffee.png")
    out = tmp_path / "out"
    assert main(["estimate", str(photos), "--out", str(out), "--format", "npy"]) == 0
    assert len(list(out.glob("*.npy"))) == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["estimate", "absent.jpg"], "absent.jpg"),
        (["estimate", "PHOTO", "--model", "nyu-b9"], "nyu-b9"),
        (["estimate", "PHOTO", "--model", "nyu-b0"], "nyu-b0"),
        (["estimate", "PHOTO", "--fov", "200"], "field of view"),
        (["estimate", "PHOTO", "--camera", "absent.json"], "absent.json"),
        (["estimate", "PHOTO", "--resolution", "7"], "resolution"),
        (["estimate", "PHOTO", "--distance", "-1"], "distance"),
        (["estimate", "PHOTO", "--aperture", "nan"], "aperture"),
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


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["estimate"],
        ["estimate", "x.jpg", "--format", "exr"],
        ["estimate", "x.jpg", "--relief", "120,8,2,90"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_understands(name, capsys):
    for line in load_command(name).EXAMPLES:
        program, *arguments = shlex.split(line)
        assert program == "glpn"
        assert make_parser(name).parse_args(arguments).command == name
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert line in capsys.readouterr().out


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"glpn {glpn.__version__}\n"


def test_a_page_that_cannot_start_is_one_sentence_and_exit_code_2(capsys):
    assert main(["demo", "--port", "70000"]) == 2
    assert "70000" in capsys.readouterr().err


def test_a_camera_changes_the_scale(photos, tmp_path):
    medians = {}
    for fov in ("30", "90"):
        out = tmp_path / fov
        assert (
            main(
                [
                    "estimate",
                    str(photos / "coffee.jpg"),
                    "--out",
                    str(out),
                    "--format",
                    "npy",
                    "--fov",
                    fov,
                    "--correct-scale",
                ]
            )
            == 0
        )
        medians[fov] = np.median(np.load(next(out.glob("*.npy"))))
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
    code = "import sys; from glpn.commands import main; main(['zoo', 'list']); print('torch' in sys.modules)"
    listing = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert listing.stdout.splitlines()[-1] == "False"
