"""The authors' checkpoint names and SegFormer's, mapped onto ours: strictly, every key once."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save

from glpn.access import HubAccess
from glpn.commands import main
from glpn.configuration import ENCODERS, GLPNConfig
from glpn.errors import CheckpointError, ConfigError, HubNotFound
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.original import from_original, load_encoder, load_original

ENCODER = "b1"  # the smallest for which the authors' decoder is defined


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return GLPNForDepthEstimation(GLPNConfig.from_encoder(ENCODER)).state_dict()


@pytest.fixture(scope="module")
def original(state):
    return in_original_layout(state)


def in_original_layout(state):
    """Name tensors as the authors' modules do (GLPDepth: models/model.py, mit.py), keys and values joined as theirs."""
    decoder = {"0": "bot_conv", "1": "skip_conv1", "2": "skip_conv2"}
    result = {}
    for name, tensor in state.items():
        part = name.split(".")
        match part:
            case ["glpn", "encoder", "patch_embeddings", stage, module, leaf]:
                new = f"encoder.patch_embed{int(stage) + 1}.{'norm' if module == 'layer_norm' else module}.{leaf}"
            case ["glpn", "encoder", "layer_norm", stage, leaf]:
                new = f"encoder.norm{int(stage) + 1}.{leaf}"
            case ["glpn", "encoder", "block", stage, block, "attention", "self", "key", leaf]:
                new = f"encoder.block{int(stage) + 1}.{block}.attn.kv.{leaf}"
                tensor = torch.cat((tensor, state[name.replace(".key.", ".value.")]))
            case ["glpn", "encoder", "block", _, _, "attention", "self", "value", _]:
                continue
            case ["glpn", "encoder", "block", stage, block, *rest]:
                module, leaf = ".".join(rest[:-1]), rest[-1]
                theirs = {
                    "layer_norm_1": "norm1",
                    "layer_norm_2": "norm2",
                    "attention.self.query": "attn.q",
                    "attention.self.sr": "attn.sr",
                    "attention.self.layer_norm": "attn.norm",
                    "attention.output.dense": "attn.proj",
                    "mlp.dense1": "mlp.fc1",
                    "mlp.dense2": "mlp.fc2",
                    "mlp.dwconv.dwconv": "mlp.dwconv.dwconv",
                }[module]
                new = f"encoder.block{int(stage) + 1}.{block}.{theirs}.{leaf}"
            case ["decoder", "stages", stage, "convolution", leaf]:
                new = f"decoder.{decoder[stage]}.{leaf}"
            case ["decoder", "stages", stage, "fusion", *rest]:
                new = f"decoder.fusion{stage}.{'.'.join(rest).replace('convolutional_layer', 'conv')}"
            case ["head", "head", layer, leaf]:
                new = f"last_layer_depth.{layer}.{leaf}"
        result[new] = tensor
    return result


@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_key_is_used_once_and_every_tensor_arrives(state, original, prefix):
    converted = from_original({prefix + name: tensor for name, tensor in original.items()})
    assert converted.keys() == state.keys()
    assert all(torch.equal(converted[name], tensor) for name, tensor in state.items())
    assert len(original) < len(state)  # keys and values travel together


def test_the_command_writes_a_folder_that_loads_everywhere(state, original, tmp_path, capsys):
    torch.save({f"module.{name}": tensor for name, tensor in original.items()}, tmp_path / "best.ckpt")
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path / "best.ckpt"), "--max-depth", "80", "--out", str(out)]) == 0
    assert f"encoder {ENCODER}, maximum depth 80 m" in capsys.readouterr().out
    ours = GLPNForDepthEstimation.from_pretrained(out)
    theirs = transformers.GLPNForDepthEstimation.from_pretrained(out)
    assert ours.config.max_depth == theirs.config.max_depth == 80
    for name, tensor in state.items():
        assert torch.equal(ours.state_dict()[name], tensor)
        assert torch.equal(theirs.state_dict()[name], tensor)


def test_anything_else_is_refused(original, tmp_path):
    def refused(state, words):
        torch.save(state, tmp_path / "file.ckpt")
        with pytest.raises(CheckpointError, match=words):
            load_original(tmp_path / "file.ckpt", max_depth=10)

    refused(original | {"module.extra.weight": torch.zeros(1)}, r"module\.extra\.weight")
    refused(original | {"last_layer_depth.0.weight.more": torch.zeros(1)}, "not a tensor of an original")
    refused({name: tensor for name, tensor in original.items() if "fusion2" not in name}, r"lacks.*stages\.2\.fusion")
    refused({name: tensor for name, tensor in original.items() if "block4.1" not in name}, "none of the encoders")
    refused(original | {"last_layer_depth.2.weight": torch.zeros(1, 64, 1, 1)}, r"head\.head\.2\.weight is")
    refused(original | {"encoder.block1.0.attn.kv.bias": torch.zeros(3)}, "as many keys as values")
    refused(original | {f"module.{name}": tensor for name, tensor in original.items()}, "stands twice")
    refused({"optimizer": original}, "state dict")


def segformer(encoder):
    depths, hidden_sizes = ENCODERS[encoder]
    torch.manual_seed(0)
    return transformers.SegformerForImageClassification(
        transformers.SegformerConfig(depths=list(depths), hidden_sizes=list(hidden_sizes))
    )


@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_an_imagenet_encoder_of_segformer_becomes_ours(server, cache, tmp_path, layout):
    theirs = segformer("b0").eval()
    theirs.save_pretrained(tmp_path / "mit")
    if layout == "bin":
        saved = tmp_path / "mit" / "model.safetensors"
        torch.save(load_file(saved), saved.with_name("pytorch_model.bin"))
        saved.unlink()
    files = {path.name: path.read_bytes() for path in (tmp_path / "mit").iterdir()}
    server.repo("nvidia/mit-b0").commit(files)
    ours = load_encoder("b0", access=HubAccess(cache_dir=cache))
    photo = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected = theirs.segformer(photo, output_hidden_states=True).hidden_states
        features = ours(photo, output_hidden_states=True).hidden_states
    assert len(features) == len(expected) == 4
    for one, other in zip(features, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_an_encoder_of_another_size_is_refused(server, cache):
    server.repo("nvidia/mit-b1").commit({"model.safetensors": save(segformer("b0").state_dict())})
    with pytest.raises(CheckpointError, match="nvidia/mit-b1 does not fit"):
        load_encoder("b1", access=HubAccess(cache_dir=cache))


def test_encoders_that_are_not_there(server, cache):
    with pytest.raises(ConfigError, match="Unknown encoder 'b6'"):
        load_encoder("b6")
    with pytest.raises(HubNotFound, match="nvidia/mit-b4"):  # no row of the manifest starts from it
        load_encoder("b4", access=HubAccess(cache_dir=cache))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "epoch": 3},
        lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}, "epoch": 3},
        lambda state: {"model_state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {"state_dict": {"model": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}}},
    ],
    ids=["model", "Lightning", "DataParallel", "compiled"],
)
@pytest.mark.parametrize("ours", [False, True], ids=["their names", "our names"])
def test_checkpoints_of_own_trainings_are_taken_wrapped(original, tmp_path, wrap, ours):
    torch.save(original, tmp_path / "bare.ckpt")
    bare = load_original(tmp_path / "bare.ckpt", max_depth=10).state_dict()
    torch.save(wrap(bare if ours else original), tmp_path / "file.ckpt")
    network = load_original(tmp_path / "file.ckpt", max_depth=10)
    assert all(torch.equal(tensor, bare[name]) for name, tensor in network.state_dict().items())
