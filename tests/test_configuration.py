import dataclasses

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from glpn.configuration import ENCODERS, GLPNConfig
from glpn.errors import ConfigError
from glpn.model.modeling import GLPNForDepthEstimation


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
        # What would take minutes or gigabytes to build, or overflow when run
        ("depths", [10**6] * 4),
        ("depths", [2, 2, 2, 10**5]),
        ("num_encoder_blocks", 10**9),
        ("hidden_sizes", [32, 64, 160, 2**20]),
        ("decoder_hidden_size", 10**6),
        ("mlp_ratios", [4, 4, 4, 1e300]),
        ("mlp_ratios", [4, 4, 4, 1e-9]),
        ("mlp_ratios", [4, 4, 4, 10**400]),
        ("strides", [1, 1, 1, 1]),
        ("strides", [4, 2, 2, 4]),
        ("max_depth", 1e308),
        ("max_depth", 10**400),
        ("id2label", {"first": "a"}),
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


@pytest.mark.parametrize(
    "values", [{"depths": (200,) * 4, "hidden_sizes": (4096,) * 4, "num_attention_heads": (1,) * 4}], ids=["giant"]
)
def test_a_network_that_no_machine_holds_is_refused(values):
    with pytest.raises(ConfigError, match="parameters"):
        GLPNConfig(**values)


def test_the_network_checks_what_was_set_after_the_config():
    config = GLPNConfig()
    config.depths = (10**6, 1, 1, 1)
    with pytest.raises(ConfigError, match="depths"):
        GLPNForDepthEstimation(config)


def test_a_message_shows_a_value_of_a_file_short_and_without_control_characters():
    with pytest.raises(ConfigError) as caught:
        GLPNConfig.from_dict({"hidden_act": "\x1b[31m" + "a" * 10_000 + "\n"})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 40 + "1" + "}" * 40, '{"depths": ' + "9" * 5000 + "}"],
    ids=["open", "deep", "long"],
)
def test_a_hostile_json_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError):
        GLPNConfig.from_pretrained(tmp_path)
