"""Against the real Hub: run with `pytest -m hub`; skipped, with its reason, where the Hub can't be reached.

The same code runs against the loopback Hub in test_hub.py; here is what only the real one can tell.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch
from huggingface_hub import constants, hf_hub_download
from PIL import Image

from glpn import hub
from glpn.access import HubAccess
from glpn.checkpoint import load_config
from glpn.errors import HubNotFound
from glpn.estimator import load_estimator
from glpn.model.modeling import GLPNForDepthEstimation, GLPNModel
from glpn.model.original import load_encoder
from glpn.model.pretrained import load_located
from glpn.zoo import MANIFEST, Zoo, locate

pytestmark = [pytest.mark.hub, pytest.mark.timeout(1800)]

# transformers' tests/models/glpn/test_modeling_glpn.py and the conversion script: COCO 000000039769, tolerance 1e-4.
KNOWN = {
    "nyu-b4": [[4.4147, 4.0873, 4.0673], [3.7890, 3.2881, 3.1525], [3.7674, 3.5423, 3.4913]],
    "kitti-b4": [[3.4291, 2.7865, 2.5151], [3.2841, 2.7021, 2.3502], [3.1147, 2.4625, 2.2481]],
}


@pytest.fixture(scope="module", autouse=True)
def reachable():
    if constants.is_offline_mode():
        pytest.skip("HF_HUB_OFFLINE is set")
    try:
        httpx2.head(constants.ENDPOINT, timeout=10, follow_redirects=True).raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        pytest.skip(f"{constants.ENDPOINT} can't be reached: {error}")


@pytest.fixture(scope="module")
def zoo():
    return Zoo.load(MANIFEST)


@pytest.fixture(scope="module")
def cats():
    """The photo as uint8 RGB (480, 640, 3): the only file of a small data set."""
    path = hf_hub_download("huggingface/cats-image", "cats_image.jpeg", repo_type="dataset")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", KNOWN)
def test_a_published_variant_downloads_verifies_loads_and_gives_the_known_depth(zoo, cats, name):
    located = locate.locate(name, zoo=zoo)
    assert locate.is_cached(zoo[name])
    assert locate.verify(zoo[name])
    model = load_located(GLPNForDepthEstimation, located)
    assert model.config.encoder == "b4"
    assert sum(parameter.numel() for parameter in model.parameters()) == zoo[name].parameters
    assert cats.shape == (480, 640, 3)
    pixel_values = torch.from_numpy(cats.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        depth = model(pixel_values).predicted_depth
    assert depth.shape == (1, 480, 640)
    published = load_config(located.config).max_depth  # 10 for both, which is wrong for KITTI
    raw = depth * (published / zoo[name].max_depth_m)
    torch.testing.assert_close(raw[0, :3, :3], torch.tensor(KNOWN[name]), atol=1e-4, rtol=1e-4)


def test_kitti_is_in_metres(cats):
    prediction = load_estimator("kitti-b4")(cats)
    assert prediction.max_depth_m == 80
    assert 10 < prediction.depth_m.max() <= 80


def test_a_second_look_takes_no_request(zoo, monkeypatch):
    locate.locate("nyu-b4", zoo=zoo)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate.locate("nyu-b4", zoo=zoo).weights.is_file()


def test_lock_fills_in_revision_and_digests(tmp_path):
    manifest = tmp_path / "weights_manifest.json"
    shutil.copy(MANIFEST, manifest)
    command = [sys.executable, "-m", "glpn", "zoo", "lock", "nyu-b4", "kitti-b4", "nyu-b0", "--manifest", str(manifest)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    zoo = Zoo.load(manifest)
    for name in ("nyu-b4", "kitti-b4", "nyu-b0"):
        source = zoo[name].source
        assert source.revision is not None
        measured = [file for file in source.weights if file.sha256]
        assert measured
        assert all(file.size and file.size > 10_000_000 for file in measured)
    assert manifest.read_text().count("\n") == MANIFEST.read_text().count("\n")
    rows = {row["id"]: row for row in json.loads(manifest.read_text())["variants"]}
    assert rows["nyu-b1"] == {row["id"]: row for row in json.loads(MANIFEST.read_text())["variants"]}["nyu-b1"]


def test_an_imagenet_encoder_loads_strictly():
    assert isinstance(load_encoder("b0"), GLPNModel)


@pytest.mark.parametrize(
    ("repo_id", "filename", "revision", "error"),
    [
        ("vinvino02/no-such-repository-as-this", "config.json", None, "does not exist or is private"),
        ("vinvino02/glpn-nyu", "no-such-file.json", None, "no file"),
        ("vinvino02/glpn-nyu", "config.json", "no-such-branch", "no revision"),
    ],
)
def test_what_is_not_there(tmp_path, repo_id, filename, revision, error):
    with pytest.raises(HubNotFound, match=error):
        hub.fetch(repo_id, filename, HubAccess(revision=revision, cache_dir=tmp_path))
