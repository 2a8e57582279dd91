"""From a trained folder to something that others can use and judge: model card, manifest row, the Hub."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.checkpoint import find_weights, load_config
from glpn.errors import ConfigError
from glpn.hub import sha256_of
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.zoo import ModelSpec, Zoo, parse_manifest
from glpn.zoo.add import ROW
from glpn.zoo.locate import locate
from glpn.zoo.manifest import METRIC_LABELS


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What the folder can't tell on its own. `metrics` are measured: a list of manifest entries, maybe empty.

    `cited` are the paper's figures on the same data, by the manifest's names, which the card puts next to them.
    Short side and camera are the folder's own where they are None, or those of the published model alike.
    """

    id: str
    title: str
    repo_id: str
    head: str
    license: str
    license_note: str
    trained_on: str
    working_short_side: int | None = None
    fx_over_width: float | None = None
    metrics: tuple[dict[str, Any], ...] = ()
    cited: Mapping[str, float] | None = None


def write_publication(folder: Path, about: Publication) -> ModelSpec:
    """Write README.md (the model card) and manifest_row.json next to a checkpoint; returns the row as the zoo reads it.

    The checkpoint has to load first. Raises `CheckpointError`, or `ManifestError` if the row breaks the schema.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder. Give one that `train` or `distill` wrote.")
    network = GLPNForDepthEstimation.from_pretrained(folder)
    own = locate(folder, zoo=Zoo.load()).spec
    short_side = about.working_short_side or own.working_short_side
    fx_over_width = about.fx_over_width or own.camera.fx_over_width
    parameters = sum(parameter.numel() for parameter in network.parameters())
    config, weights = load_config(folder / "config.json"), find_weights(folder)
    files = [folder / "config.json", folder / "preprocessor_config.json", weights]
    described = [
        {"name": path.name, "sha256": sha256_of(path), "size": path.stat().st_size} for path in files if path.exists()
    ]
    row = {
        "id": about.id,
        "title": about.title,
        "head": about.head,
        "encoder": config.encoder,
        "max_depth_m": float(config.max_depth),
        "max_depth_note": None,
        "status": "published",
        "source": {"kind": "hub", "repo_id": about.repo_id, "ref": "main", "revision": None, "files": described},
        "working_short_side": short_side,
        "camera": {"fx_over_width": fx_over_width, "fx_px": round(fx_over_width * short_side * 4 / 3, 2)},
        "parameters": parameters,
        "license": about.license,
        "license_note": about.license_note,
        "metrics": list(about.metrics),
    }
    manifest = json.dumps({"schema": 1, "variants": [row]}, indent=2, ensure_ascii=False) + "\n"
    spec = parse_manifest(manifest, path=folder / ROW)[0]
    (folder / ROW).write_text(manifest, encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(model_card(about, spec, described[-1]), encoding="utf-8", newline="\n")
    return spec


def model_card(about: Publication, spec: ModelSpec, weights: dict[str, Any]) -> str:
    """Return the model card as Markdown with the Hub's front matter."""
    accuracy = "\n\n".join(_accuracy(metric, about.cited) for metric in about.metrics)
    encoder = spec.encoder or "a custom encoder"
    return f"""---
license: {about.license.lower() if " " not in about.license else "other"}
pipeline_tag: depth-estimation
tags: [glpn, depth]
---

# {about.title}

GLPN (Global-Local Path Networks, arXiv 2201.07436), {encoder}, {spec.parameters:,} parameters.

| | |
|---|---|
| Input | RGB / 255, no ImageNet normalisation, short side {spec.working_short_side}, sides to multiples of 32 |
| Output | depth in metres along the optical axis, 0 to {spec.max_depth_m:g} |
| Training camera | focal length {spec.camera.fx_over_width:g} × image width |
| Trained on | {about.trained_on} |
| Licence | {about.license}: {about.license_note} |

```python
from glpn import load_estimator

prediction = load_estimator("{about.repo_id}")("photo.jpg")
prediction.depth_m  # (H, W) float32, metres
```

`transformers.GLPNForDepthEstimation.from_pretrained("{about.repo_id}")` loads it too.

## Accuracy

{accuracy or "Not measured. `python -m glpn evaluate` does it."}

SHA-256 of `{weights["name"]}`: `{weights["sha256"]}`
"""


def _accuracy(metric: Mapping[str, Any], cited: Mapping[str, float] | None) -> str:
    """A table of one data set's figures, with the paper's next to them where they are known."""
    names = [name for name in METRIC_LABELS if name in metric]
    lines = [
        f"{metric['dataset']}{', median-scaled' if metric.get('alignment') == 'median' else ''}; {metric['source']}:"
    ]
    if cited and metric.get("alignment") != "median":
        lines += ["", "| | This model | The paper's, MiT-b4 |", "|---|--:|--:|"]
        lines += [f"| {METRIC_LABELS[name]} | {metric[name]:.4g} | {cited.get(name, '–')} |" for name in names]
    else:
        lines += ["", "| | This model |", "|---|--:|", *(f"| {METRIC_LABELS[n]} | {metric[n]:.4g} |" for n in names)]
    return "\n".join(lines)
