"""GLPNConfig: the shape of one network, and the six encoder sizes of the paper."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Self

from .errors import ConfigError

# Mix Transformer (SegFormer, arXiv 2105.15203, table 6): blocks per stage, channels per stage.
ENCODERS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = MappingProxyType(
    {
        "b0": ((2, 2, 2, 2), (32, 64, 160, 256)),
        "b1": ((2, 2, 2, 2), (64, 128, 320, 512)),
        "b2": ((3, 4, 6, 3), (64, 128, 320, 512)),
        "b3": ((3, 4, 18, 3), (64, 128, 320, 512)),
        "b4": ((3, 8, 27, 3), (64, 128, 320, 512)),
        "b5": ((3, 6, 40, 3), (64, 128, 320, 512)),
    }
)
ACTIVATIONS = ("gelu", "relu", "silu")


@dataclass(frozen=True, kw_only=True)
class GLPNConfig:
    """Hyper-parameters of a GLPN network, with the names and defaults of transformers' `GLPNConfig`.

    Per-stage fields are tuples of `num_encoder_blocks` integers, finest stage first. `max_depth` is in metres: the
    network's output is `sigmoid(x) * max_depth`. `layer_norm_eps` is carried for compatibility and not applied: every
    published checkpoint was converted to, and is run by, a network whose LayerNorms use PyTorch's 1e-5.

    Raises `ConfigError`, naming the field, for a value that no network can have.
    """

    num_channels: int = 3
    num_encoder_blocks: int = 4
    depths: tuple[int, ...] = (2, 2, 2, 2)
    sr_ratios: tuple[int, ...] = (8, 4, 2, 1)
    hidden_sizes: tuple[int, ...] = (32, 64, 160, 256)
    patch_sizes: tuple[int, ...] = (7, 3, 3, 3)
    strides: tuple[int, ...] = (4, 2, 2, 2)
    num_attention_heads: tuple[int, ...] = (1, 2, 5, 8)
    mlp_ratios: tuple[float, ...] = (4, 4, 4, 4)
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    drop_path_rate: float = 0.1
    layer_norm_eps: float = 1e-6
    decoder_hidden_size: int = 64
    max_depth: float = 10
    head_in_index: int = -1
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True

    def __post_init__(self) -> None:
        for name in ("num_channels", "num_encoder_blocks", "decoder_hidden_size"):
            _check_integer(name, getattr(self, name))
        for name in ("depths", "sr_ratios", "hidden_sizes", "patch_sizes", "strides", "num_attention_heads"):
            object.__setattr__(self, name, self._stages(name, integers=True))
        object.__setattr__(self, "mlp_ratios", self._stages("mlp_ratios", integers=False))
        for stage, (size, heads) in enumerate(zip(self.hidden_sizes, self.num_attention_heads, strict=True)):
            if size % heads:
                raise ConfigError(
                    f"GLPNConfig.hidden_sizes[{stage}] is {size}, which {heads} attention heads do not divide. "
                    "Give a multiple of num_attention_heads."
                )
        if self.hidden_act not in ACTIVATIONS:
            raise ConfigError(f"GLPNConfig.hidden_act is {self.hidden_act!r}. Known: {', '.join(ACTIVATIONS)}.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"):
            _check_number(name, getattr(self, name), "at least 0 and less than 1", lambda v: 0 <= v < 1)
        for name in ("initializer_range", "layer_norm_eps", "max_depth"):
            _check_number(name, getattr(self, name), "finite and greater than 0", lambda v: v > 0)
        last = self.num_encoder_blocks - 1
        _check_integer("head_in_index", self.head_in_index, least=-last - 1, most=last)
        for name in ("output_attentions", "output_hidden_states", "return_dict"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"GLPNConfig.{name} is {getattr(self, name)!r}. Give true or false.")

    @classmethod
    def from_encoder(cls, encoder: str, **overrides: Any) -> Self:
        """Build the config of encoder `"b0"` … `"b5"`; `overrides` sets other fields, such as `max_depth=80`."""
        if encoder not in ENCODERS:
            raise ConfigError(f"Unknown encoder {encoder!r}. Known: {', '.join(ENCODERS)}.")
        depths, hidden_sizes = ENCODERS[encoder]
        return cls(**{"depths": depths, "hidden_sizes": hidden_sizes} | overrides)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a config from a parsed config.json; keys that are not fields (obsolete or foreign) are ignored."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"A config is {type(values).__name__}. Give a JSON object such as {{'max_depth': 10}}.")
        model_type = values.get("model_type", "glpn")
        if model_type != "glpn":
            raise ConfigError(f"config.json says model_type {model_type!r}; only 'glpn' can be loaded here.")
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """Return all fields plus `model_type`, JSON-ready: transformers reads it back as the same config."""
        return {"model_type": "glpn"} | {name: _jsonable(value) for name, value in asdict(self).items()}

    @property
    def encoder(self) -> str | None:
        """The preset whose `depths` and `hidden_sizes` this is (`"b0"` … `"b5"`), or None for any other network."""
        shape = (self.depths, self.hidden_sizes)
        return next((name for name, preset in ENCODERS.items() if preset == shape), None)

    @property
    def stride(self) -> int:
        """Pixels of the photo per pixel of the coarsest feature map: 32 in all presets."""
        return math.prod(self.strides)

    def _stages(self, name: str, *, integers: bool) -> tuple[Any, ...]:
        value = getattr(self, name)
        if not isinstance(value, list | tuple) or len(value) != self.num_encoder_blocks:
            raise ConfigError(
                f"GLPNConfig.{name} is {value!r}. Give {self.num_encoder_blocks} numbers, one for each encoder stage."
            )
        for item in value:
            if integers:
                _check_integer(name, item)
            else:
                _check_number(name, item, "finite and greater than 0", lambda v: v > 0)
        return tuple(value)


def _jsonable(value: Any) -> Any:
    """Whole floats become integers and tuples lists, because transformers types `max_depth` and `mlp_ratios` as int."""
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and value.is_integer() and value >= 1:
        return int(value)
    return value


def _check_integer(name: str, value: Any, *, least: int = 1, most: int = 1_000_000) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"GLPNConfig.{name} has {value!r}. Give an integer from {least} to {most}.")


def _check_number(name: str, value: Any, range_: str, accepts: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not accepts(value):
        raise ConfigError(f"GLPNConfig.{name} has {value!r}. Give a number, {range_}.")
