"""What both models have besides their layers: loading, saving and what scripts written for transformers ask of them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from glpn.access import HubAccess
from glpn.checkpoint import FLOATS, check_finite, check_tensors, load_config, load_state, save_safetensors
from glpn.configuration import GLPNConfig
from glpn.errors import CheckpointError, ConfigError, printable
from glpn.files import write_atomically
from glpn.layout import CONFIG, PREPROCESSOR, WEIGHT_FILES, WEIGHTS, WEIGHTS_INDEX, Publishable, find_weights, upload
from glpn.zoo import Source, SourceFile, Zoo

from .device import pick_device
from .image_processing import GLPNImageProcessor

if TYPE_CHECKING:
    from glpn.zoo.locate import LocatedCheckpoint

Model = TypeVar("Model", bound="PretrainedModel")

AUTOMATIC = {"auto", "balanced", "balanced_low_0", "sequential"}
# Keywords of transformers' `from_pretrained` that ask for something that this package does not have.
UNSUPPORTED = {
    "quantization_config": "Load float32 weights; the estimator's precision='int8' quantizes on the CPU.",
    "load_in_8bit": "Load float32 weights; the estimator's precision='int8' quantizes on the CPU.",
    "load_in_4bit": "Load float32 weights; the estimator's precision='int8' quantizes on the CPU.",
    "from_tf": "Convert the checkpoint to safetensors with transformers first.",
    "from_flax": "Convert the checkpoint to safetensors with transformers first.",
    "gguf_file": "Give a safetensors checkpoint.",
    "variant": "Rename the file to model.safetensors, or give the folder or revision that has it under this name.",
    "tp_plan": "The network fits on one device.",
}


class PretrainedModel(Publishable, nn.Module):
    """Base of both models: the parts of transformers' `PreTrainedModel` that scripts use."""

    config_class: ClassVar[type[GLPNConfig]] = GLPNConfig
    base_model_prefix: ClassVar[str] = "glpn"
    main_input_name: ClassVar[str] = "pixel_values"
    input_modalities: ClassVar[tuple[str, ...]] = ("image",)
    supports_gradient_checkpointing: ClassVar[bool] = True
    accepts_loss_kwargs: ClassVar[bool] = False  # Trainer averages the loss over accumulated batches itself
    framework: ClassVar[str] = "pt"
    _keys_to_ignore_on_save: ClassVar[None] = None
    _no_split_modules: ClassVar[list[str]] = ["Block", "DecoderStage"]

    def __init__(self, config: Any) -> None:
        super().__init__()
        if not isinstance(config, GLPNConfig):
            if not hasattr(config, "to_dict"):
                raise ConfigError(f"A {type(config).__name__} is not a config. Give a GLPNConfig.")
            config = GLPNConfig.from_dict(config.to_dict())  # transformers' own class
        config.validate()
        self.config: GLPNConfig = config
        self.name_or_path = config.name_or_path

    def _init_weights(self) -> None:
        """Initialise as MiT does: linear layers truncated normal, convolutions normal by fan-out, biases zero.

        Does nothing on the meta device, whose tensors hold no values: a checkpoint's tensors will take their place.
        """
        if next(self.parameters()).is_meta:
            return
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=self.config.initializer_range)
            elif isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @classmethod
    def own_part(cls, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of `state` that this class has, under its own names."""
        return state

    # ---- What it is and where ----

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next(self.parameters()).dtype

    @property
    def base_model(self) -> nn.Module:
        """The encoder model inside, or the model itself if it is that."""
        return getattr(self, self.base_model_prefix, self)

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Count the parameters; the network has no embeddings of tokens that could be excluded."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Return the bytes of the parameters, and of the buffers unless told otherwise."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def floating_point_ops(self, inputs: Mapping[str, Any], exclude_embeddings: bool = True) -> int:
        """Return the estimate that transformers' Trainer logs: 6 × parameters × values of the input."""
        return 6 * int(inputs[self.main_input_name].numel()) * self.num_parameters()

    @classmethod
    def can_generate(cls) -> bool:
        """False: it generates no text."""
        return False

    def tie_weights(self, *_: Any, **__: Any) -> None:
        """Do nothing: no two layers share weights."""

    # ---- Gradient checkpointing ----

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether the blocks' activations are computed again in the backward pass instead of kept."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.modules())

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Trade time for memory in training: every block, the non-reentrant way, whatever the arguments ask for."""
        self._set_gradient_checkpointing(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self._set_gradient_checkpointing(False)

    def _set_gradient_checkpointing(self, on: bool) -> None:
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = on  # type: ignore[assignment]

    # ---- Loading and saving ----

    @classmethod
    def _from_config(cls, config: GLPNConfig, **keywords: Any) -> Self:
        """Build a network with fresh weights; `dtype` casts it."""
        dtype = _dtype(keywords.get("dtype", keywords.get("torch_dtype")), config)
        return cls(config).to(dtype)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str] | None, *, config: Any = None, **keywords: Any
    ) -> Any:
        """Load a network in evaluation mode from a folder, a variant of the zoo or a Hub repository (`"owner/name"`).

        The keywords are those of transformers:

        config                a `GLPNConfig`, or a folder or repository that has one; None reads config.json
        dtype, torch_dtype    of the weights: a torch dtype or its name, or "auto" for that of the file; float32 if None
        device_map            a device, {"": device}, or "auto" for the fastest here; inputs are then moved there
        state_dict            tensors to use instead of the file's
        output_loading_info   return (model, report) and take weights that fit only in part
        ignore_mismatched_sizes   take the weights that fit, and initialise the others
        revision, cache_dir, token, local_files_only, subfolder, force_download, use_safetensors    see `HubAccess`
        any other             sets a field of the config, such as `output_hidden_states=True`

        Without the two keywords that allow less, the state dict has to fit exactly. Raises `UnknownModel`, `HubError`,
        `ConfigError` or `CheckpointError`.
        """
        options = LoadOptions.of(keywords)
        access, overrides = HubAccess.split(options.rest)
        found, weights = _files(pretrained_model_name_or_path, access, options.state_dict)
        if config is None and found is None:
            raise ConfigError(
                f"{printable(pretrained_model_name_or_path)} has no config.json. A checkpoint folder needs it next to "
                "the weights; HF Trainer leaves it out: pass config=model.config."
            )
        own = _config(found if config is None else config, access, overrides)
        own.name_or_path = str(pretrained_model_name_or_path or "")
        source = weights or "state_dict"
        state = load_state(weights) if weights else options.state_dict or {}
        dtype = _dtype(options.dtype, own, state)
        model, report = build_with_report(cls, own, state, source, dtype=dtype, lenient=options.lenient)
        if options.device_map is not None:
            place(model, options.device_map)
        model.config.dtype = dtype
        return (model, report) if options.output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | PathLike[str],
        *,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "50GB",
        **keywords: Any,
    ) -> None:
        """Write config.json, safetensors weights and, unless there is one, preprocessor_config.json into a folder.

        state_dict       weights to write instead of the network's own
        max_shard_size   bytes, or text such as "100MB": larger weights become several files with an index
        push_to_hub      upload the folder to `repo_id` (the folder's name if left out), with `token`, `private`
        others           of transformers' keywords change nothing: the weights are always safetensors

        Each file is written whole or not at all. transformers reads them as they are.
        """
        if is_main_process:
            folder = Path(save_directory).expanduser()
            save_checkpoint(self, folder, state_dict, _bytes(max_shard_size))
            if push_to_hub:
                upload(folder, **keywords)


# ---- A state dict becomes a network ----


def load_strict(model: Model, state: Mapping[str, Tensor], source: object, dtype: torch.dtype = torch.float32) -> Model:
    """Give `model` the tensors of `state`; every key has to be there once, with its shape and finite values.

    The model takes the tensors over (no copy) unless their dtype has to change. Raises `CheckpointError` naming
    `source` and the first keys that are missing, foreign, misshapen, of a dtype that weights don't have, or not finite.
    Names, dtypes and shapes are compared before any value is read.
    """
    expected = model.state_dict()
    check_tensors(state, source)
    report = compare(expected, state)
    problems = [f"{what} {_some(names)}" for what, names in report.items() if names and what != "misshapen"]
    problems += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}" for name in report["misshapen"][:3]
    ]
    if problems:
        raise CheckpointError(
            f"{printable(source)} does not fit this network: {'; '.join(problems)}. "
            "Check that config.json belongs to these weights and that they are a GLPN checkpoint."
        )
    check_finite(state, source)
    model.load_state_dict(_counters(expected) | _cast(state, dtype), assign=True)
    return model


def compare(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names that `state` lacks, those foreign to the network, and those of another shape."""
    # Checkpoints of before PyTorch 0.4.1 have no batch counter; the network never reads it in evaluation mode.
    needed = {name for name in expected if not name.endswith("num_batches_tracked")}
    return {
        "lacks": sorted(needed - state.keys()),
        "has foreign": sorted(state.keys() - expected.keys()),
        "misshapen": [name for name, value in expected.items() if name in state and state[name].shape != value.shape],
    }


def build(cls: type[Model], config: GLPNConfig, state: Mapping[str, Tensor], source: object) -> Model:
    """Make a network in evaluation mode around the tensors of `state`, in float32, without allocating it twice."""
    state = cls.own_part(state)
    _check_blocks(config, state, source)
    with torch.device("meta"):
        model = cls(config)
    return load_strict(model, state, source).eval()


def build_with_report(
    cls: type[Model],
    config: GLPNConfig,
    state: Mapping[str, Tensor],
    source: object,
    *,
    dtype: torch.dtype,
    lenient: bool,
) -> tuple[Model, dict[str, Any]]:
    """Make a network as `build` does, and transformers' report of what fitted.

    `lenient` takes the tensors that fit and leaves the network's initial values for the others.
    """
    state = cls.own_part(state)
    report: dict[str, list[str]] = {"lacks": [], "has foreign": [], "misshapen": []}
    if lenient:
        check_tensors(state, source)
        model = cls(config)
        report = compare(model.state_dict(), state)
        left_out = {*report["has foreign"], *report["misshapen"]}
        fitting = {name: value for name, value in state.items() if name not in left_out}
        check_finite(fitting, source)
        model.load_state_dict(_cast(fitting, torch.float32), strict=False)
        model.to(dtype)
    else:
        _check_blocks(config, state, source)
        with torch.device("meta"):
            model = cls(config)
        load_strict(model, state, source, dtype)
    expected = model.state_dict()
    return model.eval(), {
        "missing_keys": set(report["lacks"]),
        "unexpected_keys": set(report["has foreign"]),
        "mismatched_keys": {(name, state[name].shape, expected[name].shape) for name in report["misshapen"]},
        "error_msgs": [],
    }


def load_located(cls: type[Model], found: "LocatedCheckpoint") -> Model:
    """Build the network of files that `locate` found, with the zoo's maximum depth."""
    config = load_config(found.config)
    config.max_depth = found.spec.max_depth_m
    return build(cls, config, load_state(found.weights), found.weights)


def _check_blocks(config: GLPNConfig, state: Mapping[str, Tensor], source: object) -> None:
    """Refuse weights that have fewer blocks than the config before a large network is built for them."""
    blocks = {match.groups() for name in state if (match := re.search(r"encoder\.block\.(\d+)\.(\d+)\.", name))}
    for stage, depth in enumerate(config.depths):
        has = sum(first == str(stage) for first, _ in blocks)
        if depth > has + 40:  # small differences are told name by name
            raise CheckpointError(
                f"{printable(source)} does not fit this network: it has {has} blocks in stage {stage}, and the config "
                f"says {depth}. Check that config.json belongs to these weights."
            )


def _counters(expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.tensor(0) for name in expected if name.endswith("num_batches_tracked")}


def _cast(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(name) for name in names[:most]) + more


# ---- The keywords of from_pretrained ----


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Those keywords of `from_pretrained` that are not about finding files; `rest` are the others."""

    dtype: Any = None
    device_map: Any = None
    state_dict: Mapping[str, Tensor] | None = None
    output_loading_info: bool = False
    ignore_mismatched_sizes: bool = False
    use_safetensors: bool | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lenient(self) -> bool:
        return self.output_loading_info or self.ignore_mismatched_sizes

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Self:
        """Sort out `keywords`. Raises `ConfigError` for one that this package can't do."""
        rest = dict(keywords)
        for name, cure in UNSUPPORTED.items():
            if rest.pop(name, None):
                raise ConfigError(f"{name} is not supported here. {cure}")
        attention = rest.pop("attn_implementation", None)
        if attention not in (None, "eager", "sdpa"):
            raise ConfigError(f"attn_implementation is {attention!r}. Known: 'sdpa' and 'eager', the same here.")
        if "torch_dtype" in rest:
            rest.setdefault("dtype", rest.pop("torch_dtype"))
        own = {name: rest.pop(name) for name in cls.__dataclass_fields__ if name in rest}
        return cls(**own, rest=rest)


def _files(
    name: str | PathLike[str] | None, access: HubAccess, state: Mapping[str, Tensor] | None
) -> tuple[GLPNConfig | None, Path | None]:
    """Return the checkpoint's config, if it has one, and its weights, which nobody needs if `state` is given."""
    if name is None:
        if state is None:
            raise ConfigError("There is no checkpoint. Give a folder, a repository, or config=… and state_dict=….")
        return None, None
    folder = Path(name).expanduser()
    if folder.is_dir():
        folder /= access.subfolder
        config = load_config(folder / CONFIG) if (folder / CONFIG).is_file() else None
        return config, find_weights(folder) if state is None else None
    if access.subfolder:
        return _subfolder(str(name), access, access.subfolder.strip("/"))
    from glpn.zoo.locate import fetch_weights, locate  # here, because a folder needs no Hub

    found = locate(name, zoo=Zoo.load(), access=replace(access, force_download=False))
    if access.force_download and found.spec.source.kind == "hub":
        fetch_weights(found.spec.source, access)
    config = load_config(found.config)
    config.max_depth = found.spec.max_depth_m
    return config, found.weights


def _subfolder(repo_id: str, access: HubAccess, folder: str) -> tuple[GLPNConfig, Path]:
    from glpn.hub import fetch
    from glpn.zoo.locate import fetch_weights

    files = tuple(SourceFile(name=f"{folder}/{name}") for name in WEIGHT_FILES)
    source = Source(kind="hub", repo_id=repo_id, ref=access.revision or "main", files=files)
    config = load_config(fetch(repo_id, f"{folder}/{CONFIG}", access))
    return config, fetch_weights(source, access)


def _config(config: Any, access: HubAccess, overrides: dict[str, Any]) -> GLPNConfig:
    """Return a copy of `config` (an object, or where to find one) with `overrides` of its fields."""
    if isinstance(config, str | PathLike):
        values: Any = GLPNConfig.get_config_dict(config, **vars(access))[0]
    elif hasattr(config, "to_dict"):
        values = config.to_dict()
    else:
        raise ConfigError(f"config is {type(config).__name__}. Give a GLPNConfig, a folder or a repository.")
    overrides = {name: value for name, value in overrides.items() if name != "name_or_path"}  # set by what is loaded
    own, unknown = GLPNConfig.from_dict(values, return_unused_kwargs=True, **overrides)
    if unknown:
        names = ", ".join(map(printable, unknown))
        raise ConfigError(f"from_pretrained has no keyword {names}, and the config has no such field. Leave it out.")
    return own


def _dtype(asked: Any, config: GLPNConfig, state: Mapping[str, Tensor] | None = None) -> torch.dtype:
    if asked is None:
        return torch.float32
    if asked == "auto":
        of_state = (value.dtype for value in (state or {}).values() if value.is_floating_point())
        return config.dtype if isinstance(config.dtype, torch.dtype) else next(of_state, torch.float32)
    dtype = getattr(torch, asked.removeprefix("torch."), None) if isinstance(asked, str) else asked
    if dtype not in FLOATS:
        raise ConfigError(f"dtype is {asked!r}. Give torch.float32, float16, bfloat16, float64, or 'auto'.")
    return dtype


def place(model: PretrainedModel, device_map: Any) -> None:
    """Move `model` as `device_map` says: a device, {"": device}, or "auto" for the fastest one here.

    Inputs are then moved to the model's device, as accelerate does. The network is small: it never needs two devices.
    """
    devices = {str(one) for one in device_map.values()} if isinstance(device_map, Mapping) else {str(device_map)}
    if len(devices) != 1:
        raise ConfigError(f"device_map names {len(devices)} devices. The network needs one: give 'auto' or a device.")
    name = devices.pop()
    device = pick_device("auto" if name in AUTOMATIC else f"cuda:{name}" if name.isdigit() else name)
    model.to(device)
    model.hf_device_map = {"": torch.device(device)}  # type: ignore[assignment]
    model.register_forward_pre_hook(_move_inputs, with_kwargs=True)


def _move_inputs(module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    moved = [value.to(module.device) if isinstance(value, Tensor) else value for value in (*inputs, *named.values())]
    return tuple(moved[: len(inputs)]), dict(zip(named, moved[len(inputs) :], strict=True))


# ---- Saving ----


def save_checkpoint(
    model: PretrainedModel,
    folder: Path,
    state: Mapping[str, Tensor] | None = None,
    shard_bytes: int = 50_000_000_000,
) -> None:
    """Write config.json, the weights and, unless the folder has one, preprocessor_config.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict() if state is None else state
    model.config.architectures, model.config.dtype = [type(model).__name__], model.dtype  # as transformers does
    model.config.to_json_file(folder / CONFIG)
    shards = _shards(state, shard_bytes)
    if len(shards) == 1:
        save_safetensors(state, folder / WEIGHTS)
        (folder / WEIGHTS_INDEX).unlink(missing_ok=True)
    else:
        _save_shards(shards, folder)
    if not (folder / PREPROCESSOR).exists():
        GLPNImageProcessor().save_pretrained(folder)


def _shards(state: Mapping[str, Tensor], most: int) -> list[dict[str, Tensor]]:
    """Split `state` in order into parts of at most `most` bytes, or of one tensor that is larger."""
    shards: list[dict[str, Tensor]] = [{}]
    room = most
    for name, tensor in state.items():
        size = tensor.numel() * tensor.element_size()
        if size > room and shards[-1]:
            shards.append({})
            room = most
        shards[-1][name] = tensor
        room -= size
    return shards


def _save_shards(shards: list[dict[str, Tensor]], folder: Path) -> None:
    names = [f"model-{number + 1:05}-of-{len(shards):05}.safetensors" for number in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        save_safetensors(shard, folder / name)
    total = sum(tensor.numel() * tensor.element_size() for shard in shards for tensor in shard.values())
    weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_atomically(folder / WEIGHTS_INDEX, (json.dumps(index, indent=2) + "\n").encode())
    (folder / WEIGHTS).unlink(missing_ok=True)  # which would be read before the index


def _bytes(size: int | str) -> int:
    if isinstance(size, int) and size > 0:
        return size
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B", str(size).upper())
    if match is None or float(match[1]) == 0:
        raise ConfigError(f"max_shard_size is {size!r}. Give bytes, or text such as '100MB'.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2] or " "))
