"""What Windows, macOS and odd file systems do otherwise, emulated here: sharing rules, modes, encodings, names."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn.files import replacing, write_atomically
from glpn.photo import load_photo
from glpn.scene.export import FORMATS
from glpn.web.samples import SAMPLES, finished

PACKAGE = Path(glpn.__file__).parent
ROOT = PACKAGE.parent
POSIX_ONLY = {
    "os": {
        "fork", "getuid", "geteuid", "getgid", "chown", "lchown", "fchmod", "fchown", "mkfifo", "nice", "getloadavg",
        "sched_getaffinity", "sched_setaffinity", "statvfs", "sysconf", "setsid", "getpgid", "killpg", "wait4", "uname",
        "pread", "pwrite", "posix_fadvise", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK",
    },
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "alarm", "setitimer", "pause"},
}  # fmt: skip
# All but what takes seconds, what holds the others, and the room plan: this sample shows no floor.
QUICK = [name for name, about in FORMATS.items() if not about.slow and name not in ("plan", "zip")]
WITH_NAMES = ("depth-png", "ply", "obj", "glb", "html", "json", "relief-3mf")  # what may hold a name inside
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty"}


@pytest.fixture
def windows(monkeypatch):
    """An open file can be neither renamed, replaced nor removed, and modes can't be changed."""

    def is_open(path):
        wanted = os.path.realpath(path)
        fds = Path("/proc/self/fd")
        return any(os.path.realpath(fd) == wanted for fd in fds.iterdir() if fd.exists())

    def refusing(real, arguments):
        def call(*paths, **options):
            if any(is_open(path) for path in paths[:arguments]):
                raise PermissionError(13, "The process cannot access the file because it is being used", str(paths[0]))
            return real(*paths, **options)

        return call

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    for name, arguments in (("replace", 2), ("rename", 2), ("unlink", 1), ("remove", 1)):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), arguments))
    for name in ("chmod", "fchmod", "lchmod", "chown", "fchown"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, refuse)


def test_the_emulation_refuses_what_windows_refuses(windows, tmp_path):
    path = tmp_path / "open"
    with path.open("w"), pytest.raises(PermissionError):
        path.rename(tmp_path / "other")
    path.rename(tmp_path / "other")


def test_files_are_closed_before_they_take_their_place(windows, tmp_path):
    path = tmp_path / "a.bin"
    for data in (b"first", b"second"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_nothing_is_left_behind_when_writing_fails(windows, tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.bin") as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_every_format_is_written_on_windows(windows, tmp_path):
    assert finished(SAMPLES[0]).write(tmp_path, QUICK)
    assert not list(tmp_path.glob(".*"))


NAMES = (
    os.fsdecode(b"r\xe9\x80um\xff.jpg"),
    "bad\nname\t.jpg",
    "ein Zimmer – 部屋 🛋.jpg",
    "%41#?&.jpg",
    "a'\"$(x).jpg",
)


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_survives_in_every_format(tmp_path, name):
    photo = tmp_path / name
    photo.write_bytes(SAMPLES[0].photo.read_bytes())
    prediction = replace(finished(SAMPLES[0]), photo=load_photo(photo))
    written = prediction.write(tmp_path / "out", WITH_NAMES)
    assert all(path.stat().st_size for path in written)
    [info] = [path for path in written if path.suffix == ".json"]
    json.loads(info.read_text(encoding="utf-8"))
    [page] = [path for path in written if path.suffix == ".html"]
    page.read_text(encoding="utf-8")


def test_a_name_that_is_no_text_goes_into_an_archive(tmp_path, monkeypatch):
    few = {name: FORMATS[name] for name in ("json", "zip")}
    monkeypatch.setattr("glpn.scene.export.FORMATS", few)
    photo = tmp_path / NAMES[0]
    photo.write_bytes(SAMPLES[0].photo.read_bytes())
    prediction = replace(finished(SAMPLES[0]), photo=load_photo(photo))
    [path] = prediction.write(tmp_path / "out", ["zip"])
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["r__um__prediction.json"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-16"])
def test_no_encoding_of_the_terminal_ends_a_run(tmp_path, encoding):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (b"r\xe9\xff.png", "Zimmer – 部屋.png".encode()):
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(os.fsdecode(os.fsencode(folder) + b"/" + name))

    def run(*arguments):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "glpn", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)

    assert run("zoo", "list").returncode == 0
    listed = run("zoo", "list", "--json")
    assert listed.returncode == 0
    assert json.loads(listed.stdout.decode(encoding))
    estimated = run("estimate", "photos", "--out", "out", "--resolution", "32")
    assert estimated.returncode == 0, estimated.stderr.decode(encoding, "replace")
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 4


# ------------------------------------------------------------------------------------------------------- the source


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_call_is_of_posix_alone_and_no_text_of_an_unknown_encoding(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not POSIX_MODULES.intersection(names), node.lineno
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in POSIX_ONLY.get(node.value.id, ()), node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            keywords = {keyword.arg for keyword in node.keywords}
            if node.func.attr in ("read_text", "write_text"):
                assert "encoding" in keywords, node.lineno
            if node.func.attr == "write_text":
                assert "newline" in keywords, node.lineno


def test_text_files_are_opened_with_an_encoding():
    """Whatever opens a file as text names its encoding, as importing and listing show."""
    code = "from glpn.commands import main; import glpn.web.page, glpn.training.recipe; main(['zoo', 'list'])"
    environment = os.environ | {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    ours = re.findall(rf"{re.escape(str(PACKAGE))}\S*: EncodingWarning", ended.stderr)
    assert not ours


def test_the_repository_holds_no_symlink():
    """A checkout on Windows gets a text file for each."""
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]


def test_a_manifest_with_a_byte_order_mark_is_read(tmp_path):
    from glpn.zoo.manifest import MANIFEST, read_manifest

    text = MANIFEST.read_text(encoding="utf-8")
    marked = tmp_path / "weights_manifest.json"
    marked.write_text("\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert [spec.id for spec in read_manifest(marked)] == [spec.id for spec in read_manifest(MANIFEST)]
