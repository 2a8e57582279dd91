"""Checkpoints in both directions between here and transformers, and every way in which one can be wrong."""

import json
import os
import pickle
import re
import warnings

import pytest
import torch
import transformers
from parity import TINY, as_theirs, pair
from safetensors.torch import load_file, save_file

from glpn.checkpoint import load_state
from glpn.configuration import GLPNConfig
from glpn.errors import CheckpointError, ConfigError, GLPNError, UnknownModel, UnsafeCheckpoint
from glpn.model.modeling import GLPNForDepthEstimation, GLPNModel
from glpn.model.pretrained import build

CONFIG = GLPNConfig(**TINY, max_depth=80)
PHOTO = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def networks():
    return pair(CONFIG)


@pytest.fixture
def folder(tmp_path, networks):
    networks[1].save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def depth(network):
    with torch.no_grad():
        return network(PHOTO).predicted_depth


def test_a_folder_of_ours_loads_in_transformers(folder, networks):
    loaded, report = transformers.GLPNForDepthEstimation.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    torch.testing.assert_close(depth(loaded), depth(networks[1]), atol=8e-4, rtol=0)
    assert type(transformers.AutoModelForDepthEstimation.from_pretrained(folder)) is type(loaded)
    assert GLPNConfig.from_dict(loaded.config.to_dict()) == CONFIG


def test_a_folder_of_transformers_loads_here(tmp_path, networks):
    theirs, ours = networks
    theirs.save_pretrained(tmp_path)
    loaded = GLPNForDepthEstimation.from_pretrained(tmp_path)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert torch.equal(depth(loaded), depth(ours))


def test_sharded_and_pickled_folders_of_transformers_load_here(tmp_path, networks):
    theirs, ours = networks
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    theirs.config.save_pretrained(tmp_path / "pickled")
    torch.save(theirs.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    for name in ("shards", "pickled"):
        assert torch.equal(depth(GLPNForDepthEstimation.from_pretrained(tmp_path / name)), depth(ours))


def test_the_encoder_loads_by_itself_and_from_the_whole(tmp_path, folder, networks):
    encoder = GLPNModel.from_pretrained(folder)
    encoder.save_pretrained(tmp_path / "encoder")
    theirs = transformers.GLPNModel.from_pretrained(tmp_path / "encoder")
    ours = GLPNModel.from_pretrained(tmp_path / "encoder")
    with torch.no_grad():
        expected = networks[1].glpn(PHOTO)[0]
        assert torch.equal(encoder(PHOTO)[0], expected)
        assert torch.equal(ours(PHOTO)[0], expected)
        torch.testing.assert_close(theirs(PHOTO)[0], expected, atol=1e-4, rtol=0)


def test_half_precision_weights_become_float32(folder, networks):
    state = {
        name: value.half() if value.is_floating_point() else value for name, value in networks[1].state_dict().items()
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = GLPNForDepthEstimation.from_pretrained(folder)
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(depth(loaded), depth(networks[1]), atol=0.5, rtol=0)


def test_a_loaded_network_trains(folder):
    network = GLPNForDepthEstimation.from_pretrained(folder).train()
    network(PHOTO, labels=torch.ones(1, 64, 96)).loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def missing(state):
    del state["head.head.0.bias"]


def extra(state):
    state["head.head.4.bias"] = torch.zeros(1)


def misshapen(state):
    state["decoder.stages.0.convolution.bias"] = torch.zeros(3)


@pytest.mark.parametrize("damage", [missing, extra, misshapen])
def test_a_tensor_that_does_not_fit_is_named(folder, damage):
    weights = folder / "model.safetensors"
    state = load_file(weights)
    before = set(state)
    damage(state)
    save_file(state, weights)
    name = next(iter(before ^ set(state)), "decoder.stages.0.convolution.bias")
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        GLPNForDepthEstimation.from_pretrained(folder)


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: {"weight": p}])
def test_a_pickle_with_a_payload_is_refused_and_not_run(tmp_path, wrap):
    target = tmp_path / "made-by-payload"
    path = tmp_path / "pytorch_model.bin"
    torch.save(wrap(Payload(target)), path)
    with pytest.raises(UnsafeCheckpoint, match="safetensors"):
        load_state(path)
    path.write_bytes(pickle.dumps(wrap(Payload(target)), protocol=2))
    with pytest.raises(CheckpointError):
        load_state(path)
    assert not target.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"", b"<html>", "half"])
def test_a_damaged_file_is_refused(folder, networks, name, content):
    path = folder / name
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
        torch.save(networks[1].state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(CheckpointError, match=r"again|no state dict|Ask its author"):
        GLPNForDepthEstimation.from_pretrained(folder)


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), {"a": 1}])
def test_a_bin_that_is_no_state_dict_is_refused(tmp_path, value):
    torch.save(value, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="no state dict"):
        load_state(tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize(
    "weight_map", [None, {"a": "../elsewhere.safetensors"}, {"a": "/etc/passwd"}, {"a": 3}, {"a": "absent.safetensors"}]
)
def test_a_bad_index_of_shards_is_refused(tmp_path, weight_map):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError):
        load_state(index)


@pytest.mark.parametrize("field", ["depths", "hidden_sizes", "max_depth"])
def test_a_config_without_a_field_that_decides_is_refused(folder, field):
    config = json.loads((folder / "config.json").read_text())
    del config[field]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=field):
        GLPNForDepthEstimation.from_pretrained(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff\xfe"])
def test_a_config_that_is_no_json_object_is_refused(folder, text):
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError):
        GLPNForDepthEstimation.from_pretrained(folder)


def test_a_folder_without_config_or_weights_is_refused(folder, tmp_path):
    (folder / "config.json").rename(tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"config\.json"):
        GLPNForDepthEstimation.from_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        GLPNForDepthEstimation.from_pretrained(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UnknownModel):
        GLPNForDepthEstimation.from_pretrained(tmp_path / "absent")


NAME = "glpn.encoder.block.0.0.attention.self.query.weight"


def not_a_number(tensor):
    tensor[0, 0] = float("nan")
    return tensor


def infinite(tensor):
    tensor[-1, -1] = float("-inf")
    return tensor


@pytest.mark.parametrize("damage", [not_a_number, infinite, lambda t: t + 1e38, lambda t: not_a_number(t.half())])
def test_weights_that_only_give_nonsense_are_refused_by_name(folder, networks, damage):
    state = {name: value.clone() for name, value in networks[1].state_dict().items()}
    state[NAME] = damage(state[NAME])
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=re.escape(NAME)):
        GLPNForDepthEstimation.from_pretrained(folder)


def test_a_negative_variance_is_refused(folder, networks):
    state = {name: value.clone() for name, value in networks[1].state_dict().items()}
    name = "decoder.stages.1.fusion.convolutional_layer1.1.running_var"
    state[name][0] = -1
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=re.escape(name)):
        GLPNForDepthEstimation.from_pretrained(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.int(),
        lambda t: t.bool(),
        lambda t: t.to(torch.complex64),
        lambda t: t.to(torch.float8_e4m3fn),
        lambda t: t.to_sparse(),
        lambda t: t.to("meta"),
        lambda t: t.half()[:1, :1].expand(10**6, 10**6),
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    ],
    ids=["int", "bool", "complex", "float8", "sparse", "meta", "expanded", "quantized"],
)
def test_a_tensor_of_another_kind_is_refused_before_it_is_converted(folder, networks, change):
    state = dict(networks[1].state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantized tensors are deprecated, and so are some of their files
        state[NAME] = change(state[NAME])
        (folder / "model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
        with pytest.raises(CheckpointError):
            GLPNForDepthEstimation.from_pretrained(folder)
        with pytest.raises(CheckpointError, match=re.escape(NAME)):
            build(GLPNForDepthEstimation, CONFIG, state, "a file")


def test_names_that_are_not_text_are_refused(folder, networks):
    (folder / "model.safetensors").unlink()
    torch.save(networks[1].state_dict() | {3: torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="no state dict"):
        GLPNForDepthEstimation.from_pretrained(folder)


def test_a_config_with_many_more_blocks_than_the_file_is_refused_before_they_are_built(folder, monkeypatch):
    config = json.loads((folder / "config.json").read_text()) | {"depths": [200, 200, 200, 200]}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(GLPNForDepthEstimation, "__init__", lambda *_: pytest.fail("the network was built"))
    with pytest.raises(CheckpointError, match="1 blocks in stage 0"):
        GLPNForDepthEstimation.from_pretrained(folder)


def test_names_of_a_file_are_shown_without_control_characters(folder, networks, tmp_path):
    save_file(networks[1].state_dict() | {"\x1b[2Jevil\n": torch.zeros(1)}, folder / "model.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "\x1b[2J/evil\n"}}))
    for load in (lambda: GLPNForDepthEstimation.from_pretrained(folder), lambda: load_state(index)):
        with pytest.raises(CheckpointError, match="evil") as caught:
            load()
        assert str(caught.value).isprintable()


def test_an_index_that_is_nested_too_deep_is_refused(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": ' + "[" * 100_000)
    with pytest.raises(CheckpointError):
        load_state(index)


def test_saving_that_fails_leaves_nothing_half_written(folder, networks, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises((OSError, GLPNError)):
        pair(CONFIG, seed=1)[1].save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_as_theirs_is_the_same_config():
    assert GLPNConfig.from_dict(as_theirs(CONFIG).to_dict()) == CONFIG
