"""Every command of docs/TRAINING.md, in its order, on small data: what the page promises is what happens."""

import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
from huggingface_hub import constants
from small_data import write_small_data
from zoo_support import Streamed, small_recipe, stock

from glpn.commands import main, zoo_train
from glpn.training.variants import plan_of
from glpn.web.parts.picker import offers, picker_html
from glpn.zoo import MANIFEST, Zoo, read_manifest, users_manifest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "TRAINING.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the data sets and photos, a home, and a Hub that has encoders, teachers and nothing else."""
    folder = tmp_path_factory.mktemp("page")
    data = write_small_data(folder)
    (folder / "photos").symlink_to(data["nyu"] / "official_splits" / "test")
    with pytest.MonkeyPatch.context() as patch, hub_server.serving() as server:
        hub_server.use(patch, server.url)
        stock(server)
        patch.delenv("HF_TOKEN", raising=False)
        patch.delenv("GLPN_MANIFEST", raising=False)
        patch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
        patch.setattr(zoo_train, "recipe_of", small_recipe)
        patch.setitem(sys.modules, "datasets", _datasets(data["nyu"] / "official_splits" / "test"))
        patch.chdir(folder)
        yield folder, server


def _datasets(folder: Path) -> types.ModuleType:
    """A stand-in for the library: rows of stored bytes, as it streams them undecoded."""
    module = types.ModuleType("datasets")

    class Image:
        def __init__(self, decode: bool = True) -> None:
            self.decode = decode

    def rows() -> Iterator[dict[str, object]]:
        for picture in sorted(folder.rglob("rgb_*.jpg")):
            depth = picture.with_name(picture.name.replace("rgb", "sync_depth")).with_suffix(".png")
            yield {name: {"bytes": path.read_bytes()} for name, path in (("image", picture), ("depth_map", depth))}

    features = {"image": Image(), "depth_map": Image()}
    module.__dict__.update(Image=Image, load_dataset=lambda *_, **__: Streamed(rows, features))
    return module


def in_other_processes(command: str, folder: Path, url: str) -> int:
    """Run torchrun's command with this interpreter, two cores shared, and the loopback Hub."""
    arguments = shlex.split(command)[1:]
    own = {
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": url,
        "HF_HUB_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
    }
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", *arguments]
    return subprocess.run(launched, env=os.environ | own, cwd=folder, check=False, capture_output=True).returncode


def in_this_process(command: str, capsys: pytest.CaptureFixture[str]) -> int:
    words, _, target = command.removeprefix("glpn ").partition(" > ")
    capsys.readouterr()
    code = main(shlex.split(words))
    if target:
        Path(target).write_text(capsys.readouterr().out)
    return code


def test_every_command_of_the_page(place, capsys, monkeypatch):
    folder, server = place
    opened = []
    monkeypatch.setattr("glpn.web.serve.serve", lambda zoo, *, model, **_: opened.append((zoo, model)))
    for command in COMMANDS:
        if command.startswith("pip install"):
            continue
        if command.startswith("torchrun"):
            code = in_other_processes(command, folder, server.url)
        else:
            code = in_this_process(command, capsys)
        assert code == 0, f"{command}\n{capsys.readouterr().err}"
    (zoo, model) = opened[0]
    assert zoo[model].status == "published"
    assert f'data-model="{model}"' in picker_html(offers(zoo, lambda _: False), model, other=False)
    assert users_manifest().is_relative_to(folder)
    for made in ("two/model/README.md", "onnx", "from-hub/data/train/copied.json", "runs/nyu-b1-distill/log.html"):
        assert (folder / made).exists(), made
    assert (folder / "two" / "paper" / "checkpoint.pt").exists()


def test_the_estimates_of_the_page_are_those_that_are_counted():
    table = PAGE.split("<!-- estimates:begin -->\n")[1].split("<!-- estimates:end -->")[0]
    assert table == estimates()


def estimates() -> str:
    """The page's table of hours and memory, as Markdown."""
    lines = ["| Variant | Paper's training | Memory | Distillation | Memory |", "|---|--:|--:|--:|--:|"]
    zoo = Zoo(read_manifest(MANIFEST))
    for spec in zoo:
        if not spec.ready:
            plans = [plan_of(spec, zoo, distill=distill) for distill in (False, True)]
            cells = [cell for plan in plans for cell in (f"{plan.hours():.1f} h", f"{plan.memory_bytes / 1e9:.1f} GB")]
            lines.append(f"| {spec.id} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(estimates(), end="")
