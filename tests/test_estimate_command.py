"""`glpn estimate` over folders: resumed, stopped, recursive, side by side."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from glpn.commands import main
from glpn.commands.estimate import FINISHED
from glpn.folders import find_photos

ROOT = Path(__file__).parents[1]


@pytest.fixture
def photos(tmp_path):
    """Five photos, two of one name in different folders."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    coffee, cat = Image.fromarray(skimage.data.coffee()), Image.fromarray(skimage.data.chelsea())
    for name, image in (("a.jpg", coffee), ("b.png", cat), ("c.jpg", cat), ("more/a.jpg", cat), ("more/d.jpg", coffee)):
        image.resize((160, 120)).save(folder / name)
    return folder


def estimate(photos, out, *options):
    return main(["estimate", str(photos), "--out", str(out), "--recursive", "--skip-existing", *options])


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != FINISHED)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def mode_and_size(path):
    """Decode the whole file."""
    with Image.open(path) as image:
        image.load()
        return image.mode, image.size


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB") if image.mode == "P" else image, np.int32)


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_folders_within_folders_keep_their_places(photos, tmp_path):
    assert estimate(photos, tmp_path / "out") == 0
    stems = {name.partition("_depth")[0] for name in contents(tmp_path / "out")}
    assert stems == {"a", "b", "c", "more/a", "more/d"}


def test_a_second_run_redoes_nothing(photos, tmp_path, capsys):
    out = tmp_path / "out"
    estimate(photos, out)
    before = times(out)
    assert estimate(photos, out) == 0
    assert times(out) == before
    assert "5 of 5 photos were finished before" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["settings", "photo", "cut file", "removed file"])
def test_only_a_whole_file_of_the_same_settings_and_photo_is_finished(photos, tmp_path, capsys, change):
    out, options = tmp_path / "out", []
    estimate(photos, out)
    target = out / "more" / "d_depth_mm.png"
    if change == "settings":
        options = ["--resolution", "fast"]
    elif change == "photo":
        Image.fromarray(skimage.data.chelsea()).save(photos / "more" / "d.jpg")
    elif change == "cut file":
        target.write_bytes(target.read_bytes()[:-20])
    else:
        target.unlink()
    capsys.readouterr()
    assert estimate(photos, out, *options) == 0
    skipped = "of 5 photos were finished before"
    error = capsys.readouterr().err
    assert skipped not in error if change == "settings" else f"4 {skipped}" in error
    assert mode_and_size(target)[0] == "I;16"


def test_an_interrupted_folder_resumed_equals_an_uninterrupted_one(photos, tmp_path):
    """Stopped by Ctrl-C after its first row, it leaves whole files only, and a restart makes the others."""
    for number in range(20):
        Image.fromarray(np.roll(skimage.data.coffee(), 9 * number, axis=1)).save(photos / f"e{number}.jpg")
    out = tmp_path / "out"
    command = [sys.executable, "-u", "-m", "glpn", "estimate", str(photos), "--out", str(out)]
    command += ["--recursive", "--skip-existing", "--engine", "pytorch"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert run.stdout is not None
    assert "seconds" in run.stdout.readline()
    assert "a.jpg" in run.stdout.readline()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    begun = contents(out)
    assert 0 < len(begun) < 50
    for path in out.rglob("*.png"):
        mode_and_size(path)
    assert estimate(photos, out, "--engine", "pytorch") == 0
    assert estimate(photos, tmp_path / "whole", "--engine", "pytorch") == 0
    whole = tmp_path / "whole"
    assert contents(out).keys() == contents(whole).keys()
    for name in contents(out):  # photos that shared a batch in one run may be apart in the other: the last bit differs
        np.testing.assert_allclose(pixels(out / name), pixels(whole / name), rtol=0, atol=8 if "color" in name else 1)
    assert begun.items() <= contents(out).items()


def test_a_line_that_was_cut_short_is_no_record(photos, tmp_path, capsys):
    out = tmp_path / "out"
    estimate(photos, out)
    journal = out / FINISHED
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:-1], lines[-1][:30], json.dumps(["no", "record"])]) + "\n")
    capsys.readouterr()
    assert estimate(photos, out) == 0
    assert "4 of 5 photos were finished before" in capsys.readouterr().err


def test_a_table_has_a_row_for_each_photo(photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    table = tmp_path / "tables" / "summary.csv"
    assert estimate(photos, tmp_path / "out", "--summary", str(table)) == 1
    with table.open(newline="") as file:
        rows = {Path(row["photo"]).relative_to(photos).as_posix(): row for row in csv.DictReader(file)}
    assert len(rows) == 6
    assert rows["broken.jpg"]["result"] == "failed"
    assert "broken.jpg" in rows["broken.jpg"]["reason"]
    row = rows["more/d.jpg"]
    assert (row["result"], row["width"], row["height"]) == ("done", "160", "120")
    assert 0 < float(row["min_m"]) <= float(row["median_m"]) <= float(row["max_m"])


def test_the_output_folder_is_not_searched(photos):
    out = photos / "depth"
    assert estimate(photos, out) == 0
    assert len(find_photos([photos], recursive=True).photos) == 5


def test_a_photo_decoded_at_a_fraction_of_its_size_gives_depth_of_its_own_size(tmp_path):
    Image.fromarray(skimage.data.coffee()).resize((2400, 1600)).save(tmp_path / "large.jpg")
    assert main(["estimate", str(tmp_path / "large.jpg"), "--out", str(tmp_path / "out")]) == 0
    for path in (tmp_path / "out").glob("*.png"):
        assert mode_and_size(path)[1] == (2400, 1600)


def test_a_table_that_can_not_be_written_is_one_sentence(photos, tmp_path, capsys):
    assert estimate(photos, tmp_path / "out", "--summary", str(photos / "a.jpg" / "table.csv")) == 1
    assert "can't be written" in capsys.readouterr().err
