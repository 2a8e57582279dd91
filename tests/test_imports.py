"""The directions in which modules import one another, and what an import may cost."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import glpn
from benchmarks.house import MAX_LINES, circle, functions
from benchmarks.house import imports as imports_of_all

PACKAGE = Path(glpn.__file__).parent
# The rooms of the house, from the foundations upwards: each imports only from rows above its own.
ROOMS = (
    ("errors", "files"),
    ("bounds", "formats", "pixels"),
    ("access", "camera", "scale"),
    ("exif", "hub", "intrinsics"),
    ("layout",),
    ("configuration",),
    ("checkpoint", "photo"),
    ("zoo",),
    ("scene",),
    ("prediction",),
    ("model",),
    ("estimator",),
    ("__init__",),
    ("folders", "panorama", "video"),
    ("cluster",),
    ("datasets",),
    ("evaluation",),
    ("synthesis", "training"),
    ("web",),
    ("commands",),
    ("__main__",),
)
# Who may import what is not ours and is heavy or opens doors.
ONLY = {
    "gradio": {"web"},
    "torch": {"configuration", "checkpoint", "model", "estimator", "evaluation", "training", "web", "commands"},
    "huggingface_hub": {"hub", "zoo"},
    "httpx": {"hub", "web"},
    "httpx2": {"hub"},
    "requests": set(),
    "socket": {"hub", "web"},
    "transformers": set(),
}


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[tuple[str, bool]]:
    """Return (module, whether it is ours) for every import statement, those inside functions included."""
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name.split(".")[0], False) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == depth:  # relative to the package itself
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found |= {(name.split(".")[0], True) for name in names if name != "__version__"}
            elif node.level == 0:
                parts = (node.module or "").split(".")
                found.add((parts[1], True) if parts[0] == "glpn" and len(parts) > 1 else (parts[0], False))
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    rank = {module: row for row, modules in enumerate(ROOMS) for module in modules}
    module = module_of(path)
    assert module in rank, f"{module} has no place in ROOMS"
    for name, ours in imports(path):
        if ours:
            assert name == module or rank[name] < rank[module], f"{module} -> {name}"
        else:
            assert module in ONLY.get(name, {module}), f"{module} imports {name}"


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    ).stdout.strip()


def test_importing_glpn_stays_light():
    names = "print(*sorted(set(m.split('.')[0] for m in sys.modules)))"
    heavy = {"gradio", "plotly", "transformers", "trimesh", "huggingface_hub", "cv2", "embreex"}
    everything = set(run(f"import sys; from glpn import *; {names}").split())
    assert "torch" in everything
    assert not everything & heavy
    assert not set(run(f"import sys, glpn; {names}").split()) & {"torch", "numpy", *heavy}


def test_importing_glpn_changes_no_global_setting():
    code = """
import torch
def settings():
    return (torch.get_num_threads(), torch.get_num_interop_threads(), torch.get_default_dtype(),
            torch.is_grad_enabled(), torch.backends.mkldnn.enabled, torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().sum().item())
before = settings()
from glpn import *
assert settings() == before
"""
    run(code)


def test_all_public_names_exist_and_are_listed():
    assert glpn.__all__ == sorted(glpn.__all__)
    for name in glpn.__all__:
        assert getattr(glpn, name).__doc__, f"{name} has no docstring"


def test_no_module_imports_itself_by_way_of_others():
    assert circle(imports_of_all()) == []


def test_no_function_is_longer_than_a_screen():
    """ruff holds complexity (10) and the number of parameters (8)."""
    assert {where: lines for where, lines in functions() if lines > MAX_LINES} == {}


def test_the_name_of_a_constant_means_one_thing() -> None:
    homes: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for name in (target.id for target in targets if isinstance(target, ast.Name)):
                if re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name):
                    homes.setdefault(name, set()).add(path.relative_to(PACKAGE).as_posix())
    del homes["EXAMPLES"]  # of every command
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert not twice, "import it from one of them, or give it a name that says the difference"
