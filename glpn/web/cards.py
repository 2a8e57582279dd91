"""Pieces of the page as HTML, written by pure functions. Every text that comes from elsewhere is escaped here."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from glpn.export import FORMATS
from glpn.hub import megabytes
from glpn.prediction import DepthPrediction
from glpn.zoo import ModelSpec

STATUS = {
    "embedded": ("Ready", "Ships with this app; works without network."),
    "local": ("Ready", "From your own manifest; works without network."),
    "published": (
        "Published",
        "Trained by the authors; downloaded from the Hugging Face Hub and verified on first use.",
    ),
    "untrained": ("Needs training", "Nobody has published trained depth weights of this size."),
}
UNTRAINED_HELP = (
    "Its ImageNet encoder exists ({repo}), a trained depth decoder for it does not. Train it with "
    "`python -m glpn train`, distil it from a bigger model with `python -m glpn distill`, or name a checkpoint of your "
    "own under “Another checkpoint”."
)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return a definition list of (term, text) pairs; both are escaped."""
    items = "".join(f"<div><dt>{escape(term)}</dt><dd>{rich(text)}</dd></div>" for term, text in rows)
    return f'<dl class="facts">{items}</dl>'


def model_card(spec: ModelSpec, *, cached: bool, seconds: float | None) -> str:
    """Return the card of one variant: what it is, what it may be used for, what it costs."""
    label, meaning = STATUS[spec.status]
    if not spec.ready:
        meaning = "It can't be run. " + UNTRAINED_HELP.format(repo=spec.source.repo_id)
    place = "in this app" if spec.folder else f"{megabytes(spec.size_bytes)} from huggingface.co/{spec.source.repo_id}"
    rows = [
        ("Parameters", f"{spec.parameters / 1e6:.1f} million"),
        ("Greatest depth", f"{spec.max_depth_m:g} m" + (f". {spec.max_depth_note}" if spec.max_depth_note else "")),
        ("Weights", place + (", cached here" if cached and not spec.folder else "")),
        ("Accuracy", "; ".join(f"{m.dataset}: {m} ({m.source})" for m in spec.metrics) or "none known"),
        ("Time here", f"{seconds:.2f} s a photo" if seconds else "not measured yet"),
        ("Licence", f"{spec.license}. {spec.license_note}"),
    ]
    if not spec.ready:
        rows = [row for row in rows if row[0] not in ("Weights", "Time here")]
    return (
        f'<section class="card" aria-label="Model card"><h3><span>{escape(spec.title)}</span>'
        f'<span class="badge badge-{escape(spec.status)}">{escape(label)}</span></h3>'
        f"<p>{rich(meaning)}</p>{facts(rows)}</section>"
    )


def checkpoint_card() -> str:
    """Return the card of a checkpoint that isn't in the zoo."""
    return (
        '<section class="card" aria-label="Model card"><h3>Another checkpoint</h3><p>Any GLPN checkpoint in '
        "transformers' layout: its config decides encoder and greatest depth. Weights are opened as safetensors, or as "
        "tensors only; nothing in the file is run.</p></section>"
    )


def status_line(prediction: DepthPrediction, *, cached: bool = False) -> str:
    """Return the line under the figures: variant, seconds, metres, camera, and what the visitor should know."""
    depth = prediction.depth_m
    camera = prediction.camera
    source = {
        "assumed": "assumed, not known",
        "exif": "from EXIF",
        "fov": "as you gave it",
        "file": "from a file",
        "given": "given",
    }[camera.source]
    height, width = prediction.working_size
    parts = [
        f"<strong>{escape(prediction.variant)}</strong>",
        f"{prediction.seconds:.2f} s" + (" when this example was made" if cached else ""),
        f"{np.nanmin(depth):.2f}–{np.nanmax(depth):.2f} m",
        f"camera {camera.fov_deg:.0f}° ({source})",
        f"seen at {width}×{height}",
    ]
    if prediction.scale != 1:
        parts.append(f"metres × {prediction.scale:.2f} for the focal length")
    if prediction.flip_averaged:
        parts.append("flip averaged")
    line = "".join(f"<span>{part}</span>" for part in parts)
    return f'<div class="status-line" role="status">{line}</div>{notices(advice(prediction) + prediction.notes)}'


def advice(prediction: DepthPrediction) -> tuple[str, ...]:
    """Sentences that this result gives reason for."""
    out = []
    if prediction.share_at_limit > 0.25:
        out.append(
            f"{prediction.share_at_limit:.0%} of the picture is at {prediction.max_depth_m:g} m, the most that "
            f"{prediction.variant} can say. The scene is probably deeper, or outdoors: try a KITTI model."
        )
    if prediction.camera.assumed:
        out.append(
            "The photo doesn't tell its focal length, so the training camera's was assumed. Depth and 3D sizes may be "
            "off by the same factor; give the field of view under Settings if you know it."
        )
    return tuple(out)


def notices(sentences: Iterable[str]) -> str:
    """Return sentences as a quiet list, or nothing."""
    items = "".join(f"<li>{rich(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notices">{items}</ul>' if items else ""


def statistics_table(prediction: DepthPrediction) -> str:
    """Return the numbers of one depth map as a table, in metres."""
    depth = prediction.depth_m[np.isfinite(prediction.depth_m)]
    rows = [("Least", 0), ("5th percentile", 5), ("25th percentile", 25), ("Median", 50)]
    rows += [("75th percentile", 75), ("95th percentile", 95), ("Greatest", 100)]
    values = np.percentile(depth, [percent for _, percent in rows]) if depth.size else [np.nan] * len(rows)
    lines = [(name, f"{value:.2f} m") for (name, _), value in zip(rows, values, strict=True)]
    lines.append(("Mean", f"{depth.mean() if depth.size else np.nan:.2f} m"))
    lines.append((f"At the limit of {prediction.max_depth_m:g} m", f"{prediction.share_at_limit:.1%}"))
    lines.append(("Pixels", f"{prediction.size[1]} × {prediction.size[0]}"))
    return table(("Measure", "Value"), lines, caption="Depth of this photo")


def table(head: tuple[str, ...], rows: Iterable[Iterable[str]], *, caption: str) -> str:
    """Return a table whose first column heads its rows; all texts are escaped."""
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = ""
    for row in rows:
        first, *rest = row
        body += f'<tr><th scope="row">{rich(first)}</th>' + "".join(f"<td>{rich(text)}</td>" for text in rest) + "</tr>"
    return _scrolling(f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>", caption)


def files_table(done: Mapping[str, Path | str]) -> str:
    """Return the table of downloads. `done` maps a format's name to its file, or to why there is none."""
    rows = ""
    for name, kind in FORMATS.items():
        made, title, size = done.get(name), escape(kind.title), ""
        if isinstance(made, Path):
            file = escape(made.name)
            title = f'<a href="gradio_api/file={quote(str(made))}" download="{file}">{title}</a><small>{file}</small>'
            size = kilobytes(made.stat().st_size)
        else:
            title += f"<small>{escape(made or 'being written …')}</small>"
        rows += f'<tr><th scope="row">{title}</th><td>{escape(kind.unit)}</td><td class="number">{size}</td></tr>'
    head = '<th scope="col">File</th><th scope="col">Unit</th><th scope="col" class="number">Size</th>'
    return _scrolling(f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>", "Downloads", kind="files")


def _scrolling(inside: str, caption: str, *, kind: str = "") -> str:
    """Return a table that scrolls where it is too wide, under a caption that doesn't."""
    title = escape(caption)
    return (
        f'<p class="table-title">{title}</p><div class="table-scroll" tabindex="0" role="region" aria-label="{title}">'
        f'<table class="table {kind}" aria-label="{title}">{inside}</table></div>'
    )


def progress(sentence: str, share: float | None) -> str:
    """Return a progress bar with its sentence; `share` is 0 to 1, or None while the whole is unknown."""
    value = "" if share is None else f' value="{share:.3f}"'
    return f'<div class="progress" role="status"><p>{escape(sentence)}</p><progress{value} max="1"></progress></div>'


def kilobytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def rich(plain: str) -> str:
    """Escape `plain`; what stands between backticks becomes code."""
    parts = escape(plain).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
