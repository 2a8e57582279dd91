"""A loopback Hub with encoders and teachers of a few thousand parameters, and recipes that fit them."""

from collections.abc import Callable
from typing import Any

import torch
from hub_server import HubServer
from safetensors.torch import save

from glpn.configuration import ENCODERS, GLPNConfig
from glpn.model.modeling import GLPNForDepthEstimation, GLPNModel
from glpn.training.variants import recipe_of

TINY = {"hidden_sizes": [8, 16, 16, 32], "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 16}
SHAPE = GLPNConfig(depths=(1, 1, 1, 1), drop_path_rate=0.0, **TINY)
TEACHERS = {"vinvino02/glpn-nyu": "nyu-b4", "vinvino02/glpn-kitti": "kitti-b4"}


def stock(hub: HubServer) -> None:
    """Put the ImageNet encoders and the published teachers on the Hub."""
    torch.manual_seed(7)
    state = {f"segformer.{name}": value for name, value in GLPNModel(SHAPE).state_dict().items()}
    encoder = save(state | {"classifier.weight": torch.zeros(10, 32)})
    for name in ENCODERS:
        hub.repo(f"nvidia/mit-{name}").commit({"model.safetensors": encoder})
    teacher = save(GLPNForDepthEstimation(SHAPE).state_dict())
    for repo_id in TEACHERS:
        files = {"config.json": SHAPE.to_json_string().encode(), "model.safetensors": teacher}
        hub.repo(repo_id).commit(files)


def small_recipe(*args: Any, **options: Any) -> str:
    """The rehearsal of a recipe, narrow enough for these encoders, cropped for the small pictures."""
    widths = "".join(f"{name} = {value}\n" for name, value in TINY.items())
    text = recipe_of(*args, **(options | {"rehearsal": True})).replace("depths = ", widths + "depths = ")
    return text.replace("crop = [352, 1216]", "crop = [64, 192]")


class Streamed:
    """What `datasets.load_dataset(…, streaming=True)` gives: rows one after the other."""

    def __init__(self, rows: Callable[[], Any], features: dict[str, Any] | None = None, skipped: int = 0) -> None:
        self.rows, self.features, self.skipped = rows, features, skipped

    def cast_column(self, name: str, feature: Any) -> "Streamed":
        return Streamed(self.rows, {**(self.features or {}), name: feature}, self.skipped)

    def skip(self, count: int) -> "Streamed":
        return Streamed(self.rows, self.features, self.skipped + count)

    def __iter__(self) -> Any:
        return iter(list(self.rows())[self.skipped :])
