"""Downloads through the real huggingface_hub from a Hub on the loopback interface: every way they go right or wrong."""

import errno
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch
from hub_server import break_at, hang, hang_after, send_instead, use
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save

from glpn import hub
from glpn.access import HubAccess
from glpn.checkpoint import load_config, load_state
from glpn.configuration import GLPNConfig
from glpn.errors import (
    Cancelled,
    CheckpointError,
    ConfigError,
    HubBusy,
    HubCorrupt,
    HubDenied,
    HubNotFound,
    HubOffline,
    HubStorage,
    UnsafeCheckpoint,
)
from glpn.estimator import load_estimator
from glpn.hub import download
from glpn.hub.failures import Wanted, translated
from glpn.model.image_processing import GLPNImageProcessor
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.pretrained import build
from glpn.zoo import Zoo, locate

ROOT = Path(__file__).parents[1]
CONFIG = GLPNConfig(
    depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 16, 32), num_attention_heads=(1, 2, 2, 4), decoder_hidden_size=16
)
BIG = bytes(range(256)) * 8000  # 2 MB
REPO = "someone/glpn-tiny"


def fetch(repo_id, filename, *, sha256=None, size=None, rehash=False, **access):
    return hub.fetch(repo_id, filename, HubAccess(force_download=rehash, **access), sha256=sha256, size=size)


@pytest.fixture
def impatient(monkeypatch):
    """No waiting between tries, neither ours nor huggingface_hub's."""
    monkeypatch.setattr(download, "RETRY_WAITS_S", (0, 0, 0))
    clock = types.SimpleNamespace(**vars(download.time) | {"sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.file_download.time", clock)
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return GLPNForDepthEstimation(CONFIG).state_dict()


def small_files(**config):
    return {
        "config.json": json.dumps(CONFIG.to_dict() | config).encode(),
        "preprocessor_config.json": b'{"do_resize": true, "do_rescale": true, "resample": 2, "size_divisor": 32}',
    }


def safetensors(state):
    return {"model.safetensors": save(state, metadata={"format": "pt"})}


def pickled(value, tmp_path):
    torch.save(value, tmp_path / "saved.bin")
    return {"pytorch_model.bin": (tmp_path / "saved.bin").read_bytes()}


def sharded(state):
    names = sorted(state)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    weight_map = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}
    shards = {
        file: save({name: state[name] for name in part}, metadata={"format": "pt"}) for file, part in halves.items()
    }
    return shards | {"model.safetensors.index.json": json.dumps(index).encode()}


def kept(cache):
    """Every file below the cache that holds content of a repository, whole or not."""
    return [p for p in cache.rglob("*") if p.is_file() and {"blobs", "snapshots", "converted"} & set(p.parts)]


def zoo_with(tmp_path, *, repo_id=REPO, files=None, **row):
    """A zoo with one more row, `tiny`."""
    names = ("config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin")
    files = files or [{"name": name, "sha256": None, "size": None} for name in names]
    row = {
        "id": "tiny",
        "title": "Tiny",
        "head": "nyu",
        "encoder": None,
        "max_depth_m": 10,
        "status": "published",
        "source": {"kind": "hub", "repo_id": repo_id, "files": files},
        "working_short_side": 64,
        "camera": {"fx_over_width": 0.8, "fx_px": 50},
        "parameters": 1000,
        "license": "Apache-2.0",
        "license_note": "Made for this test.",
        "metrics": [],
    } | row
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"schema": 1, "variants": [row]}))
    return Zoo.load(extra=[path])


# ---- fetch ----


def test_fresh_then_cached_then_offline(server, cache, monkeypatch):
    commit = server.repo(REPO).commit({"big.bin": BIG})
    seen = []
    path = fetch(REPO, "big.bin", cache_dir=cache, progress=lambda *values: seen.append(values))
    assert path.read_bytes() == BIG
    assert seen[-1][:2] == (len(BIG), len(BIG))
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    assert all(rate >= 0 for *_, rate in seen)

    server.requests.clear()
    assert fetch(REPO, "big.bin", cache_dir=cache) == path  # at a branch, the Hub is asked once
    assert [request.method for request in server.requests] == ["HEAD"]
    assert fetch(REPO, "big.bin", revision=commit, cache_dir=cache) == path
    assert len(server.requests) == 1  # at a commit, never

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(REPO, "big.bin", cache_dir=cache) == path
    use(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert fetch(REPO, "big.bin", cache_dir=cache) == path


def test_a_newer_commit_of_a_branch_is_fetched_and_a_pinned_one_is_not(server, cache):
    old = server.repo(REPO).commit({"big.bin": BIG})
    fetch(REPO, "big.bin", cache_dir=cache)
    server.repo(REPO).commit({"big.bin": BIG[::-1]})
    assert fetch(REPO, "big.bin", cache_dir=cache).read_bytes() == BIG[::-1]
    assert fetch(REPO, "big.bin", revision=old, cache_dir=cache).read_bytes() == BIG


def test_the_token_reaches_the_hub_and_not_the_cdn(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    server.repo(REPO).private = True
    fetch(REPO, "big.bin", cache_dir=cache, token=server.token)
    for request in server.requests:
        assert ("Authorization" in request.headers or "authorization" in request.headers) != ("/cdn/" in request.path)


def test_a_verified_file_is_not_hashed_again_unless_it_changed(server, cache, monkeypatch):
    digest = hashlib.sha256(BIG).hexdigest()
    commit = server.repo(REPO).commit({"big.bin": BIG})
    hashed = []
    digest_of = download._digest
    monkeypatch.setattr(download, "_digest", lambda path, *rest: hashed.append(path) or digest_of(path, *rest))
    path = fetch(REPO, "big.bin", revision=commit, sha256=digest, cache_dir=cache)
    fetch(REPO, "big.bin", revision=commit, sha256=digest, cache_dir=cache)
    assert len(hashed) == 1
    os.utime(path, ns=(0, 0))
    fetch(REPO, "big.bin", revision=commit, sha256=digest, cache_dir=cache)
    assert len(hashed) == 2
    path.resolve().write_bytes(BIG[:-1] + b"x")
    with pytest.raises(HubCorrupt, match=digest):
        fetch(REPO, "big.bin", revision=commit, sha256=digest, cache_dir=cache)
    assert not kept(cache)
    assert fetch(REPO, "big.bin", revision=commit, sha256=digest, cache_dir=cache).read_bytes() == BIG


@pytest.mark.parametrize("content", [BIG, b'{"max_depth": 10}'], ids=["lfs", "git"])
def test_wrong_content_is_removed_and_both_digests_are_named(server, cache, content):
    server.repo(REPO).commit({"file": content})
    part = "/cdn/" if content is BIG else "/resolve-cache/"
    wrong = b"x" + content[1:]

    def act(handler):
        handler.answer(200, {}, wrong)
        return True

    server.fail(part, method="GET", act=act)
    with pytest.raises(HubCorrupt) as caught:
        fetch(REPO, "file", cache_dir=cache)
    if content is BIG:
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
        assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert not kept(cache)


def test_another_digest_than_the_manifests_is_refused_without_a_download(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    with pytest.raises(HubCorrupt, match=r"0{64}.*not downloaded"):
        fetch(REPO, "big.bin", sha256="0" * 64, cache_dir=cache)
    assert server.count("GET", "/cdn/") == 0


def test_a_connection_that_breaks_is_taken_up_again(server, cache, impatient):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail("/cdn/", method="GET", act=break_at(len(BIG) // 2), times=1)
    seen = []
    path = fetch(REPO, "big.bin", cache_dir=cache, progress=lambda done, *_: seen.append(done))
    assert path.read_bytes() == BIG
    assert seen[-1] == len(BIG)
    assert server.count("GET", "/cdn/") == 2


def test_a_connection_that_always_breaks_leaves_nothing(server, cache, impatient):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail("/cdn/", method="GET", act=break_at(0))
    with pytest.raises(HubCorrupt, match=r"broke before big\.bin"):
        fetch(REPO, "big.bin", cache_dir=cache)
    assert not kept(cache)


def test_a_body_shorter_than_stated_leaves_nothing(server, cache, impatient):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail("/cdn/", method="GET", act=send_instead(lambda content: content[:-1000]))
    with pytest.raises(HubCorrupt, match="incomplete"):
        fetch(REPO, "big.bin", cache_dir=cache)
    assert not kept(cache)


def test_401(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail("/resolve/", status=401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
    with pytest.raises(HubDenied, match=r"401.*HF_TOKEN"):
        fetch(REPO, "big.bin", cache_dir=cache, token="hf_wrong")


def test_gated(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    server.repo(REPO).gated = True
    with pytest.raises(HubDenied, match=rf"gated.*{server.url}/{REPO}.*HF_TOKEN"):
        fetch(REPO, "big.bin", cache_dir=cache)
    assert fetch(REPO, "big.bin", cache_dir=cache, token=server.token).read_bytes() == BIG


@pytest.mark.parametrize("token", [None, "hf_loopback"])
def test_no_such_repository(server, cache, token):
    with pytest.raises(HubNotFound, match="nobody/nothing does not exist or is private"):
        fetch("nobody/nothing", "big.bin", cache_dir=cache, token=token)


def test_no_such_file(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    with pytest.raises(HubNotFound, match=r"no file other\.bin"):
        fetch(REPO, "other.bin", cache_dir=cache)


@pytest.mark.parametrize("revision", ["refs/pr/7", "f" * 40])
def test_no_such_revision(server, cache, revision):
    server.repo(REPO).commit({"big.bin": BIG})
    with pytest.raises(HubNotFound, match=f"no revision '{revision}'"):
        fetch(REPO, "big.bin", revision=revision, cache_dir=cache)


def test_a_name_that_is_no_repository(server, cache):
    with pytest.raises(HubNotFound, match="not a repository name"):
        fetch("a--b/..", "big.bin", cache_dir=cache)


@pytest.mark.parametrize(("method", "part"), [("HEAD", "/resolve/"), ("GET", "/cdn/")])
@pytest.mark.parametrize("status", [429, 503])
def test_busy_and_then_fine(server, cache, impatient, status, method, part):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail(part, method=method, status=status, headers={"Retry-After": "0"}, times=2)
    assert fetch(REPO, "big.bin", cache_dir=cache).read_bytes() == BIG


@pytest.mark.parametrize(("status", "words"), [(500, "failing"), (429, "too many requests")])
def test_busy_for_good(server, cache, impatient, status, words):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail("/resolve/", status=status)
    with pytest.raises(HubBusy, match=rf"{words}.*\({status}\)|\({status}\).*{words}|{words} from here \({status}\)"):
        fetch(REPO, "big.bin", cache_dir=cache)
    assert server.count("HEAD", "/resolve/") == 4


def test_busy_for_good_but_cached(server, cache, impatient):
    server.repo(REPO).commit({"big.bin": BIG})
    fetch(REPO, "big.bin", cache_dir=cache)
    server.fail("/resolve/", status=500)
    assert fetch(REPO, "big.bin", cache_dir=cache).read_bytes() == BIG


def test_no_answer_in_time(server, cache, monkeypatch):
    server.repo(REPO).commit({"big.bin": BIG})
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    server.fail("/resolve/", act=hang)
    with pytest.raises(HubOffline, match="did not answer in time"):
        fetch(REPO, "big.bin", cache_dir=cache)


def test_a_download_that_stalls(server, cache, impatient, monkeypatch):
    server.repo(REPO).commit({"big.bin": BIG})
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    server.fail("/cdn/", act=hang)
    with pytest.raises(HubOffline, match="did not answer in time"):
        fetch(REPO, "big.bin", cache_dir=cache)
    assert not kept(cache)


def test_no_route(cache, monkeypatch):
    use(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(HubOffline, match=r"No route.*Connection refused") as caught:
        fetch(REPO, "big.bin", cache_dir=cache)
    assert "Errno" not in str(caught.value)


def test_no_secure_connection(server, cache, monkeypatch):
    use(monkeypatch, server.url.replace("http:", "https:"))  # which does not speak TLS
    with pytest.raises(HubOffline, match=r"No secure connection.*certificates"):
        fetch(REPO, "big.bin", cache_dir=cache)


def test_no_address(cache, monkeypatch):
    use(monkeypatch, "hub.example")
    with pytest.raises(HubOffline, match="HF_ENDPOINT"):
        fetch(REPO, "big.bin", cache_dir=cache)


def test_something_else_answers(server, cache):
    server.fail("/resolve/", status=200)  # a hotel's log-in page
    with pytest.raises(HubOffline, match="not like the Hub"):
        fetch(REPO, "big.bin", cache_dir=cache)


def test_offline_and_not_cached(server, cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubOffline, match="HF_HUB_OFFLINE"):
        fetch(REPO, "big.bin", cache_dir=cache)
    with pytest.raises(HubOffline, match="not in the cache"):
        fetch(REPO, "big.bin", cache_dir=cache, local_files_only=True)
    assert not server.requests


def test_cancelled_half_way(server, cache, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", len(BIG) // 8)
    server.repo(REPO).commit({"big.bin": BIG})
    seen = []
    with pytest.raises(Cancelled):
        fetch(
            REPO,
            "big.bin",
            cache_dir=cache,
            progress=lambda done, *_: seen.append(done),
            cancelled=lambda: bool(seen) and seen[-1] >= len(BIG) // 2,
        )
    assert max(seen) < len(BIG)
    assert not kept(cache)
    assert fetch(REPO, "big.bin", cache_dir=cache).read_bytes() == BIG


def test_cancelled_while_waiting_for_a_busy_hub(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    server.fail("/resolve/", status=503, headers={"Retry-After": "60"})
    with pytest.raises(Cancelled):
        fetch(REPO, "big.bin", cache_dir=cache, cancelled=lambda: server.count("HEAD", "/resolve/") > 0)


def test_two_visitors_at_once_download_once(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})

    def hold(handler):  # until the other one has asked too
        handler.server.wait_for("HEAD", "/resolve/", 2)
        return False

    server.fail("/cdn/", act=hold)
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(REPO, "big.bin", cache_dir=cache))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 2
    assert server.count("GET", "/cdn/") == 1


# ---- Disks ----


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MB, and what makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)

    made = mount("-t", "tmpfs", "-o", "size=1m", "tmpfs")
    if made.returncode:
        pytest.skip(f"no small disk can be made here: {made.stderr.strip()}")
    try:
        yield folder, lambda: mount("-o", "remount,ro").check_returncode()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_too_little_space_is_noticed_before_the_download(server, small_disk):
    server.repo(REPO).commit({"big.bin": BIG})
    with pytest.raises(HubStorage, match=r"needs 2\.0 MB.*only \d\.\d MB free"):
        fetch(REPO, "big.bin", cache_dir=small_disk[0])
    assert server.count("GET", "/cdn/") == 0


@pytest.mark.filterwarnings("ignore:Not enough free disk space")
def test_a_disk_that_fills_up_during_the_download(server, small_disk, monkeypatch):
    monkeypatch.setattr(download, "_check_disk", lambda *_: None)  # it was empty then
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 18)
    server.repo(REPO).commit({"big.bin": BIG})
    with pytest.raises(HubStorage, match="is full"):
        fetch(REPO, "big.bin", cache_dir=small_disk[0])
    assert not kept(small_disk[0])


def test_a_read_only_cache(server, small_disk):
    folder, make_read_only = small_disk
    content = BIG[:10_000]
    server.repo(REPO).commit({"big.bin": content, "other.bin": content[::-1]})
    path = fetch(REPO, "big.bin", cache_dir=folder)
    download.record_path(path, download.Wanted(REPO, "big.bin", "main", folder)).unlink()
    make_read_only()
    for local_files_only in (True, False):
        path = fetch(REPO, "big.bin", cache_dir=folder, local_files_only=local_files_only)
        assert path.read_bytes() == content
    with pytest.raises(HubStorage, match="can't be written"):
        fetch(REPO, "other.bin", cache_dir=folder)


# ---- Checkpoints of every layout ----


def depth_of(located):
    model = build(GLPNForDepthEstimation, load_config(located.config), load_state(located.weights), located.weights)
    with torch.inference_mode():
        return model(torch.full((1, 3, 64, 64), 0.5)).predicted_depth


@pytest.mark.parametrize("layout", ["safetensors", "bin", "sharded", "pull request"])
def test_every_layout_gives_the_same_network(server, cache, tmp_path, state, layout):
    repo = server.repo(REPO)
    weights = {
        "safetensors": lambda: safetensors(state),
        "bin": lambda: pickled(state, tmp_path),
        "sharded": lambda: sharded(state),
        "pull request": lambda: pickled({"broken": torch.zeros(2000)}, tmp_path),
    }[layout]()
    repo.commit(small_files() | weights)
    name = REPO
    if layout == "pull request":
        repo.commit(small_files() | safetensors(state), ref="refs/pr/1")
        name = f"{REPO}@refs/pr/1"
    located = locate.locate(name, zoo=Zoo.load(), access=HubAccess(cache_dir=cache))
    assert located.weights.suffix in (".safetensors", ".json")
    model = GLPNForDepthEstimation(CONFIG).eval()
    model.load_state_dict(state)
    with torch.inference_mode():
        expected = model(torch.full((1, 3, 64, 64), 0.5)).predicted_depth
    assert torch.equal(depth_of(located), expected)
    assert located.spec.max_depth_m == 10
    assert located.spec.parameters == sum(parameter.numel() for parameter in model.parameters())

    server.fail("/", status=500)  # from now on the cache has to do
    again = locate.locate(name, zoo=Zoo.load(), access=HubAccess(cache_dir=cache, local_files_only=True))
    assert again.weights == located.weights


def test_a_bin_is_converted_once(server, cache, tmp_path, state, monkeypatch):
    server.repo(REPO).commit(small_files() | pickled(state, tmp_path))
    first = locate.locate("tiny", zoo=zoo_with(tmp_path), access=HubAccess(cache_dir=cache)).weights
    monkeypatch.setattr("torch.load", None)
    assert locate.locate("tiny", zoo=zoo_with(tmp_path), access=HubAccess(cache_dir=cache)).weights == first
    assert first.suffix == ".safetensors"


def test_safetensors_are_preferred_then_the_pull_request_then_bin(server, cache, tmp_path, state):
    def file(name, **more):
        return {"name": name, "sha256": None, "size": None, **more}

    repo = server.repo(REPO)
    files = [
        file("config.json"),
        file("model.safetensors"),
        file("model.safetensors", ref="refs/pr/1"),
        file("pytorch_model.bin"),
    ]
    zoo = zoo_with(tmp_path, files=files)
    repo.commit(small_files() | pickled(state, tmp_path))
    assert "converted" in locate.locate("tiny", zoo=zoo, access=HubAccess(cache_dir=cache / "1")).weights.parts
    pull = repo.commit(safetensors(state), ref="refs/pr/1")
    assert pull in locate.locate("tiny", zoo=zoo, access=HubAccess(cache_dir=cache / "2")).weights.parts
    main = repo.commit(small_files() | safetensors(state))
    assert main in locate.locate("tiny", zoo=zoo, access=HubAccess(cache_dir=cache / "3")).weights.parts


def test_a_cached_variant_takes_no_request(server, cache, tmp_path, state):
    server.repo(REPO).commit(small_files() | safetensors(state))
    zoo = zoo_with(tmp_path)
    assert not locate.is_cached(zoo["tiny"], cache_dir=cache)
    first = locate.locate("tiny", zoo=zoo, access=HubAccess(cache_dir=cache))
    assert locate.is_cached(zoo["tiny"], cache_dir=cache)
    server.requests.clear()
    assert locate.locate("tiny", zoo=zoo, access=HubAccess(cache_dir=cache)) == first
    assert not server.requests


def test_offline_without_the_variant_says_what_and_how_much_and_what_else(cache, monkeypatch):
    use(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(HubOffline, match=r"nyu-b4 \(245 MB from vinvino02/glpn-nyu on the Hub\).*`rooms-b0` works"):
        locate.locate("nyu-b4", zoo=Zoo.load(), access=HubAccess(cache_dir=cache))


def test_no_weights_at_all(server, cache):
    server.repo(REPO).commit(small_files())
    with pytest.raises(HubNotFound, match=r"none of model\.safetensors \(.*pytorch_model\.bin"):
        locate.locate(REPO, zoo=Zoo.load(), access=HubAccess(cache_dir=cache))


class WritesAFile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "written")


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_malicious_bin_runs_nothing(server, cache, tmp_path, how):
    target = tmp_path / "written"
    evil = {"weight": WritesAFile(target)}
    content = pickled(evil, tmp_path)["pytorch_model.bin"] if how == "torch" else pickle.dumps(evil)
    server.repo(REPO).commit(small_files() | {"pytorch_model.bin": content.ljust(5000, b"\0")})
    with pytest.raises((UnsafeCheckpoint, CheckpointError)):
        load_estimator(REPO, cache_dir=cache)
    assert not target.exists()
    assert not list(cache.rglob("converted/**/*.safetensors"))


def test_config_processor_and_model_upload_what_they_save(server, cache, tmp_path):
    model, processor = GLPNForDepthEstimation(CONFIG), GLPNImageProcessor()
    for number, (saved, names) in enumerate(
        [
            (CONFIG, {"config.json"}),
            (processor, {"preprocessor_config.json"}),
            (model, {"config.json", "preprocessor_config.json", "model.safetensors"}),
        ]
    ):
        commit = saved.push_to_hub(f"me/own-{number}", token=server.token, private=True)
        repo = server.repo(f"me/own-{number}")
        assert (repo.refs["main"], repo.private, set(repo.commits[commit])) == (commit, True, names)
        saved.save_pretrained(tmp_path / f"folder-{number}", push_to_hub=True, repo_id=f"me/other-{number}")
        repo = server.repo(f"me/other-{number}")
        assert (repo.private, set(repo.commits[repo.refs["main"]])) == (False, names)


def test_an_index_that_points_elsewhere(server, cache, state):
    index = json.dumps({"weight_map": {"a": "../../../../etc/passwd"}}).encode()
    server.repo(REPO).commit(small_files() | {"model.safetensors.index.json": index})
    with pytest.raises(CheckpointError, match="names a shard"):
        locate.locate(REPO, zoo=Zoo.load(), access=HubAccess(cache_dir=cache))


def test_a_config_that_is_not_json(server, cache, state):
    server.repo(REPO).commit(small_files() | {"config.json": b"<html>"} | safetensors(state))
    with pytest.raises(ConfigError, match="JSON"):
        load_estimator(REPO, cache_dir=cache)


def test_the_kitti_mistake_is_pointed_out(server, cache, state, tmp_path):
    server.repo("someone/my-kitti").commit(small_files(max_depth=10) | safetensors(state))
    (notice,) = locate.locate("someone/my-kitti", zoo=Zoo.load(), access=HubAccess(cache_dir=cache)).notices
    assert "8 times too small" in notice
    server.repo("someone/my-kitti").commit(small_files(max_depth=80) | safetensors(state))
    assert not locate.locate("someone/my-kitti", zoo=Zoo.load(), access=HubAccess(cache_dir=cache)).notices
    folder = tmp_path / "from-kitti"
    folder.mkdir()
    for name, content in (small_files(max_depth=10) | safetensors(state)).items():
        (folder / name).write_bytes(content)
    assert locate.locate(folder, zoo=Zoo.load()).notices


def test_kitti_b4_gives_metres_up_to_80(server, cache, state):
    """The stand-in is laid out as the real repository: config says 10, safetensors are in a pull request alone."""
    source = Zoo.load()["kitti-b4"].source
    repo = server.repo(str(source.repo_id))
    repo.commit(small_files(max_depth=10) | {"pytorch_model.bin": bytes(5000)})
    pull = source.weights[1]
    repo.commit(safetensors(state), ref=str(pull.ref), commit=str(pull.revision))
    estimator = load_estimator("kitti-b4", cache_dir=cache)
    photo = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    prediction = estimator(photo, resolution=64)
    assert prediction.max_depth_m == 80
    assert 10 < prediction.depth_m.max() <= 80
    raw = build(GLPNForDepthEstimation, CONFIG, state, "raw")
    assert raw.config.max_depth == 10


# ---- Processes, through HF_ENDPOINT ----


def start(server, home, *arguments, command=None, **environment):
    """Start `python -m glpn zoo …`, or another command, with the Hub and the cache given as a user would give them."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    variables |= {"HF_ENDPOINT": server.url, "HF_HOME": str(home), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "glpn", *(command or ["zoo", *arguments])],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_two_processes_at_once_download_once_and_offline_works_then(server, tmp_path, state):
    server.repo(REPO).commit(small_files() | safetensors(state))
    zoo_with(tmp_path)
    own = str(tmp_path / "own.json")

    def hold(handler):
        handler.server.wait_for("HEAD", "model.safetensors", 2)
        return False

    server.fail("/cdn/", act=hold)
    processes = [start(server, tmp_path / "home", "download", "tiny", "--manifest", own) for _ in "ab"]
    results = [finish(process) for process in processes]
    assert [code for code, *_ in results] == [0, 0], results
    assert server.count("GET", "/cdn/") == 1

    server.requests.clear()
    code, output, errors = finish(
        start(server, tmp_path / "home", "path", "tiny", GLPN_MANIFEST=own, HF_HUB_OFFLINE="1")
    )
    assert (code, errors) == (0, "")
    assert Path(output.strip()).is_file()
    code, _, errors = finish(
        start(server, tmp_path / "other", "download", "tiny", GLPN_MANIFEST=own, HF_HUB_OFFLINE="1")
    )
    assert code == 1
    assert "HF_HUB_OFFLINE" in errors
    assert "rooms-b0" in errors
    assert "Traceback" not in errors
    assert not server.requests


def test_a_machine_without_network_starts_lists_explains_and_estimates(server, tmp_path):
    Image.new("RGB", (64, 48), "gray").save(tmp_path / "photo.png")
    for command in (
        ["zoo", "list"],
        ["zoo", "info", "nyu-b4"],
        ["estimate", str(tmp_path / "photo.png"), "--out", str(tmp_path / "depth"), "--format", "npy"],
    ):
        code, output, errors = finish(start(server, tmp_path / "home", command=command, HF_HUB_OFFLINE="1"))
        assert code == 0, errors
        assert output
    assert list((tmp_path / "depth").iterdir())
    assert not server.requests


def test_killed_half_way_and_started_again(server, tmp_path, state):
    weights = safetensors(state | {"filler": torch.zeros(4_000_000)})  # several times what a socket buffers
    server.repo(REPO).commit(small_files() | weights)
    zoo_with(tmp_path)
    own = str(tmp_path / "own.json")
    sent = threading.Event()
    server.fail("/cdn/", act=hang_after(12_000_000, sent), times=1)
    process = start(server, tmp_path / "home", "download", "tiny", "--manifest", own)
    assert sent.wait(30)
    process.send_signal(signal.SIGKILL)
    finish(process)
    (repo,) = (tmp_path / "home" / "hub").glob("models--*")
    assert list(repo.glob("blobs/*.incomplete"))
    assert not list(repo.glob("snapshots/*/model.safetensors"))
    code, output, errors = finish(start(server, tmp_path / "home", "download", "tiny", "--manifest", own))
    assert code == 0, errors
    assert Path(output.split()[-1]).read_bytes() == weights["model.safetensors"]
    assert not list(repo.glob("blobs/*.incomplete"))


# ---- Memory ----


def measured(code, *arguments):
    """Run `code` in a fresh process; return how far `work()` raised its resident memory at the highest, in bytes."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of a piece of work can be measured on Linux only")
    script = f"""
import sys
from pathlib import Path
{code}
def memory(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
before = memory("VmRSS")
work()
print(memory("VmHWM") - before)
"""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return int(subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout)


def test_hashing_takes_less_than_16_mb(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(250_000_000)
    rise = measured("from glpn.hub import sha256_of\ndef work(): sha256_of(Path(sys.argv[1]))", path)
    assert 0 < rise < 16e6


def test_loading_b4_takes_little_more_than_its_file(tmp_path):
    """The file is a hole of zeros behind a true header, so that it costs no disk."""
    with torch.device("meta"):
        shapes = GLPNForDepthEstimation(GLPNConfig.from_encoder("b4")).state_dict()
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in shapes.items():
        start, end = end, end + tensor.nbytes
        dtype = "F32" if tensor.is_floating_point() else "I64"
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    code = """
from glpn.checkpoint import load_state
from glpn.configuration import GLPNConfig
from glpn.model.image_processing import GLPNImageProcessor
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.pretrained import build
rooms = Path("glpn/weights/rooms-b0/model.safetensors")
build(GLPNForDepthEstimation, GLPNConfig.from_encoder("b0"), load_state(rooms), rooms)  # what PyTorch imports when used
def work():
    path = Path(sys.argv[1])
    model = build(GLPNForDepthEstimation, GLPNConfig.from_encoder("b4"), load_state(path), path)
    assert sum(float(parameter.sum()) for parameter in model.parameters()) == 0  # every page of the file was read
"""
    rise = measured(code, path)
    assert 0.5 * path.stat().st_size < rise < 1.3 * path.stat().st_size


def test_a_variant_has_no_other_revision():
    with pytest.raises(ConfigError, match="Leave the revision out"):
        locate.locate("nyu-b4", zoo=Zoo.load(), access=HubAccess(revision="main"))


# ------------------------------------------------------------------------------------------ what the environment says


@pytest.mark.parametrize("token", ["“hf_secret”", "hf_sec\nret", "hf_sec ret", "hf_lösecret"])
def test_a_token_with_a_wrong_character_is_named_and_never_shown(server, cache, caplog, token):
    server.repo(REPO).commit({"big.bin": BIG})
    server.repo(REPO).private = True
    with pytest.raises(HubDenied, match="token") as caught:
        fetch(REPO, "big.bin", cache_dir=cache, token=token)
    assert "secret" not in str(caught.value) + caplog.text
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "  ", " \n"])
def test_an_empty_token_is_none(server, cache, token):
    server.repo(REPO).commit({"big.bin": BIG})
    assert fetch(REPO, "big.bin", cache_dir=cache, token=token).read_bytes() == BIG
    assert not any("Authorization" in request.headers for request in server.requests)


def test_blanks_around_a_token_go(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    server.repo(REPO).private = True
    assert fetch(REPO, "big.bin", cache_dir=cache, token=f" {server.token}\n").read_bytes() == BIG


def test_no_message_holds_a_token_or_a_password(tmp_path):
    wanted = Wanted(REPO, "big.bin", "main", tmp_path)
    for error in (
        httpx2.ConnectError("via https://me:secret@proxy:8080 failed"),
        httpx2.LocalProtocolError("Illegal header value b'Bearer secret '"),
        ValueError("Unknown scheme for proxy URL 'wrong://me:secret@proxy'"),
        OSError(5, "hf_secret\nBearer secret"),
    ):
        message = str(translated(error, wanted))
        assert "secret" not in message
        assert "\n" not in message


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_can_not_be_used_is_a_sentence(tmp_path, name):
    code = "from glpn.hub import fetch; fetch('someone/some', 'config.json')"
    environment = os.environ | {
        name: "wrong://me:secret@127.0.0.1:9",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    *_, last = ended.stderr.strip().splitlines()
    assert last.startswith("glpn.errors.HubOffline: A proxy of the environment can't be used")
    assert "secret" not in last


def test_the_hubs_own_seconds_are_waited_and_told(server, cache, monkeypatch):
    server.repo(REPO).commit({"big.bin": BIG})
    waited = []
    monkeypatch.setattr(download, "_pause", lambda seconds, cancelled: waited.append(seconds))
    server.fail("/resolve/", status=429, headers={"RateLimit": '"resolvers";r=0;t=123'}, times=None)
    with pytest.raises(HubBusy, match=r"\(429\).*Wait 123 s"):
        fetch(REPO, "big.bin", cache_dir=cache)
    assert waited == [123, 123, 123]


def test_xet_is_left_on_for_everybody_else(server, cache, monkeypatch):
    server.repo(REPO).commit({"big.bin": BIG})
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    seen = []
    fetch(REPO, "big.bin", cache_dir=cache, progress=lambda *_: seen.append(constants.HF_HUB_DISABLE_XET))
    assert set(seen) == {True}
    assert constants.HF_HUB_DISABLE_XET is False


# ------------------------------------------------------------------------------------------------------- disk and cache


def test_what_a_repository_shares_counts_and_stays_for_the_others(server, cache):
    server.repo(REPO).commit({"big.bin": BIG})
    path = fetch(REPO, "big.bin", cache_dir=cache)
    blob = path.resolve()
    shared = cache / "blobs" / "ab" / "shared"  # as huggingface_hub stores what came through Xet
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    assert hub.bytes_on_disk(REPO, cache_dir=cache) >= len(BIG)
    other = cache / "models--other--one" / "blobs" / "same"
    other.parent.mkdir(parents=True)
    other.symlink_to(shared)
    freed = hub.remove_repo(REPO, cache_dir=cache)
    assert shared.exists() == (freed < len(BIG))
    assert not hub.bytes_on_disk(REPO, cache_dir=cache)


def test_a_cache_that_can_not_be_written_is_read(server, cache, monkeypatch):
    server.repo(REPO).commit({"big.bin": BIG})
    fetch(REPO, "big.bin", cache_dir=cache)
    shutil.rmtree(cache / "models--someone--glpn-tiny" / "verified")

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(download, "write_atomically", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    server.requests.clear()
    assert fetch(REPO, "big.bin", cache_dir=cache, local_files_only=True).read_bytes() == BIG
    assert not server.requests


def test_a_missing_preprocessor_is_forgiven_without_network_too(server, cache, state):
    server.repo(REPO).commit({**small_files(), "model.safetensors": save(state)})
    zoo = Zoo.load()
    load_estimator(REPO, zoo=zoo, cache_dir=cache)
    for path in cache.rglob("preprocessor_config.json"):
        path.unlink()
    server.fail("/resolve/", status=503, times=None)
    located = locate.locate(REPO, zoo=zoo, access=HubAccess(cache_dir=cache, local_files_only=True))
    assert located.preprocessor is None
