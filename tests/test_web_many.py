"""Many photos and clips on the page: what is taken, what is refused, what a stop leaves behind."""

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image
from web_support import FakeStore

from glpn.errors import ExportError, GLPNError, PhotoNotFound, PhotoTooLarge, PhotoUnreadable, VideoError
from glpn.scene.uncertainty import significant
from glpn.web.choices import Choices
from glpn.web.pages.many import TABLE, estimate_all
from glpn.web.pages.video import estimate_clip
from glpn.web.photo_list import MOST_ENTRIES, MOST_PHOTOS, list_photos
from glpn.web.runner import Engine, Host
from glpn.web.session import Session
from glpn.zoo import Zoo

CAT = Image.fromarray(skimage.data.chelsea()).resize((96, 64))


def jpeg() -> bytes:
    file = io.BytesIO()
    CAT.save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    """Photos in folders, two of one name, among what else a phone and a Mac put into a zip."""
    path = tmp_path / "holiday.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.jpg", "day 1/a.jpg", "day 1/deep/b.JPG", "../../etc/c.jpg"):
            archive.writestr(name, jpeg())
        for name in ("__MACOSX/._a.jpg", ".hidden.jpg", "notes.txt", "inner.zip", "x.NEF"):
            archive.writestr(name, b"junk")
        archive.writestr("broken.jpg", jpeg()[:200])
    return path


def test_a_zip_is_listed_by_names_alone(zipped: Path) -> None:
    listed = list_photos([zipped])
    assert [photo.stem for photo in listed.photos] == ["a", "a-2", "b", "c", "broken"]
    assert listed.note == (
        "Skipped: camera raw files, to be exported as JPEG or TIFF (1), files of other kinds (2), hidden files (2)."
    )


def test_a_list_of_contents_without_end_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(MOST_ENTRIES // 5):
            archive.writestr(f"{number:02000}.jpg", b"")
    with pytest.raises(PhotoTooLarge, match="too many files"):
        list_photos([path])


def test_an_entry_never_leaves_its_folder(zipped: Path, tmp_path: Path) -> None:
    for photo in list_photos([zipped]).photos:
        with photo.on_disk(tmp_path) as path:
            assert path.parent == tmp_path
            assert path.exists()
        assert not path.exists()


def test_every_photo_becomes_its_files_and_a_bad_one_stops_none(
    engine: Engine, session: Session, zipped: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "d.png")
    folder = tmp_path / "out"
    steps = list(
        estimate_all(
            session, engine, folder, [str(zipped), str(tmp_path / "d.png")], "rooms-b0", ["depth-png", "npy"], Choices()
        )
    )
    with zipfile.ZipFile(folder / "depth.zip") as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        rows = list(csv.DictReader(io.StringIO(archive.read("summary.csv").decode())))
        depth_m = np.load(io.BytesIO(archive.read("a-2_depth_m.npy")))
    assert names == {"summary.csv"} | {
        f"{stem}_depth{kind}" for stem in ("a", "a-2", "b", "c", "d") for kind in ("_mm.png", "_m.npy")
    }
    assert depth_m.shape == (64, 96)
    assert [row["result"] for row in rows] == ["done"] * 4 + ["failed", "done"]
    assert tuple(rows[0]) == TABLE
    assert 0 < float(rows[0]["uncertainty_percent"]) < 100 and rows[4]["uncertainty_percent"] == ""
    near, far = (re.escape(significant(float(rows[0][name]))) for name in ("min_m", "max_m"))
    assert re.search(f"<small>{near} m ± [0-9.]+.* to {far} m ± [0-9.]+.*</small>", steps[-1]["strip"])
    assert rows[4]["notes"].startswith("broken.jpg")
    assert steps[-1]["link"].count("5 of 6 photos") == 1
    assert steps[-1]["strip"].count("<li") == 6 + 1  # and the note
    assert [path.name for path in folder.iterdir()] == ["depth.zip"]
    assert not session.busy


def test_stop_keeps_what_is_finished(engine: Engine, session: Session, zipped: Path, tmp_path: Path) -> None:
    steps = estimate_all(session, engine, tmp_path / "out", [str(zipped)], "rooms-b0", ["npy"], Choices())
    for step in steps:
        if "strip" in step:
            session.stop.set()
    with zipfile.ZipFile(tmp_path / "out" / "depth.zip") as archive:
        assert archive.namelist() == ["a_depth_m.npy", "summary.csv"]
    assert "1 of 5 photos" in step["link"]


def test_nothing_is_left_of_who_goes_away(engine: Engine, session: Session, zipped: Path, tmp_path: Path) -> None:
    steps = estimate_all(session, engine, tmp_path / "out", [str(zipped)], "rooms-b0", ["npy"], Choices())
    while "strip" not in next(steps):
        pass
    steps.close()
    assert list((tmp_path / "out").iterdir()) == []


def make(folder: Path, kind: str) -> list[str]:
    """Write what `kind` says and return what the page hands over."""
    path = folder / f"{kind}.zip"
    if kind == "no zip":
        path.write_bytes(b"PK\x03\x04 but no more")
    with zipfile.ZipFile(path, "a" if kind == "no zip" else "w") if kind != "no zip" else path.open("rb") as archive:
        if isinstance(archive, zipfile.ZipFile):
            count = {"too many": MOST_PHOTOS + 1, "10,001 files": 10_001}.get(kind, 0)
            for number in range(count):
                archive.writestr(f"{number}.{'jpg' if kind == 'too many' else 'txt'}", b"")
    return [] if kind == "nothing" else [str(path)]


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("nothing", PhotoNotFound, "There is no photo yet"),
        ("empty", PhotoNotFound, "There is no photo yet"),
        ("no zip", PhotoUnreadable, "is not a readable zip"),
        ("too many", PhotoTooLarge, "51 photos; at most 50"),
        ("10,001 files", PhotoTooLarge, "holds 10001 files"),
    ],
)
def test_what_can_not_be_taken_is_one_sentence(kind: str, error: type[GLPNError], says: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=says):
        list_photos(make(tmp_path, kind))


def test_a_bomb_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glpn.web.photo_list.MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1_000_000))
    [photo] = list_photos([tmp_path / "bomb.zip"]).photos
    with pytest.raises(PhotoTooLarge, match=r"a\.png has over"), photo.on_disk(tmp_path):
        pass
    assert not (tmp_path / "a.png").exists()


def test_a_format_has_to_be_chosen(engine: Engine, session: Session, zipped: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No format is chosen"):
        list(estimate_all(session, engine, tmp_path / "out", [str(zipped)], "rooms-b0", [], Choices()))


class TestClips:
    @pytest.fixture
    def clip(self, tmp_path: Path) -> str:
        frames = [Image.fromarray(np.roll(np.asarray(CAT), 3 * number, axis=1)) for number in range(12)]
        path = tmp_path / "cat.gif"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
        return str(path)

    def run(self, session: Session, engine: Engine, folder: Path, clip: str | None, kinds: list[str]) -> list[dict]:
        return list(estimate_clip(session, engine, folder, clip, "rooms-b0", kinds, 0.8, Choices()))

    def test_a_clip_becomes_clips(self, session: Session, engine: Engine, clip: str, tmp_path: Path) -> None:
        av = pytest.importorskip("av")
        out = tmp_path / "out"
        steps = self.run(session, engine, out, clip, ["depth", "side", "npz"])
        assert {path.name for path in out.iterdir()} == {"cat_depth.mp4", "cat_side.mp4", "cat_depth_m.npz"}
        with av.open(str(out / "cat_side.mp4")) as container:
            assert sum(1 for _ in container.decode(video=0)) == 12
        assert steps[-1]["clips"].count("<video") == 2
        assert "12, " in steps[-1]["clips"]
        assert steps[0]["progress"]

    def test_stop_keeps_the_frames_that_are_finished(
        self, session: Session, engine: Engine, clip: str, tmp_path: Path
    ) -> None:
        av = pytest.importorskip("av")
        engine.turns = _StopAt(session, engine.turns)
        steps = self.run(session, engine, tmp_path / "out", clip, ["depth"])
        with av.open(str(tmp_path / "out" / "cat_depth.mp4")) as container:
            assert 0 < sum(1 for _ in container.decode(video=0)) < 12
        assert "Stopped after" in steps[-1]["clips"]

    def test_what_is_no_clip_is_one_sentence(self, session: Session, engine: Engine, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(b"no clip")
        for clip, says in ((None, "There is no clip yet"), (str(tmp_path / "a.mp4"), "damaged or of an unknown kind")):
            with pytest.raises(VideoError, match=says):
                self.run(session, engine, tmp_path / "out", clip, ["depth"])
        assert not (tmp_path / "out").exists()

    def test_strangers_share_the_machine(self, session: Session, tmp_path: Path, clip: str, monkeypatch) -> None:
        zoo = Zoo.load()
        public = Engine(zoo, FakeStore(zoo), host=Host(public=True, own_checkpoints=False))
        monkeypatch.setattr("glpn.web.pages.video.PUBLIC_SECONDS", 0.5)
        with pytest.raises(VideoError, match="is 1 s long"):
            self.run(session, public, tmp_path / "out", clip, ["depth"])


class _StopAt:
    """Turns that stop the session's work once the first frames of the clip itself have had theirs."""

    def __init__(self, session: Session, turns) -> None:
        self.session, self.turns, self.count = session, turns, 0

    def place(self):
        return self.turns.place()

    def turn(self, *arguments):
        self.count += 1
        if self.count == 4:  # after two batches for the range of colors
            self.session.stop.set()
        return self.turns.turn(*arguments)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda entry: setattr(entry, "flag_bits", entry.flag_bits | 1), "locked with a password"),
        (lambda entry: setattr(entry, "compress_type", 97), "packed in a way that is not known"),
    ],
    ids=["password", "unknown packing"],
)
def test_an_entry_that_can_not_be_unpacked_says_why(zipped: Path, tmp_path: Path, change: Any, says: str) -> None:
    photo = next(one for one in list_photos([zipped]).photos if one.entry)
    change(photo.entry)
    with pytest.raises(PhotoUnreadable, match=says) as caught, photo.on_disk(tmp_path):
        pass
    assert "Error" not in str(caught.value)
