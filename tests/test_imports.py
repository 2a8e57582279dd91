"""The directions in which modules import one another, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import glpn

PACKAGE = Path(glpn.__file__).parent
# From the foundations upwards: a module imports only from rows above its own.
LAYERS = (
    ("errors", "files"),
    ("configuration", "camera", "photo", "compute", "metrics", "store", "depth_file"),
    ("zoo", "prediction", "checkpoint"),
    ("geometry", "modeling", "hub"),
    ("rendering", "fast", "image_processing", "zoo_lock"),
    ("export", "pretrained"),
    ("estimator", "convert"),
    ("__init__",),
    ("training",),
    ("web", "cli"),
    ("__main__", "zoo_cli"),
)
# Imports inside a function that point upwards: the method belongs to the class, its work to the other module.
ALLOWED = {("modeling", "pretrained")}
NEVER = {
    "rendering": {"torch", "gradio"},
    "geometry": {"torch", "gradio"},
    "export": {"torch", "gradio"},
    "camera": {"torch", "gradio"},
    "prediction": {"torch", "gradio"},
    "zoo": {"torch", "gradio", "huggingface_hub"},
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
    rank = {module: row for row, modules in enumerate(LAYERS) for module in modules}
    module = module_of(path)
    assert module in rank, f"{module} has no place in LAYERS"
    for name, ours in imports(path):
        if ours:
            assert name == module or rank[name] < rank[module] or (module, name) in ALLOWED, f"{module} -> {name}"
        else:
            assert name not in NEVER.get(module, set()), f"{module} imports {name}"
            assert name != "transformers", f"{module} imports transformers"
            assert name != "gradio" or module == "web", f"{module} imports gradio"
            assert name not in {"httpx", "httpx2", "requests", "socket"} or module == "hub", f"{module} imports {name}"
            assert name != "huggingface_hub" or module in {"hub", "training"}, f"{module} imports huggingface_hub"


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
