"""GLPNConfig: the shape of one network, and the six encoder sizes of the paper."""

import json
import math
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from typing_extensions import Self

from .access import HubAccess
from .errors import ConfigError, printable
from .files import write_atomically
from .layout import CONFIG, Publishable, find_file, read_json, upload

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
# The largest value of each per-stage field: far above any published network, and still built within seconds.
MOST = MappingProxyType(
    {
        "num_encoder_blocks": 8,
        "depths": 200,
        "hidden_sizes": 4096,
        "decoder_hidden_size": 4096,
        "sr_ratios": 64,
        "patch_sizes": 64,
        "strides": 64,
        "num_attention_heads": 256,
        "num_channels": 64,
    }
)
MAX_PARAMETERS = 2_000_000_000  # b5 has 82 million
MAX_HIDDEN = 65_536  # of a feed-forward network
MAX_DEPTH_M = 100_000
STAGE_FIELDS = ("depths", "sr_ratios", "hidden_sizes", "patch_sizes", "strides", "num_attention_heads")


# A dataclass for the fields and their defaults; `__init__` is written out because transformers' takes any keyword.
@dataclass(init=False, eq=False, repr=False)
class GLPNConfig(Publishable):
    """Hyper-parameters of a GLPN network, with the names, defaults and methods of transformers' `GLPNConfig`.

    Per-stage fields hold `num_encoder_blocks` integers, finest stage first. `max_depth` is in metres: the network's
    output is `sigmoid(x) * max_depth`. `layer_norm_eps` is carried for compatibility and not applied: every published
    checkpoint was converted to, and is run by, a network whose LayerNorms use PyTorch's 1e-5.

    Attributes may be set at any time and keywords that are not fields are kept, as in transformers. The values are
    checked here and again when a network is built: `ConfigError` names the field that no network can have.
    """

    model_type: ClassVar[str] = "glpn"
    is_composition: ClassVar[bool] = False

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
    # What transformers keeps in every config; the network reads none of it.
    architectures: list[str] | None = None
    dtype: Any = None
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    is_encoder_decoder: bool = False
    chunk_size_feed_forward: int = 0

    def __init__(self, **values: Any) -> None:
        if "torch_dtype" in values:  # the name before transformers 4.56
            values.setdefault("dtype", values.pop("torch_dtype"))
        for name in ("model_type", "transformers_version"):  # what transformers writes into every file
            values.pop(name, None)
        self.name_or_path = str(values.pop("name_or_path", values.pop("_name_or_path", "")))
        num_labels = values.pop("num_labels", 2)
        for field in fields(self):
            setattr(self, field.name, values.pop(field.name, field.default))
        for name, value in values.items():
            if hasattr(type(self), name):
                raise ConfigError(f"GLPNConfig.{printable(name)} can't be set. Leave it out.")
            setattr(self, name, value)
        if isinstance(self.id2label, Mapping):
            try:
                self.id2label = {int(key): value for key, value in self.id2label.items()}
            except (TypeError, ValueError):
                raise ConfigError(
                    f"GLPNConfig.id2label has keys that are not integers: {_short(self.id2label)}."
                ) from None
        elif isinstance(num_labels, int) and 0 <= num_labels <= 100_000:
            self.num_labels = num_labels
        self.validate()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "dtype" and isinstance(value, str):
            import torch  # here, because listing models does not need it

            known = getattr(torch, value.removeprefix("torch."), None)
            value = known if isinstance(known, torch.dtype) else value
        super().__setattr__(name, value)

    def validate(self) -> None:
        """Raise `ConfigError` unless a network can be built from these values."""
        for name in ("num_channels", "num_encoder_blocks", "decoder_hidden_size"):
            _check_integer(name, getattr(self, name), most=MOST[name])
        for name in STAGE_FIELDS:
            for item in self._stages(name):
                _check_integer(name, item, most=MOST[name])
        for ratio in self._stages("mlp_ratios"):
            _check_number("mlp_ratios", ratio, "greater than 0, at most 1024", lambda v: 0 < v <= 1024)
        self._check_widths()
        self._check_strides()
        if self.hidden_act not in ACTIVATIONS:
            raise ConfigError(
                f"GLPNConfig.hidden_act is {_short(self.hidden_act)}. Give one of {', '.join(ACTIVATIONS)}."
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"):
            _check_number(name, getattr(self, name), "at least 0 and less than 1", lambda v: 0 <= v < 1)
        for name in ("initializer_range", "layer_norm_eps"):
            _check_number(name, getattr(self, name), "greater than 0, at most 1000", lambda v: 0 < v <= 1000)
        _check_number(
            "max_depth", self.max_depth, f"in metres: from 0.001 to {MAX_DEPTH_M}", lambda v: 0.001 <= v <= MAX_DEPTH_M
        )
        last = self.num_encoder_blocks - 1
        _check_integer("head_in_index", self.head_in_index, least=-last - 1, most=last)
        for name in ("output_attentions", "output_hidden_states", "return_dict"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"GLPNConfig.{name} is {_short(getattr(self, name))}. Give true or false.")

    def _check_widths(self) -> None:
        parameters = 0.0
        for stage, (size, heads, ratio) in enumerate(
            zip(self.hidden_sizes, self.num_attention_heads, self.mlp_ratios, strict=True)
        ):
            if size % heads:
                raise ConfigError(
                    f"GLPNConfig.hidden_sizes[{stage}] is {size}, which is not a multiple of {heads} attention heads. "
                    "Give a multiple of num_attention_heads."
                )
            if not 1 <= size * ratio <= MAX_HIDDEN:
                raise ConfigError(
                    f"GLPNConfig.mlp_ratios[{stage}] is {ratio}, which makes {size * ratio:g} hidden channels of "
                    f"{size}. Give a ratio that makes 1 to {MAX_HIDDEN}, usually 4."
                )
            reduction = self.sr_ratios[stage] ** 2 if self.sr_ratios[stage] > 1 else 0
            parameters += self.depths[stage] * size * size * (4 + reduction + 2 * ratio)
        if parameters > MAX_PARAMETERS:
            raise ConfigError(
                f"GLPNConfig.depths and hidden_sizes make a network of about {parameters:.2g} parameters. "
                f"Give one of at most {MAX_PARAMETERS:.0e}; the largest encoder, b5, has 8e7."
            )

    def _check_strides(self) -> None:
        first, *others = self.strides
        if first < 2 or any(stride != 2 for stride in others):
            raise ConfigError(
                f"GLPNConfig.strides is {_short(self.strides)}. Give at least 2 for the first stage, usually 4, and 2 "
                "for each of the others: the decoder doubles the size at every stage."
            )

    def _stages(self, name: str) -> tuple[Any, ...]:
        value = getattr(self, name)
        if not isinstance(value, list | tuple) or len(value) != self.num_encoder_blocks:
            raise ConfigError(
                f"GLPNConfig.{name} is {_short(value)}. Give {self.num_encoder_blocks} numbers, one for each encoder "
                "stage."
            )
        return tuple(value)

    # ---- Reading and writing, as in transformers ----

    @classmethod
    def from_encoder(cls, encoder: str, **overrides: Any) -> Self:
        """Build the config of encoder `"b0"` … `"b5"`; `overrides` sets other fields, such as `max_depth=80`."""
        if encoder not in ENCODERS:
            raise ConfigError(f"Unknown encoder {_short(encoder)}. Known: {', '.join(ENCODERS)}.")
        depths, hidden_sizes = ENCODERS[encoder]
        return cls(**{"depths": depths, "hidden_sizes": hidden_sizes} | overrides)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, return_unused_kwargs: bool = False, **overrides: Any) -> Any:
        """Build a config from a parsed config.json; `overrides` take precedence over it.

        With `return_unused_kwargs` the result is a pair: the config and those overrides that no attribute bears the
        name of.
        """
        if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
            raise ConfigError(f"A config is {type(values).__name__}. Give a JSON object such as {{'max_depth': 10}}.")
        model_type = values.get("model_type", "glpn")
        if model_type != "glpn":
            raise ConfigError(f"config.json says model_type {_short(model_type)}; only 'glpn' can be loaded here.")
        settable = {field.name for field in fields(cls)} | {"num_labels", "torch_dtype"}
        unused = {name: overrides.pop(name) for name in list(overrides) if name not in settable | values.keys()}
        # A foreign key that bears the name of a method or property, such as "encoder", says nothing about this network.
        kept = {name: value for name, value in values.items() if name in settable or not hasattr(cls, name)}
        config = cls(**kept | overrides)
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def get_config_dict(cls, source: str | PathLike[str], **keywords: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the content of config.json, not yet checked, and the keywords that are not about finding it."""
        access, rest = HubAccess.split(keywords)
        values = read_json(find_file(source, CONFIG, access))
        if not isinstance(values, dict):
            raise ConfigError(f"{printable(source)}: a config is {type(values).__name__}. Give a JSON object.")
        return values, rest

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | PathLike[str], **keywords: Any) -> Any:
        """Read config.json of a folder or a Hub repository (or that file itself).

        keywords    how to find it (`revision`, `cache_dir`, `token`, `local_files_only`, `subfolder`), overrides of
                    fields, and `return_unused_kwargs` as in `from_dict`

        Raises `ConfigError`, or `HubError` if a download fails.
        """
        values, rest = cls.get_config_dict(pretrained_model_name_or_path, **keywords)
        return cls.from_dict({"name_or_path": str(pretrained_model_name_or_path)} | values, **rest)

    @classmethod
    def from_json_file(cls, json_file: str | PathLike[str]) -> Self:
        """Read a config from a JSON file."""
        return cls.from_dict(read_json(Path(json_file)))

    def save_pretrained(self, save_directory: str | PathLike[str], push_to_hub: bool = False, **keywords: Any) -> None:
        """Write config.json into a folder, made if need be; `push_to_hub` uploads the folder, see `push_to_hub`."""
        self.validate()
        folder = Path(save_directory).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        self.to_json_file(folder / CONFIG)
        if push_to_hub:
            upload(folder, **keywords)

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes plus `model_type`, JSON-ready: transformers reads it back as the same config."""
        own = {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "name_or_path"}
        return {"model_type": self.model_type} | {name: _jsonable(value) for name, value in own.items()}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what config.json holds: the network's fields, and of the others those that are not the default."""
        common = {"architectures", "dtype", "id2label", "label2id", "problem_type", "is_encoder_decoder"}
        common |= {"output_attentions", "output_hidden_states", "return_dict", "chunk_size_feed_forward"}
        default = GLPNConfig().to_dict()
        return {
            name: value for name, value in self.to_dict().items() if name not in common or value != default.get(name)
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the config as JSON text: `to_diff_dict`, or all of `to_dict`."""
        return json.dumps(self.to_diff_dict() if use_diff else self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | PathLike[str], use_diff: bool = True) -> None:
        """Write `to_json_string`, whole or not at all."""
        write_atomically(Path(json_file_path), self.to_json_string(use_diff).encode())

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for name, value in config_dict.items():
            setattr(self, name, value)

    # ---- Small things that scripts read ----

    @property
    def num_labels(self) -> int | None:
        """Kept because transformers has it in every config; depth has no classes."""
        return None if self.id2label is None else len(self.id2label)

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        self.id2label = {index: f"LABEL_{index}" for index in range(number)}
        self.label2id = {label: index for index, label in self.id2label.items()}

    @property
    def torch_dtype(self) -> Any:
        """The name of `dtype` before transformers 4.56."""
        return self.dtype

    @torch_dtype.setter
    def torch_dtype(self, value: Any) -> None:
        self.dtype = value

    @property
    def use_return_dict(self) -> bool:
        """The old name of `return_dict`."""
        return self.return_dict

    @property
    def encoder(self) -> str | None:
        """The preset whose `depths` and `hidden_sizes` this is (`"b0"` … `"b5"`), or None for any other network."""
        shape = (tuple(self.depths), tuple(self.hidden_sizes))
        return next((name for name, preset in ENCODERS.items() if preset == shape), None)

    @property
    def stride(self) -> int:
        """Pixels of the photo per pixel of the coarsest feature map: 32 in all presets."""
        return math.prod(self.strides)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def __eq__(self, other: object) -> bool:
        """Whether both describe the same network and labels; where a config came from does not count."""
        if not isinstance(other, GLPNConfig):
            return NotImplemented
        compared = [field.name for field in fields(self) if field.name not in ("architectures", "dtype")]
        return all(_jsonable(getattr(self, name)) == _jsonable(getattr(other, name)) for name in compared)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _jsonable(value: Any) -> Any:
    """Whole floats become integers and tuples lists, because transformers types `max_depth` and `mlp_ratios` as int."""
    if isinstance(value, tuple | list):
        return [_jsonable(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _jsonable(item) for name, item in value.items()}
    if isinstance(value, float) and value.is_integer() and value >= 1:
        return int(value)
    return value if value is None or isinstance(value, str | int | float) else str(value).removeprefix("torch.")


def _short(value: object) -> str:
    """Return a bounded `repr` for a message, whatever a file holds."""
    try:
        return printable(reprlib.repr(value))
    except Exception:  # a foreign object's own __repr__ may fail
        return f"a {type(value).__name__}"


def _check_integer(name: str, value: Any, *, least: int = 1, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"GLPNConfig.{name} has {_short(value)}. Give an integer from {least} to {most}.")


def _check_number(name: str, value: Any, range_: str, accepts: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (isinstance(value, float) and not math.isfinite(value)) or not accepts(value):
        raise ConfigError(f"GLPNConfig.{name} has {_short(value)}. Give a number, {range_}.")
