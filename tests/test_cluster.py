"""Photos on a Ray cluster of two workers: the same depth as alone, a killed worker, a second run, bad files."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web_support import ROOT

from glpn import load_estimator
from glpn.cluster import ClusterRun, DepthPredictor, estimate_on_cluster
from glpn.errors import ConfigError, PhotoNotFound
from glpn.web.samples import SAMPLES

ray = pytest.importorskip("ray", reason="glpn[ray] is not installed")
parquet = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def mark(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster") / "mark"


@pytest.fixture(scope="module")
def cluster(mark):
    from ray.data import DataContext

    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    environment = {"PYTHONPATH": path, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "MARK": str(mark)}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        runtime_env={"env_vars": environment},
    )
    DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture
def photos(tmp_path):
    """Three photos, one of them in a folder below; a file that is damaged; and files that are not photos."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, sample in enumerate(SAMPLES[:3]):
        shutil.copy(sample.photo, folder / ("more" if number else "") / f"{sample.id}.jpg")
    (folder / "broken.jpg").write_bytes(SAMPLES[0].photo.read_bytes()[:3000])
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.jpg").write_bytes(b"x")
    return folder


def rows(out):
    return [row for file in sorted(out.glob("*.parquet")) for row in parquet.read_table(file).to_pylist()]


class KilledOnce(DepthPredictor):
    """Dies at its first batch, as a machine does that loses its power; its successor finds the mark."""

    def __call__(self, batch):
        mark = Path(os.environ["MARK"])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return super().__call__(batch)


def test_a_cluster_gives_the_depth_of_one_machine_and_a_second_run_what_is_missing(cluster, photos, tmp_path):
    out = tmp_path / "out"
    assert estimate_on_cluster(str(photos), str(out), workers=2) == ClusterRun(3, 1, 0)
    found = {Path(row["path"]).name: row for row in rows(out)}
    assert len(found) == len(rows(out)) == 4
    estimator = load_estimator()
    for path in photos.rglob("*.jpg"):
        if path.name in ("broken.jpg", ".hidden.jpg"):
            continue
        row, alone = found[path.name], estimator(path)
        with Image.open(io.BytesIO(row["depth_png"])) as image:
            assert image.text["Depth-Unit"].startswith("1/1000 metre")
            np.testing.assert_allclose(np.asarray(image) / 1000, alone.depth_m, atol=0.0006)
        assert row["error"] is None and row["nearest_m"] == pytest.approx(alone.depth_m.min(), abs=1e-4)
        assert json.loads(row["prediction"])["variant"] == "rooms-b0"
    broken = found["broken.jpg"]
    assert broken["error"].startswith("broken.jpg") and broken["depth_png"] is None

    assert estimate_on_cluster(str(photos), str(out), workers=2) == ClusterRun(0, 0, 4)
    file = next(out.glob("*.parquet"))
    lost = parquet.read_table(file).num_rows
    file.write_bytes(file.read_bytes()[:-50])  # as a machine leaves it that was killed
    assert sum(vars(estimate_on_cluster(str(photos), str(out), workers=2)).values()) == 4
    assert lost and len(rows(out)) == 4
    with pytest.raises(ConfigError, match="holds results of"):
        estimate_on_cluster(str(photos), str(out), resolution="fast")


def test_a_killed_worker_costs_no_photo(cluster, mark, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("glpn.cluster.DepthPredictor", KilledOnce)
    out = tmp_path / "out"
    assert estimate_on_cluster(str(photos), str(out), workers=2) == ClusterRun(3, 1, 0)
    assert mark.exists() and len(rows(out)) == 4


def test_the_example_runs_on_the_same_cluster(cluster, photos, tmp_path):
    example = ROOT / "examples" / "ray_batch.py"
    command = [sys.executable, example, photos / "more", tmp_path / "out", "--address", "auto", "--workers", "1"]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.splitlines()[-1] == "2 photos estimated, 0 failed, 0 were finished before."
    assert len(rows(tmp_path / "out")) == 2


def test_without_photos(tmp_path):
    with pytest.raises(PhotoNotFound, match="holds no photo"):
        estimate_on_cluster(str(tmp_path), str(tmp_path / "out"))
    with pytest.raises(PhotoNotFound, match="There is no folder"):
        estimate_on_cluster(str(tmp_path / "none"), str(tmp_path / "out"))


def test_an_address_that_names_nothing(tmp_path):
    with pytest.raises(ConfigError, match="not a folder that can be read"):
        estimate_on_cluster("nowhere://photos", str(tmp_path))


def test_without_ray(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"glpn\[ray\]"):
        estimate_on_cluster(str(tmp_path), str(tmp_path))
