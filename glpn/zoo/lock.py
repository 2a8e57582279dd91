"""Writing measured commits and digests into a manifest without touching the rest of its text."""

import json
from pathlib import Path
from typing import Any

from glpn.access import HubAccess
from glpn.errors import HubNotFound, ZooError
from glpn.files import write_atomically
from glpn.hub import fetch, repo_state, sha256_of

from .manifest import ModelSpec, Source, SourceFile, parse_manifest

Change = tuple[str, str, Any]  # where, as "nyu-b4 model.safetensors"; key; new value


def lock(spec: ModelSpec, *, token: str | None = None) -> list[Change]:
    """Measure the files of `spec`, on the Hub or on disk, write what is new into its manifest, and return that.

    On the Hub, `ref` is resolved to a commit and the digests are those of that commit. A file that the repository does
    not have keeps null. Raises `HubError`, or `ZooError` if the manifest or a file can't be read or written.
    """
    try:
        text = spec.manifest.read_text(encoding="utf-8-sig")  # some editors put a byte order mark first
        updates = _measure_folder(spec) if spec.folder else _measure_hub(spec.source, token)
        variants = json.loads(text)["variants"]
        index = next(index for index, row in enumerate(variants) if row["id"] == spec.id)
        changes: list[Change] = []
        for path, values in updates.items():
            target = variants[index]["source"]
            for step in path:
                target = target[step]
            for key, value in values.items():
                if target.get(key) != value:
                    text = set_value(text, ("variants", index, "source", *path, key), value)
                    changes.append((" ".join((spec.id, *filter(None, [target.get("name")]))), key, value))
        if changes:
            parse_manifest(text, path=spec.manifest)
            write_atomically(spec.manifest.resolve(), text.encode())
    except OSError as error:
        raise ZooError(
            f"{spec.id} can't be locked: {error}. Check that its files and {spec.manifest} are there."
        ) from error
    return changes


def set_value(text: str, path: tuple[str | int, ...], value: Any, *, indent: int | None = None) -> str:
    """Replace the value at `path` of a JSON document, or add it as the last of its object or list; keep all else."""
    spans = _spans(text)
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    if indent:
        written = written.replace("\n", "\n" + " " * (indent * len(path)))
    if path in spans:
        start, end = spans[path]
        return text[:start] + written + text[end:]
    end = max(end for other, (_, end) in spans.items() if other and other[:-1] == path[:-1])
    key = "" if isinstance(path[-1], int) else f"{json.dumps(path[-1])}: "
    gap = "\n" + " " * (indent * len(path)) if indent else " "
    return f"{text[:end]},{gap}{key}{written}{text[end:]}"


def _measure_hub(source: Source, token: str | None) -> dict[tuple[str | int, ...], dict[str, Any]]:
    repo_id, ref = str(source.repo_id), source.ref or "main"
    commit, files = repo_state(repo_id, ref, token=token)
    updates: dict[tuple[str | int, ...], dict[str, Any]] = {(): {"revision": commit}}
    for index, file in enumerate(source.files):
        if file.ref is None:
            updates["files", index] = _measure_file(repo_id, file, commit, files, token)
            continue
        try:
            own_commit, own_files = repo_state(repo_id, file.ref, token=token)
        except HubNotFound:  # a pull request that was closed and removed
            continue
        updates["files", index] = {
            "revision": own_commit,
            **_measure_file(repo_id, file, own_commit, own_files, token),
        }
    return updates


def _measure_file(
    repo_id: str, file: SourceFile, commit: str, files: dict[str, tuple[str | None, int]], token: str | None
) -> dict[str, Any]:
    if file.name not in files:
        return {"sha256": None, "size": None}
    sha256, size = files[file.name]
    if sha256 is None:
        sha256 = sha256_of(fetch(repo_id, file.name, HubAccess(revision=commit, token=token)))
    return {"sha256": sha256, "size": size}


def _measure_folder(spec: ModelSpec) -> dict[tuple[str | int, ...], dict[str, Any]]:
    assert spec.folder is not None
    paths: list[Path] = [spec.folder / file.name for file in spec.source.files]
    return {
        ("files", index): {"sha256": sha256_of(path), "size": path.stat().st_size} for index, path in enumerate(paths)
    }


def _spans(text: str) -> dict[tuple[str | int, ...], tuple[int, int]]:
    """Map each path of a JSON document to where its value starts and ends in `text`."""
    decoder = json.JSONDecoder()
    spans: dict[tuple[str | int, ...], tuple[int, int]] = {}

    def skip(index: int) -> int:
        while text[index] in " \t\r\n,:":
            index += 1
        return index

    def walk(start: int, path: tuple[str | int, ...]) -> int:
        start = skip(start)
        if text[start] not in "{[":
            end = decoder.raw_decode(text, start)[1]
        else:
            index, count = skip(start + 1), 0
            while text[index] not in "}]":
                key: str | int = count
                if text[start] == "{":
                    key, index = decoder.raw_decode(text, index)
                index = skip(walk(index, (*path, key)))
                count += 1
            end = index + 1
        spans[path] = start, end
        return end

    walk(0, ())
    return spans
