"""Other people's names for the same tensors: the authors' GLPDepth checkpoints, and ImageNet encoders of SegFormer."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from glpn.access import DEFAULT_ACCESS, HubAccess
from glpn.checkpoint import load_state, load_training_checkpoint
from glpn.configuration import ENCODERS, GLPNConfig
from glpn.errors import CheckpointError, ConfigError
from glpn.zoo import Source, SourceFile, Zoo
from glpn.zoo.locate import fetch_weights

from .modeling import GLPNForDepthEstimation, GLPNModel
from .pretrained import build, load_strict

# The authors' module names (models/model.py and the encoder that it imports) and ours. Their stages count from 1, ours
# from 0. BLOCK and OURS stand for one block of the encoder.
ORIGINAL_NAMES = tuple(
    (
        re.compile(pattern.replace("BLOCK", r"encoder\.block(?P<stage>[1-4])\.([0-9]+)")),
        name.replace("OURS", "glpn.encoder.block.{stage}.{0}"),
    )
    for pattern, name in (
        (r"encoder\.patch_embed(?P<stage>[1-4])\.proj\.", "glpn.encoder.patch_embeddings.{stage}.proj."),
        (r"encoder\.patch_embed(?P<stage>[1-4])\.norm\.", "glpn.encoder.patch_embeddings.{stage}.layer_norm."),
        (r"encoder\.norm(?P<stage>[1-4])\.", "glpn.encoder.layer_norm.{stage}."),
        (r"BLOCK\.norm([12])\.", "OURS.layer_norm_{1}."),
        (r"BLOCK\.attn\.q\.", "OURS.attention.self.query."),
        (r"BLOCK\.attn\.kv\.", "OURS.attention.self.kv."),
        (r"BLOCK\.attn\.sr\.", "OURS.attention.self.sr."),
        (r"BLOCK\.attn\.norm\.", "OURS.attention.self.layer_norm."),
        (r"BLOCK\.attn\.proj\.", "OURS.attention.output.dense."),
        (r"BLOCK\.mlp\.fc([12])\.", "OURS.mlp.dense{1}."),
        (r"BLOCK\.mlp\.dwconv\.dwconv\.", "OURS.mlp.dwconv.dwconv."),
        (r"decoder\.bot_conv\.", "decoder.stages.0.convolution."),
        (r"decoder\.skip_conv([12])\.", "decoder.stages.{0}.convolution."),
        (r"decoder\.fusion([123])\.conv([12])\.([01])\.", "decoder.stages.{0}.fusion.convolutional_layer{1}.{2}."),
        (r"decoder\.fusion([123])\.conv3\.", "decoder.stages.{0}.fusion.convolutional_layer3."),
        (r"last_layer_depth\.([02])\.", "head.head.{0}."),
    )
)
LEAVES = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an original GLPDepth checkpoint, with `module.` prefix or without, to our names.

    The authors keep keys and values of an attention in one matrix `kv` (2C, C): keys first. Raises `CheckpointError`
    for any name that is not theirs.
    """
    renamed: dict[str, Tensor] = {}
    for original, tensor in state.items():
        name = _our_name(original.removeprefix("module."))
        if name is None:
            raise CheckpointError(
                f"{original!r} is not a tensor of an original GLPDepth checkpoint. Expected names such as "
                "'module.encoder.block1.0.attn.q.weight'; a checkpoint in transformers' layout needs no conversion."
            )
        attention, is_kv, leaf = name.partition(".kv.")
        if not is_kv:
            new = {name: tensor}
        elif tensor.ndim and len(tensor) % 2 == 0:
            new = dict(zip((f"{attention}.key.{leaf}", f"{attention}.value.{leaf}"), tensor.chunk(2), strict=True))
        else:
            raise CheckpointError(
                f"{original!r} is {tuple(tensor.shape)}; expected as many keys as values in its rows."
            )
        if renamed.keys() & new.keys():
            raise CheckpointError(f"{original!r} stands twice in the checkpoint, with and without 'module.'.")
        renamed |= new
    return renamed


def _our_name(name: str) -> str | None:
    for pattern, ours in ORIGINAL_NAMES:
        match = pattern.match(name)
        if match and name[match.end() :] in LEAVES:
            groups = match.groupdict()
            stage = int(groups["stage"]) - 1 if groups else None
            numbers = match.groups()[1:] if groups else match.groups()
            return ours.format(*numbers, stage=stage) + name[match.end() :]
    return None


def load_original(path: Path, *, max_depth: float) -> GLPNForDepthEstimation:
    """Build a network from the authors' .ckpt, or from what a training with their names or ours saved.

    Takes what `load_training_checkpoint` takes. `max_depth` is not in the file.

    Raises `CheckpointError` unless every tensor has its place in one of the six encoders and the decoder.
    """
    state = load_training_checkpoint(path)
    if not any(name.startswith("glpn.") for name in state):  # else somebody trained a network with our names
        state = from_original(state)
    return build(GLPNForDepthEstimation, _config_of(state, path, max_depth), state, path)


def _config_of(state: Mapping[str, Tensor], path: Path, max_depth: float) -> GLPNConfig:
    depths, hidden_sizes = [], []
    for stage in range(4):
        blocks = {name.split(".")[4] for name in state if name.startswith(f"glpn.encoder.block.{stage}.")}
        projection = state.get(f"glpn.encoder.patch_embeddings.{stage}.proj.weight")
        depths.append(len(blocks))
        hidden_sizes.append(0 if projection is None else len(projection))
    for encoder, preset in ENCODERS.items():
        if preset == (tuple(depths), tuple(hidden_sizes)):
            return GLPNConfig.from_encoder(encoder, max_depth=max_depth)
    raise CheckpointError(
        f"{path} has {depths} blocks of {hidden_sizes} channels, which is none of the encoders {', '.join(ENCODERS)}. "
        "Give a whole GLPDepth checkpoint."
    )


def load_encoder(
    encoder: str, *, config: GLPNConfig | None = None, zoo: Zoo | None = None, access: HubAccess = DEFAULT_ACCESS
) -> GLPNModel:
    """Load the ImageNet encoder `"b0"` … `"b5"` (nvidia/mit-bX) as the start of a training.

    With a `config` of fewer blocks, such as a rehearsal's, the others are left out.

    Raises `ConfigError` for another name, `CheckpointError` if the weights are not that encoder's, or `HubError`.
    """
    if encoder not in ENCODERS:
        raise ConfigError(f"Unknown encoder {encoder!r}. Known: {', '.join(ENCODERS)}.")
    source = encoder_source(encoder, Zoo.load() if zoo is None else zoo)
    state = {
        name.removeprefix("segformer."): tensor
        for name, tensor in load_state(fetch_weights(source, access)).items()
        if not name.startswith("classifier.")  # ImageNet's 1000 classes
    }
    if config is None:
        return build(GLPNModel, GLPNConfig.from_encoder(encoder), state, source.repo_id)
    with torch.device("meta"):
        network = GLPNModel(config)
    kept = {name: tensor for name, tensor in state.items() if name in network.state_dict()}
    return load_strict(network, kept, source.repo_id).eval()


def encoder_source(encoder: str, zoo: Zoo) -> Source:
    """Return where the ImageNet encoder lies on the Hub."""
    for spec in zoo:
        if spec.source.kind == "encoder" and spec.encoder == encoder:
            return spec.source
    # No row starts from b4's encoder: b4 is what the authors published.
    files = (SourceFile(name="model.safetensors"), SourceFile(name="pytorch_model.bin"))
    return Source(kind="encoder", repo_id=f"nvidia/mit-{encoder}", ref="main", files=files)
