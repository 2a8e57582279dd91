"""The model zoo: what weights_manifest.json says about each variant, read strictly.

A variant's files come from one of four kinds of source:

    package   next to this code (status "embedded")
    folder    a folder relative to the user's own manifest (status "local")
    hub       a trained GLPN on the Hugging Face Hub (status "published")
    encoder   an ImageNet encoder on the Hub, from which a GLPN could be trained (status "untrained")
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import Self

from glpn.configuration import ENCODERS
from glpn.errors import ManifestError, UnknownModel, printable

DEFAULT = "rooms-b0"  # the embedded model, which needs no network
PACKAGE = Path(__file__).parents[1]
MANIFEST = Path(__file__).with_name("weights_manifest.json")
OWN_MANIFEST = "GLPN_MANIFEST"  # the environment variable that names the user's own manifest
SCHEMA_VERSION = 1
MANIFEST_BYTES = 4 << 20  # ten thousand variants
STATUS_OF_KIND = {"package": "embedded", "folder": "local", "hub": "published", "encoder": "untrained"}
SOME_TEXT = r"(?s).*[!-~\u00a1-\uffff].*"
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json", ".bin")


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of a source. `sha256` and `size` (bytes) are None until somebody measured them.

    `ref` and `revision` (a commit hash) are set where the file lies elsewhere than the rest of its repository, such as
    in a pull request.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    ref: str | None = None
    revision: str | None = None

    @property
    def is_weights(self) -> bool:
        return self.name.endswith(WEIGHT_SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a variant's files are: `path` for kinds "package" and "folder", `repo_id` for "hub" and "encoder".

    Weight files are alternatives, best first; all other files are needed. `revision` is a commit hash that pins the
    repository, or None while only `ref` (a branch or pull request) is known.
    """

    kind: str
    files: tuple[SourceFile, ...]
    path: str | None = None
    repo_id: str | None = None
    ref: str | None = None
    revision: str | None = None

    @property
    def weights(self) -> tuple[SourceFile, ...]:
        """The weight files, best first; one of them is enough."""
        return tuple(file for file in self.files if file.is_weights)

    def revision_of(self, file: SourceFile) -> str | None:
        """The revision to ask the Hub for: the pinned commit where there is one."""
        return file.revision or file.ref or self.revision or self.ref


@dataclass(frozen=True, kw_only=True)
class TrainingCamera:
    """The camera a variant was trained with.

    fx_over_width  focal length as a multiple of the picture's width: the field of view
    fx_px          focal length in pixels of what the network saw: the scale that its metres rest on
    correct_focal  whether a known focal length corrects the depth on its own: it does where that was measured to help
    """

    fx_over_width: float
    fx_px: float
    correct_focal: bool = True


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Accuracy on one data set. `values` maps a metric's name (`delta1`, `abs_rel`, …) to its value.

    `alignment` is "raw" for metres as they come, "median" if each photo's median was set right first, None if unsaid.
    """

    dataset: str
    source: str
    alignment: str | None = None
    values: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        values = ", ".join(f"{METRIC_LABELS[name]} {value:.3f}" for name, value in self.values)
        return values + (f", {ALIGNMENTS[self.alignment]}" if self.alignment else "")


ALIGNMENTS = {"raw": "raw", "median": "median-scaled"}
METRIC_LABELS = {
    "delta1": "δ1",
    "delta2": "δ2",
    "delta3": "δ3",
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "log10": "log10",
    "silog": "SILog",
}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One row of the manifest.

    max_depth_m         metres that an output of 1 before scaling stands for; overrides the checkpoint's config
    max_depth_note      why `max_depth_m` differs from the published config, or None
    status              "embedded", "local", "published" or "untrained"
    working_short_side  pixels: the short side of what the network sees
    parameters          of the whole network, encoder, decoder and head
    manifest            the file that the row stands in
    """

    id: str
    title: str
    head: str
    encoder: str | None
    max_depth_m: float
    status: str
    source: Source
    working_short_side: int
    camera: TrainingCamera
    parameters: int
    license: str
    license_note: str
    metrics: tuple[Metric, ...] = ()
    max_depth_note: str | None = None
    manifest: Path = field(default=MANIFEST, compare=False)

    @property
    def ready(self) -> bool:
        """Whether trained weights exist, so that depth can be estimated."""
        return self.status != "untrained"

    @property
    def size_bytes(self) -> int:
        """Bytes of the weight file: as measured, or else 4 for each parameter."""
        return next((file.size for file in self.source.weights if file.size), None) or 4 * self.parameters

    @property
    def folder(self) -> Path | None:
        """Where the files lie if they need no network, else None."""
        if self.source.path is None:
            return None
        return (PACKAGE if self.source.kind == "package" else self.manifest.parent) / self.source.path


@dataclass(frozen=True)
class Zoo:
    """All known variants, in the manifest's order. Iterate over it, or look one up: `zoo["nyu-b4"]`."""

    specs: tuple[ModelSpec, ...]

    @classmethod
    def load(cls, path: Path | str | None = None, *, extra: Iterable[Path | str] = ()) -> Self:
        """Read the project's manifest, or that at `path`, and then the user's own: `users_manifest` and `extra`.

        A later manifest's row replaces an earlier one's of the same id. Raises `ManifestError` with file and place for
        anything that the schema does not allow.
        """
        own = users_manifest()
        rows: dict[str, ModelSpec] = {}
        for file in (path or MANIFEST, *([own] if os.environ.get(OWN_MANIFEST) or own.is_file() else []), *extra):
            rows |= {spec.id: spec for spec in read_manifest(_expanded(file))}
        return cls(tuple(rows.values()))

    @property
    def ready(self) -> tuple[ModelSpec, ...]:
        """The variants that can estimate depth."""
        return tuple(spec for spec in self.specs if spec.ready)

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)

    def __contains__(self, name: object) -> bool:
        return any(spec.id == name for spec in self.specs)

    def __getitem__(self, name: str) -> ModelSpec:
        for spec in self.specs:
            if spec.id == name:
                return spec
        raise self.unknown(name)

    def unknown(self, name: str) -> UnknownModel:
        """The error for a name that is no variant's."""
        known = ", ".join(spec.id for spec in self.specs)
        return UnknownModel(
            f"Unknown model {printable(repr(name))}. Known: {known}. `python -m glpn zoo list` shows them. A "
            "checkpoint of your own is a folder that exists, or 'owner/name' on the Hub."
        )


def users_manifest() -> Path:
    """The file of the user's own rows: what $GLPN_MANIFEST names, or else models.json in the user's settings."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "glpn" / "models.json"
    return _expanded(os.environ.get(OWN_MANIFEST) or settings)


def _expanded(file: Path | str) -> Path:
    try:
        return Path(file).expanduser()
    except RuntimeError:  # nobody of that name has a home; the message will name the file
        return Path(file)


def read_manifest(path: Path) -> tuple[ModelSpec, ...]:
    """Read one manifest file; raises `ManifestError` unless all of it obeys weights_manifest.schema.json."""
    shown = printable(path)
    try:
        if path.exists() and not path.is_file():
            raise ManifestError(f"The manifest {shown} can't be read: it is not a regular file. Give a JSON file.")
        if path.stat().st_size > MANIFEST_BYTES:
            raise ManifestError(f"The manifest {shown} can't be read: it is larger than {MANIFEST_BYTES >> 20} MiB.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(
            f"There is no manifest at {shown}. Give a JSON file such as weights_manifest.json."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ManifestError(f"The manifest {shown} can't be read: {reason}. Copy it again.") from None
    return parse_manifest(text, path=path)


def parse_manifest(text: str, *, path: Path) -> tuple[ModelSpec, ...]:
    """Parse a manifest's `text`; `path` is what messages name and what "folder" sources are relative to."""
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise ManifestError(f"The manifest {printable(path)} is not JSON: it is nested too deep.") from None
    except ValueError as error:
        raise ManifestError(f"The manifest {printable(path)} is not JSON: {printable(error)}.") from None
    try:
        top = _Object(document, "the manifest")
        if top.take("schema", _integer()) != SCHEMA_VERSION:
            raise _Wrong(f'"schema" is not {SCHEMA_VERSION}, the only one that is understood here')
        rows = top.take("variants", _list)
        top.close()
        specs = tuple(_model_spec(row, f"variant {index}", path) for index, row in enumerate(rows))
        first = {spec.id: index for index, spec in reversed(list(enumerate(specs)))}
        for index, spec in enumerate(specs):
            if first[spec.id] != index:
                raise _Wrong(f"variant {index} has the id {spec.id!r} of an earlier one; ids are unique")
    except _Wrong as error:
        raise ManifestError(f"The manifest {printable(path)} breaks its schema: {error}.") from None
    return specs


def _model_spec(value: Any, where: str, path: Path) -> ModelSpec:
    row = _Object(value, where)
    spec_id = row.take("id", _text(r"[a-z0-9]+(-[a-z0-9]+)*"))
    row.where = f"variant {spec_id!r}"
    camera = _Object(row.take("camera"), f"{row.where}, camera")
    source = _source(row.take("source"), f"{row.where}, source")
    spec = ModelSpec(
        id=spec_id,
        title=row.take("title", _text()),
        head=row.take("head", _text(r"[a-z0-9]+")),
        encoder=row.take("encoder", _optional(_one_of(ENCODERS))),
        max_depth_m=row.take("max_depth_m", _positive),
        max_depth_note=row.take("max_depth_note", _optional(_text()), default=None),
        status=row.take("status", _one_of(STATUS_OF_KIND.values())),
        source=source,
        working_short_side=row.take("working_short_side", _integer(32)),
        camera=TrainingCamera(
            fx_over_width=camera.take("fx_over_width", _positive),
            fx_px=camera.take("fx_px", _positive),
            correct_focal=camera.take("correct_focal", _truth, default=True),
        ),
        parameters=row.take("parameters", _integer()),
        license=row.take("license", _text()),
        license_note=row.take("license_note", _text()),
        metrics=tuple(_metric(metric, f"{row.where}, metrics") for metric in row.take("metrics", _list)),
        manifest=path,
    )
    camera.close()
    row.close()
    if spec.status != STATUS_OF_KIND[source.kind]:
        raise _Wrong(
            f"{row.where} has status {spec.status!r}, but a source of kind {source.kind!r} "
            f"is {STATUS_OF_KIND[source.kind]!r}"
        )
    return spec


def _source(value: Any, where: str) -> Source:
    row = _Object(value, where)
    kind = row.take("kind", _one_of(STATUS_OF_KIND))
    place: dict[str, Any]
    if kind in ("package", "folder"):
        place = {"path": row.take("path", _relative_path)}
    else:
        place = {
            "repo_id": row.take("repo_id", _text(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")),
            "ref": row.take("ref", _ref, default="main"),
            "revision": row.take("revision", _optional(_text(r"[0-9a-f]{40}")), default=None),
        }
    files = tuple(_source_file(file, f"{where}, files", hub="repo_id" in place) for file in row.take("files", _list))
    row.close()
    if not any(file.is_weights for file in files):
        raise _Wrong(f"{where} lists no weight file ({', '.join(WEIGHT_SUFFIXES)})")
    return Source(kind=kind, files=files, **place)


def _source_file(value: Any, where: str, *, hub: bool) -> SourceFile:
    row = _Object(value, where)
    file = SourceFile(
        name=row.take("name", _relative_path),
        sha256=row.take("sha256", _optional(_text(r"[0-9a-f]{64}"))),
        size=row.take("size", _optional(_integer())),
        ref=row.take("ref", _ref, default=None) if hub else None,
        revision=row.take("revision", _optional(_text(r"[0-9a-f]{40}")), default=None) if hub else None,
    )
    row.close()
    return file


def _metric(value: Any, where: str) -> Metric:
    row = _Object(value, where)
    dataset, source = row.take("dataset", _text()), row.take("source", _text())
    alignment = row.take("alignment", _one_of(ALIGNMENTS), default=None)
    values = tuple((name, row.take(name, _number)) for name in METRIC_LABELS if name in row.rest)
    row.close()
    if not values:
        raise _Wrong(f"{where} has no value; give one or more of {', '.join(METRIC_LABELS)}")
    return Metric(dataset=dataset, source=source, alignment=alignment, values=values)


class _Wrong(ValueError):
    """What is wrong, without the file's name."""


class _Object:
    """A JSON object of which every key is taken once; `close` refuses what is left over."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise _Wrong(f"{where} is {_shown(value)}, not an object")
        self.rest = dict(value)
        self.where = where

    def take(self, key: str, check: Callable[[Any], Any] = lambda value: value, **default: Any) -> Any:
        if key not in self.rest:
            if "default" in default:
                return default["default"]
            raise _Wrong(f'{self.where} lacks "{key}"')
        try:
            return check(self.rest.pop(key))
        except _Wrong as error:
            raise _Wrong(f'{self.where}: "{key}" is {error}') from None

    def close(self) -> None:
        if self.rest:
            raise _Wrong(f"{self.where} has unknown keys: {printable(', '.join(map(_shown, self.rest)))}")


def _shown(value: Any) -> str:
    if isinstance(value, list | dict) and value:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return printable(json.dumps(value, ensure_ascii=False), 60)


def _text(pattern: str = SOME_TEXT) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise _Wrong(f"{_shown(value)}, not {'a text' if pattern == SOME_TEXT else f'a text like {pattern}'}")
        return value

    return check


def _one_of(choices: Iterable[str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _Wrong(f"{_shown(value)}, not one of {', '.join(choices)}")
        return value

    return check


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise _Wrong(f"{_shown(value)}, not a number")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"{_shown(value)}, not true or false")
    return value


def _positive(value: Any) -> float:
    if _number(value) <= 0:
        raise _Wrong(f"{_shown(value)}, not greater than 0")
    return float(value)


def _integer(least: int = 1) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value  # JSON's 1.0 is an integer too
        if isinstance(whole, bool) or not isinstance(whole, int) or not least <= whole < 10**18:
            raise _Wrong(f"{_shown(value)}, not an integer from {least}")
        return whole

    return check


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(f"{_shown(value)}, not a list")
    return value


def _relative_path(value: Any) -> str:
    path = _text(r"[\w.-]+(/[\w.-]+)*")(value)
    if any(part in (".", "..") for part in path.split("/")):
        raise _Wrong(f"{_shown(value)}, which climbs out of its folder; give a plain path below it")
    return path


_ref = _relative_path  # a branch, tag or refs/pr/N


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key {key!r} stands twice in one object")
        unique[key] = value
    return unique


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
