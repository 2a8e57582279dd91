"""HubAccess: how the Hub is asked for files. Imports neither the Hub's client nor PyTorch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any, TypedDict

from typing_extensions import Self

Progress = Callable[[int, int | None, float], None]  # bytes, total bytes or None, bytes per second
Question = Callable[[], bool]

# Keywords of transformers' loaders that change nothing here: nothing runs code from a repository, weights are always
# memory-mapped, and the network has one implementation of attention that gives the weights when they are asked for.
HARMLESS = {
    "trust_remote_code",
    "low_cpu_mem_usage",
    "resume_download",
    "proxies",
    "user_agent",
    "weights_only",
    "mirror",
    "adapter_kwargs",
    "offload_folder",
    "offload_state_dict",
    "offload_buffers",
    "max_memory",
}


class HubKeywords(TypedDict, total=False):
    """Keywords of functions that ask the Hub; see `HubAccess`."""

    revision: str | None
    cache_dir: str | PathLike[str] | None
    token: str | bool | None
    local_files_only: bool
    progress: Progress | None
    cancelled: Question | None


@dataclass(frozen=True, kw_only=True)
class HubAccess:
    """How a file is looked up; the names are those of transformers' `from_pretrained`.

    revision          commit hash, branch, tag or "refs/pr/N"; None is "main"
    cache_dir         the Hub cache; None is huggingface_hub's own ($HF_HOME, $HF_HUB_CACHE)
    token             None and True use the token that `hf auth login` or $HF_TOKEN left
    local_files_only  make no request
    subfolder         the checkpoint's folder inside the repository or the given folder
    force_download    verify the content again, even if it was verified before: a new copy would hold the same bytes
    progress          gets (bytes, total bytes or None, bytes per second) during a download
    cancelled         asked between pieces; `Cancelled` is raised when it returns True
    """

    revision: str | None = None
    cache_dir: str | PathLike[str] | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    subfolder: str = ""
    force_download: bool = False
    progress: Progress | None = None
    cancelled: Question | None = None

    @classmethod
    def split(cls, keywords: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Return what `keywords` state about the look-up, and the rest of them; harmless ones are dropped."""
        rest = {name: value for name, value in keywords.items() if name not in HARMLESS and not name.startswith("_")}
        if "use_auth_token" in rest:  # the name before transformers 4.32
            rest["token"] = rest.pop("use_auth_token")
        own = {field.name: rest.pop(field.name) for field in fields(cls) if field.name in rest}
        return cls(**{name: value for name, value in own.items() if value is not None}), rest

    @property
    def given_token(self) -> str | None:
        """The token itself without blanks around it, or None for the one that was stored; an empty one is none."""
        return self.token.strip() or None if isinstance(self.token, str) else None

    def at(self, revision: str | None) -> Self:
        """Return this access at another revision."""
        return replace(self, revision=revision)

    def offline(self) -> Self:
        """Return this access without requests."""
        return replace(self, local_files_only=True)


DEFAULT_ACCESS = HubAccess()
