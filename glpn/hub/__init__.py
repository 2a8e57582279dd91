"""Verified files from the Hugging Face Hub. Nothing else in the project touches the network.

`fetch` brings one file of a repository; `locate` turns a variant id, a repository or a folder into the files of a
checkpoint.
"""

from .download import (
    Progress,
    bytes_on_disk,
    cache_folder,
    fetch,
    megabytes,
    remove_repo,
    repo_state,
    sha256_of,
)
from .locate import LocatedCheckpoint, fetch_weights, is_cached, locate, verify

__all__ = [
    "LocatedCheckpoint",
    "Progress",
    "bytes_on_disk",
    "cache_folder",
    "fetch",
    "fetch_weights",
    "is_cached",
    "locate",
    "megabytes",
    "remove_repo",
    "repo_state",
    "sha256_of",
    "verify",
]
