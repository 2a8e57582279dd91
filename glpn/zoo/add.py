"""A published checkpoint becomes a row of a manifest: the user's own, or the project's when it is handed in."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.access import HubAccess
from glpn.errors import ZooError
from glpn.files import write_atomically
from glpn.hub import fetch, repo_state

from .locate import locate
from .lock import lock, set_value
from .manifest import SCHEMA_VERSION, ModelSpec, Zoo, parse_manifest, read_manifest

ROW = "manifest_row.json"  # what `glpn publish` puts next to the weights


@dataclass(frozen=True)
class Added:
    """The row that was written, locked, and the one of the same id that it takes the place of, if there is any."""

    spec: ModelSpec
    before: ModelSpec | None


def add(
    repo_id: str, *, manifest: Path, zoo: Zoo, ref: str = "main", row_id: str | None = None, token: str | None = None
) -> Added:
    """Write a row for `repo_id` on the Hub into `manifest`, with its commit and digests; the file is made if missing.

    The row is the one that was published with the weights; without one it says what the files tell, and downloads them.
    `row_id` renames it. Raises `ZooError` if the id belongs to another model that can be run, `HubError`,
    `ManifestError` or `CheckpointError`.
    """
    row = _published_row(repo_id, ref, token) or _described_row(repo_id, ref, zoo, token)
    row["id"] = row_id or row["id"]
    row["source"] |= {"repo_id": repo_id, "ref": ref, "revision": None}
    before = next((spec for spec in zoo if spec.id == row["id"]), None)
    if before and before.ready and before.source.repo_id != repo_id:
        raise ZooError(
            f"{before.id} is {before.status} already, from {before.source.repo_id or before.folder}. Give the row of "
            f"{repo_id} another name with --id."
        )
    _write(manifest, row)
    spec = next(spec for spec in read_manifest(manifest) if spec.id == row["id"])
    lock(spec, token=token)
    return Added(next(spec for spec in read_manifest(manifest) if spec.id == row["id"]), before)


def _published_row(repo_id: str, ref: str, token: str | None) -> dict[str, Any] | None:
    commit, files = repo_state(repo_id, ref, token=token)
    if ROW not in files:
        return None
    path = fetch(repo_id, ROW, HubAccess(revision=commit, token=token))
    (spec,) = read_manifest(path)[:1] or (None,)
    if spec is None or spec.source.kind != "hub":
        raise ZooError(f"{ROW} of {repo_id} holds no row of a published model. `glpn publish` writes one.")
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))["variants"][0]
    return row


def _described_row(repo_id: str, ref: str, zoo: Zoo, token: str | None) -> dict[str, Any]:
    spec = locate(repo_id, zoo=zoo, access=HubAccess(revision=ref, token=token)).spec
    _, files = repo_state(repo_id, ref, token=token)
    return {
        "id": re.sub(r"[^a-z0-9]+", "-", repo_id.rpartition("/")[2].lower()).strip("-"),
        "title": repo_id,
        "head": spec.head,
        "encoder": spec.encoder,
        "max_depth_m": spec.max_depth_m,
        "max_depth_note": None,
        "status": "published",
        "source": {
            "kind": "hub",
            "files": [
                {"name": file.name, "sha256": None, "size": None} for file in spec.source.files if file.name in files
            ],
        },
        "working_short_side": spec.working_short_side,
        "camera": {"fx_over_width": spec.camera.fx_over_width, "fx_px": spec.camera.fx_px},
        "parameters": spec.parameters,
        "license": spec.license,
        "license_note": spec.license_note,
        "metrics": [],
    }


def _write(manifest: Path, row: dict[str, Any]) -> None:
    """Put `row` into the file, in the place of the row of its id or at the end, and keep the rest of its text."""
    try:
        manifest.parent.mkdir(parents=True, exist_ok=True)
        rows = read_manifest(manifest) if manifest.exists() else ()
        place = next((index for index, spec in enumerate(rows) if spec.id == row["id"]), len(rows))
        if rows:
            text = set_value(manifest.read_text(encoding="utf-8"), ("variants", place), row, indent=2)
        else:
            document = {"schema": SCHEMA_VERSION, "variants": [row]}
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        parse_manifest(text, path=manifest)
        write_atomically(manifest.resolve(), text.encode())
    except OSError as error:
        raise ZooError(f"{manifest} can't be written: {error.strerror}. Name another file with --to.") from error
