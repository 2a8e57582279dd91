"""Verified files from the Hugging Face Hub. Nothing else in the project touches the network.

`fetch` brings one file of a repository. What a variant's name stands for is decided in `glpn.zoo`.
"""

from .download import bytes_on_disk, cache_folder, fetch, megabytes, remove_repo, repo_state, sha256_of

__all__ = [
    "bytes_on_disk",
    "cache_folder",
    "fetch",
    "megabytes",
    "remove_repo",
    "repo_state",
    "sha256_of",
]
