"""Which photos are meant, what is said of the rest, and names that a file system takes."""

import os
from pathlib import Path

import pytest
from PIL import Image

from glpn.commands import main
from glpn.errors import PhotoNotFound
from glpn.folders import OWN_ENDINGS, find_photos
from glpn.formats import PHOTO_FORMATS
from glpn.scene.export import FORMATS as EXPORTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a phone, a camera and a Mac leave behind."""
    names = [
        "a.JPG",
        "b.jfif",
        "c.heic",
        "d.avif",
        "e.mpo",
        "._a.JPG",
        ".hidden.png",
        "notes.txt",
        "IMG_1.MOV",
        "x.NEF",
    ]
    for name in (*names, "a_depth_mm.png", "a_depth_color.png", "a_depth_256_per_m.png", "a_depth_m.tiff"):
        (tmp_path / name).touch()
    (tmp_path / "below" / ".cache").mkdir(parents=True)
    (tmp_path / "below" / "f.png").touch()
    (tmp_path / "below" / ".cache" / "g.png").touch()
    return tmp_path


def test_every_format_is_found_and_the_rest_is_said(folder):
    found = find_photos([folder])
    assert [path.name for path, _ in found.photos] == ["a.JPG", "b.jfif", "c.heic", "d.avif", "e.mpo"]
    assert found.summary == (
        "Skipped: camera raw files, to be exported as JPEG or TIFF (1), files of other kinds (2), files that glpn "
        "wrote (4), folders, which --recursive enters (1), hidden files (2)."
    )


def test_folders_below_are_entered_on_request_but_hidden_ones_never(folder):
    names = [path.name for path, _ in find_photos([folder], recursive=True).photos]
    assert names[-1] == "f.png" or "f.png" in names
    assert "g.png" not in names


@pytest.mark.parametrize("kind", PHOTO_FORMATS)
def test_no_format_is_left_out(kind, tmp_path):
    for suffix in PHOTO_FORMATS[kind].suffixes:
        (tmp_path / f"photo{suffix.upper()}").touch()
    assert len(find_photos([tmp_path]).photos) == len(PHOTO_FORMATS[kind].suffixes)


def test_own_pictures_are_known_by_their_endings():
    pictures = [kind.suffix for kind in EXPORTS.values() if kind.suffix.endswith((".png", ".tiff"))]
    assert set(pictures) < set(OWN_ENDINGS)


def test_a_second_run_takes_no_own_output(tmp_path, capsys):
    Image.new("RGB", (64, 48), "gray").save(tmp_path / "room.png")
    for _ in range(2):
        assert main(["estimate", str(tmp_path), "--out", str(tmp_path), "--resolution", "32"]) == 0
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == [
        "room.png",
        "room_depth_color.png",
        "room_depth_mm.png",
    ]
    assert "files that glpn wrote (2)" in capsys.readouterr().err


def test_patterns_and_home_are_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert [path.name for path, _ in find_photos(["~/*.j*"]).photos] == ["b.jfif"]
    assert [path for path, _ in find_photos(["~/below"]).photos] == [folder / "below" / "f.png"]
    assert find_photos([folder / "**" / "*.png"]).photos[-1][0].name == "f.png"
    (folder / "[1].png").touch()
    assert find_photos([folder / "[1].png"]).photos[0][0].name == "[1].png"  # a file of that name comes first


def test_a_named_file_is_taken_as_it_is(folder):
    assert find_photos([folder / "._a.JPG", folder / "a_depth_mm.png", "nowhere.jpg"]).summary == ""


@pytest.mark.parametrize("pattern", ["", "*.txt", "*.webp"])
def test_nothing_found_is_an_error_that_says_what_was_there(pattern, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PhotoNotFound, match=r"holds no photo\. Expected \.jpg") as refused:
        find_photos([tmp_path / pattern])
    assert ("files of other kinds" in str(refused.value)) == (pattern != "*.webp")


@pytest.mark.parametrize("stem", ["x" * 251, "山" * 78, "é" * 120])
def test_long_names_are_shortened(stem, tmp_path):
    [(_, short)] = find_photos([tmp_path / f"{stem}.jpg"]).photos
    assert stem.startswith(short)
    assert len(os.fsencode(short)) + 40 < 255


def test_stems_differ_and_are_names(tmp_path):
    paths = [tmp_path / one / "a.jpg" for one in "xyz"] + [
        tmp_path / "..jpg",
        tmp_path / ("b" * 250),
        tmp_path / ("b" * 251),
    ]
    stems = [stem for _, stem in find_photos(paths).photos]
    assert stems[:4] == ["a", "a-2", "a-3", "photo"]
    assert len(set(stems)) == len(paths)


def test_a_long_name_and_a_hostile_one_run_to_their_files(tmp_path, capsys):
    picture = Image.new("RGB", (64, 48), "gray")
    picture.save(tmp_path / f"{'x' * 240}.jpg")
    picture.save(tmp_path / "\x1b[2Jred.jpg")
    (tmp_path / "\x9b broken.jpg").write_bytes(b"not a picture")
    assert main(["estimate", str(tmp_path), "--out", str(tmp_path / "out"), "--resolution", "32"]) == 1
    output = capsys.readouterr()
    assert "1 of 3 photos failed" in output.err
    assert "\x1b" not in output.out + output.err
    assert "\x9b" not in output.err
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 4


def test_too_little_memory_ends_one_photo_of_a_batch(tmp_path, capsys, monkeypatch):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48), "gray").save(tmp_path / name)
    write = __import__("glpn.scene.export", fromlist=["write"]).write

    def full(prediction, folder, formats, *, stem, **options):
        if stem == "a":
            raise MemoryError
        return write(prediction, folder, formats, stem=stem, **options)

    monkeypatch.setattr("glpn.scene.export.write", full)
    assert main(["estimate", str(tmp_path), "--out", str(tmp_path / "out"), "--resolution", "32"]) == 1
    assert "not enough memory" in capsys.readouterr().err
    assert (tmp_path / "out" / "b_depth_mm.png").exists()


def test_a_larger_limit_on_the_command_line(tmp_path, capsys):
    Image.new("RGB", (64, 48), "gray").save(tmp_path / "a.png")
    arguments = ["estimate", str(tmp_path), "--out", str(tmp_path / "out"), "--resolution", "32", "--max-megapixels"]
    assert main([*arguments, "0.003"]) == 1
    assert "64 × 48 pixels" in capsys.readouterr().err
    assert main([*arguments, "0.004"]) == 0
