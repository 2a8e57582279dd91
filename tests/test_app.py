"""app.py: what its flags do, and that the page is up before PyTorch is."""

import subprocess
import sys
from pathlib import Path

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
