"""Device choice, and the cores that a container grants."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glpn.errors import ConfigError
from glpn.model import device
from glpn.model.device import available_cores, bfloat16_speedup, pick_device, pick_precision


def test_picks_the_best_device_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device() == pick_device("auto") == pick_device("cpu") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device() == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == "cuda"
    assert pick_device("cpu") == "cpu"


def test_refuses_a_device_that_is_unknown_or_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="Unknown device 'tpu'"):
        pick_device("tpu")
    with pytest.raises(ConfigError, match="'cuda' is not available"):
        pick_device("cuda")


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "300000 100000\n"}, 3),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({}, 8),
    ],
)
def test_cores_follow_the_quota(
    files: dict[str, str], limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == limit


@pytest.mark.parametrize(("requests", "threads"), [(1, 2), (2, 1), (5, 1)])
def test_requests_share_the_cores(requests: int, threads: int) -> None:
    code = f"""
import glpn.model.device as device, torch
device.available_cores = lambda: 2
assert device.use_available_cores({requests}) == torch.get_num_threads() == {threads}
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


def test_a_users_own_thread_count_counts_more():
    code = (
        "import glpn.model.device as device, torch; assert device.use_available_cores() == torch.get_num_threads() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_precision_is_float32_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_precision() == "float32"
    assert pick_precision("bfloat16") == "bfloat16"
    for speedup, choice in ((2.0, "bfloat16"), (1.1, "float32"), (1 / 400, "float32")):
        monkeypatch.setattr(device, "bfloat16_speedup", lambda speedup=speedup: speedup)
        assert pick_precision("auto") == choice
    assert pick_precision("auto", device="mps") == "float32"
    for supported, choice in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported: supported)
        assert pick_precision("auto", device="cuda") == choice
    for name, place in (("float16", "cpu"), ("int8", "cpu"), ("half", "cpu")):
        with pytest.raises(ConfigError, match=f"Unknown precision '{name}' on {place}"):
            pick_precision(name, device=place)


def test_bfloat16_is_measured() -> None:
    assert bfloat16_speedup() > 0


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "2000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_entry_points_limit_spinning_before_torch_is_loaded(own: dict[str, str], expected: dict[str, str]) -> None:
    code = """
import contextlib, os, sys
from glpn.commands import main
with contextlib.suppress(SystemExit):
    main(["--help"])
assert "torch" not in sys.modules
print({name: os.environ[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ})
"""
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in names} | own
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == str(expected)
