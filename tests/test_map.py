"""CONTRIBUTING.md's map names every module, and nothing that is not there; the two copies of the manifest are one."""

import re
from pathlib import Path

from test_imports import ROOMS

ROOT = Path(__file__).parents[1]


def test_the_map_is_the_tree():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^(glpn/[\w/]+\.py) ", text, re.MULTILINE))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "glpn").rglob("*.py")}
    rooms = {path for path in there if path.endswith("__init__.py")} - {"glpn/__init__.py", "glpn/commands/__init__.py"}
    assert named == there - rooms


def test_the_order_of_rooms_is_the_one_that_is_held():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    order = text.split("## The order of rooms")[1].split("```")[1].split("\n")
    entries = {"__init__", "__main__"}  # public names and the command line's entry are no rooms
    assert [set(line.split()) for line in order if line] == [set(row) for row in ROOMS if not entries & set(row)]


def test_the_packaged_manifest_is_the_projects():
    packaged, project = ROOT / "glpn" / "zoo" / "weights_manifest.json", ROOT / "weights_manifest.json"
    assert not packaged.is_symlink()
    assert packaged.read_bytes() == project.read_bytes()
