import dataclasses

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from glpn.configuration import ENCODERS, GLPNConfig
from glpn.errors import ConfigError


def test_defaults_are_those_of_transformers():
    theirs = transformers.GLPNConfig().to_dict()
    ours = GLPNConfig().to_dict()
    assert {name: theirs[name] for name in ours} == ours


@pytest.mark.parametrize("encoder", ENCODERS)
def test_round_trip_through_both_libraries(encoder):
    config = GLPNConfig.from_encoder(encoder, max_depth=80)
    theirs = transformers.GLPNConfig(**{k: v for k, v in config.to_dict().items() if k != "model_type"})
    assert GLPNConfig.from_dict(theirs.to_dict()) == config
    assert config.encoder == encoder
    assert config.stride == 32


def test_unknown_and_obsolete_keys_are_ignored():
    values = {"image_size": 224, "downsampling_rates": [1, 4, 8, 16], "torch_dtype": "float32", "max_depth": 80}
    assert GLPNConfig.from_dict(values) == GLPNConfig(max_depth=80)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_channels", 0),
        ("num_encoder_blocks", 3.5),
        ("depths", [2, 2, 2]),
        ("depths", "2222"),
        ("hidden_sizes", [32, 64, 161, 256]),
        ("hidden_sizes", [32, -64, 160, 256]),
        ("sr_ratios", None),
        ("mlp_ratios", [4, 4, 4, float("nan")]),
        ("hidden_act", "swoosh"),
        ("drop_path_rate", 1.0),
        ("hidden_dropout_prob", True),
        ("max_depth", 0),
        ("max_depth", float("inf")),
        ("max_depth", "10"),
        ("layer_norm_eps", -1e-6),
        ("decoder_hidden_size", 0),
        ("head_in_index", 4),
        ("return_dict", 1),
    ],
)
def test_a_bad_value_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        GLPNConfig.from_dict({field: value})


@pytest.mark.parametrize("values", [[], "glpn", {"model_type": "segformer"}])
def test_what_is_no_glpn_config_is_refused(values):
    with pytest.raises(ConfigError):
        GLPNConfig.from_dict(values)


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(GLPNConfig)]), st.from_type(object)))
def test_any_value_is_taken_or_refused_with_a_config_error(values):
    try:
        config = GLPNConfig.from_dict(values)
    except ConfigError:
        return
    assert GLPNConfig.from_dict(config.to_dict()) == config


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GLPNConfig().max_depth = 80
