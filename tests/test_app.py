"""app.py: what its flags do, and that the page is up before PyTorch is."""

import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from web_support import served

from glpn.zoo import Zoo

ROOT = Path(__file__).parents[1]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_help_names_every_flag() -> None:
    text = python("app.py", "--help").stdout
    assert all(flag in text for flag in ("--host", "--port", "--share", "--model", "--open"))


def test_an_unknown_model_ends_with_one_sentence() -> None:
    ended = python("app.py", "--model", "nyu-b9")
    assert ended.returncode != 0
    assert "nyu-b9" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_building_the_page_loads_neither_torch_nor_a_model() -> None:
    code = """
import sys
from glpn.web.page import build_demo
from glpn.web.serve import launch, make_store
from glpn.zoo import Zoo
zoo = Zoo.load()
build_demo(zoo, make_store(zoo))
assert "torch" not in sys.modules and "transformers" not in sys.modules, "the page has to be up first"
"""
    ended = python("-W", "error::UserWarning", "-c", code)
    assert ended.returncode == 0, ended.stderr


def test_the_front_matter_is_what_a_space_needs() -> None:
    """https://huggingface.co/docs/hub/spaces-config-reference"""
    _, matter, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    keys = dict(re.findall(r"^(\w+): *(.*)$", matter, re.MULTILINE))
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert keys["sdk"] == "gradio"
    assert keys["sdk_version"] == pinned["gradio"]
    assert (ROOT / keys["app_file"]).exists()
    assert len(keys["short_description"]) <= 60
    assert {"title", "emoji", "colorFrom", "colorTo", "license", "python_version", "models", "tags"} <= keys.keys()
    repositories = {spec.source.repo_id for spec in Zoo.load().ready} - {None}
    assert set(re.findall(r"^  - (\S+/\S+)$", matter, re.MULTILINE)) == repositories


def test_a_zerogpu_space_can_be_built() -> None:
    """Its builder refuses requirements.txt unless a version of torch that it has is allowed, and adds gradio[mcp]."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = {one.name: one.specifier for one in map(Requirement, re.findall(r"^[\w-]+\S*", text, re.MULTILINE))}
    assert all(wanted["torch"].contains(version) for version in ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.13.0"))
    assert not {"pydantic", "mcp", "spaces"} & wanted.keys()
    assert 'python_version: "3.12"' in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_dockerfile_says_what_the_app_understands(tmp_path: Path) -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    said = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert said[:2] == [["ARG", "BASE=python:3.11-slim"], ["FROM", "${BASE}"]]
    assert ["STOPSIGNAL", "SIGTERM"] in said
    assert ["USER", "user"] in said  # the user that RUN useradd makes, before anything is installed or run
    names = [name for name, _ in said]
    assert names.index("USER") < names.index("COPY")
    for name, rest in said:
        if name == "COPY":
            assert (ROOT / rest.split()[-2]).exists()
    [command] = [json.loads(rest) for name, rest in said if name == "CMD"]
    [health] = [json.loads(rest.split("CMD", 1)[1]) for name, rest in said if name == "HEALTHCHECK"]
    port = command[command.index("--port") + 1]
    assert ["EXPOSE", port] in said
    assert f":{port}/" in health[-1]
    assert "--host" in command
    assert "0.0.0.0" in command

    with served("fake", tmp_path) as address:  # the same check, at the port that the test has
        check = health[-1].replace(f"http://127.0.0.1:{port}/", address)
        assert python("-c", check).returncode == 0
    assert python("-c", check).returncode != 0
