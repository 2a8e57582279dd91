"""What users of transformers write, statement by statement, run with both libraries: both have to do the same.

Each line of user_statements.txt is code whose last part is an expression; the values of both libraries are compared,
numbers with a tolerance. `GAPS` names those that differ, with the reason; docs/DROP_IN.md lists them for users.
"""

import ast
import copy
import pickle
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from parity import TINY, pair
from PIL import Image
from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

import glpn

STATEMENTS = Path(__file__).with_name("user_statements.txt").read_text()

# What transformers does and this package does not, or not so.
GAPS = {
    "model(x, foo=1).predicted_depth": "an unknown argument of forward is a typing error, and is refused",
    'copy.deepcopy(model).half().save_pretrained(tmp / "m"); GLPNForDepthEstimation.from_pretrained(tmp / "m").dtype': (
        "weights load in float32 unless a dtype is given, as in transformers 4; a processor's float32 photos fit them"
    ),
    'processor(photo, data_format="channels_last", return_tensors="np").pixel_values.shape': (
        "the layout that is asked for is given, as in transformers 4; transformers 5 ignores the argument"
    ),
}
# What works here alone.
ONLY_HERE = {
    "GLPNForDepthEstimation.from_pretrained(folder, state_dict=model.state_dict())(x).predicted_depth",
    'sorted(map(str, GLPNForDepthEstimation.from_pretrained(folder, device_map="cpu").hf_device_map))',
    "model.framework",
    "m = copy.deepcopy(model); m.gradient_checkpointing_enable(); m.is_gradient_checkpointing",
}


def statements() -> list[tuple[str, str]]:
    group, found = "", []
    for line in STATEMENTS.strip().splitlines():
        if line.startswith("# "):
            group = line[2:]
        else:
            found.append((group, line))
    return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("statements") / "checkpoint"
    theirs, ours = pair(glpn.GLPNConfig(**TINY))
    theirs.eval().save_pretrained(folder)
    ours.eval().save_pretrained(folder.with_name("ours"))
    GLPNImageProcessorPil().save_pretrained(folder)
    return folder, theirs, ours


def world(library: str, statement: str, checkpoint, tmp: Path) -> dict:
    """Return the names that the statement uses, all made anew."""
    folder, theirs, ours = checkpoint
    home = transformers if library == "transformers" else glpn
    model = theirs if library == "transformers" else ours
    processor_class = GLPNImageProcessorPil if library == "transformers" else glpn.GLPNImageProcessor
    x = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    labels = torch.rand(1, 64, 96, generator=torch.Generator().manual_seed(1)) + 1
    pixels = np.random.default_rng(0).integers(0, 256, (75, 101, 3), dtype=np.uint8)
    tmp.mkdir()

    def output():
        with torch.no_grad():
            return model(x)

    makers = {
        "config": lambda: home.GLPNConfig.from_pretrained(folder),
        "model": lambda: copy.deepcopy(model),
        "processor": lambda: processor_class.from_pretrained(folder),
        "photo": lambda: Image.fromarray(pixels),
        "out": output,
    }
    names = {
        "GLPNConfig": home.GLPNConfig,
        "GLPNModel": home.GLPNModel,
        "GLPNForDepthEstimation": home.GLPNForDepthEstimation,
        "GLPNImageProcessor": processor_class,
        "folder": folder,
        "tmp": tmp,
        "tiny": TINY,
        "x": x,
        "labels": labels,
        "torch": torch,
        "np": np,
        "Image": Image,
        "copy": copy,
        "pickle": pickle,
    }
    used = {node.id for node in ast.walk(ast.parse(statement)) if isinstance(node, ast.Name)}
    return names | {name: make() for name, make in makers.items() if name in used}


def run(statement: str, names: dict) -> object:
    """Run the code and return the value of its last line, or the kind of what it raised."""
    tree = ast.parse(statement)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(tree, "statement", "exec"), names)
            return None if last is None else eval(compile(last, "statement", "eval"), names)
    except Exception as error:
        return SimpleNamespace(error=error)


def same(ours: object, theirs: object) -> bool:
    if hasattr(ours, "error") or hasattr(theirs, "error"):
        return hasattr(ours, "error") and hasattr(theirs, "error")
    if isinstance(theirs, torch.Tensor):
        return (
            isinstance(ours, torch.Tensor)
            and ours.shape == theirs.shape
            and ours.dtype == theirs.dtype
            and torch.allclose(ours.float(), theirs.float(), atol=1e-4)
        )
    if isinstance(theirs, np.ndarray):
        return ours.shape == theirs.shape and ours.dtype == theirs.dtype and np.allclose(ours, theirs, atol=1e-5)
    if isinstance(theirs, tuple | list) and isinstance(ours, tuple | list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def test_the_list_is_long_and_every_gap_is_on_it_and_in_the_document():
    lines = [statement for _, statement in statements()]
    assert len(lines) == len(set(lines)) >= 180
    assert GAPS.keys() | ONLY_HERE <= set(lines)
    document = (Path(__file__).parents[1] / "docs" / "DROP_IN.md").read_text()
    assert f"{len(lines)} statements" in document
    assert f"{len(GAPS)} differ" in document
    for reason in GAPS.values():
        assert reason in document.replace("\n", " ")
    print(f"{len(lines)} statements: {len(GAPS)} gaps, {len(ONLY_HERE)} work here alone")


@pytest.mark.parametrize(("group", "statement"), statements(), ids=[f"{g}: {s[:60]}" for g, s in statements()])
def test_both_libraries_do_the_same(group, statement, checkpoint, tmp_path):
    theirs = run(statement, world("transformers", statement, checkpoint, tmp_path / "theirs"))
    ours = run(statement, world("glpn", statement, checkpoint, tmp_path / "ours"))
    message = f"{statement}\n  transformers: {theirs!r}\n  glpn: {ours!r}"
    if statement in ONLY_HERE:
        assert hasattr(theirs, "error") and not hasattr(ours, "error"), message
    else:
        assert same(ours, theirs) is (statement not in GAPS), message
