"""From a folder to the user's own repository on the Hub."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi

from glpn.errors import HubNotFound

from .download import cache_folder, repo_state, sha256_of
from .failures import FAILURES, Wanted, translated


@dataclass(frozen=True)
class Upload:
    """What an upload does, or would do: `change` is "new", "changed" or "same" for each file."""

    name: str
    size: int
    change: str


def plan_upload(folder: Path, repo_id: str, *, token: str | None = None) -> tuple[Upload, ...]:
    """Compare `folder` with the repository's main branch; a repository that does not exist makes every file new.

    Small files carry no checksum on the Hub and count as changed. Raises `HubError`.
    """
    try:
        _, there = repo_state(repo_id, "main", token=token)
    except HubNotFound:
        there = {}
    uploads = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        sha256, _ = there.get(path.name, (None, 0))
        change = "new" if path.name not in there else "same" if sha256 == sha256_of(path) else "changed"
        uploads.append(Upload(path.name, path.stat().st_size, change))
    return tuple(uploads)


def push(folder: Path, repo_id: str, *, token: str | None = None, private: bool = False) -> str:
    """Create the repository if it is missing, upload the folder's files and return the new commit's hash.

    Raises `HubError`.
    """
    try:
        api = HfApi(token=token)
        api.create_repo(repo_id, exist_ok=True, private=private)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Publish with glpn")
    except FAILURES as error:
        raise translated(error, Wanted(repo_id, "the upload", "main", cache_folder(None))) from error
    return str(commit.oid)
