"""Pieces of the page as HTML, written by pure functions. Every text that comes from elsewhere is escaped here."""

import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from glpn.hub import megabytes
from glpn.prediction import DepthPrediction
from glpn.scale import Scale
from glpn.scene.certainty import UNSURE
from glpn.scene.uncertainty import Uncertainty, significant, worth_of
from glpn.zoo import ModelSpec

STATUS = {
    "embedded": ("Ready", "Ships with this app; works without network."),
    "local": ("Ready", "From your own manifest; works without network."),
    "published": (
        "Published",
        "Trained weights are on the Hugging Face Hub; downloaded and verified on first use.",
    ),
    "untrained": ("Needs training", "Nobody has published trained depth weights of this size."),
}
UNTRAINED_HELP = (
    "Its ImageNet encoder exists ({repo}), a trained depth decoder for it does not. The Zoo page tells how to train it "
    "with one command, `python -m glpn zoo train`, and what that takes. Or name a checkpoint of your own under "
    "“Another checkpoint”."
)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return a definition list of (term, text) pairs; both are escaped."""
    items = "".join(f"<div><dt>{escape(term)}</dt><dd>{rich(text)}</dd></div>" for term, text in rows)
    return f'<dl class="facts">{items}</dl>'


def card(spec: ModelSpec, *, cached: bool, seconds: float | None) -> str:
    """Return the card of one variant: what it is, what it may be used for, what it costs."""
    label, meaning = STATUS[spec.status]
    if not spec.ready:
        meaning = "It can't be run. " + UNTRAINED_HELP.format(repo=spec.source.repo_id)
    place = "in this app" if spec.folder else f"{megabytes(spec.size_bytes)} from huggingface.co/{spec.source.repo_id}"
    rows = [
        ("Metres", worth_of(spec, "raw")),
        ("Shape", worth_of(spec, "median")),
        ("Parameters", f"{spec.parameters / 1e6:.1f} million"),
        ("Maximum depth", f"{spec.max_depth_m:g} m" + (f". {spec.max_depth_note}" if spec.max_depth_note else "")),
        ("Weights", place + (", cached here" if cached and not spec.folder else "")),
        ("All figures", figures(spec) or "none known"),
        ("Time here", f"{seconds:.2f} s a photo" if seconds else "not measured yet"),
        ("Licence", f"{spec.license}. {spec.license_note}"),
    ]
    if not spec.ready:
        rows = [row for row in rows if row[0] not in ("Metres", "Shape", "Weights", "Time here")]
    return (
        f'<section class="card" aria-label="Model card"><h3><span>{escape(spec.title)}</span>'
        f'<span class="badge badge-{escape(spec.status)}">{escape(label)}</span></h3>'
        f"<p>{rich(meaning)}</p>{facts(rows)}</section>"
    )


def figures(spec: ModelSpec) -> str:
    """Return every figure of a model, and once for all of one source where they come from."""
    told: dict[str, list[str]] = {}
    for metric in spec.metrics:
        told.setdefault(metric.source, []).append(f"{metric.dataset}: {metric}")
    return "; ".join(f"{'; '.join(lines)} ({source})" for source, lines in told.items())


def checkpoint_card() -> str:
    """Return the card of a checkpoint that isn't in the zoo."""
    return (
        '<section class="card" aria-label="Model card"><h3>Another checkpoint</h3><p>Any GLPN checkpoint in '
        "transformers' layout: its config sets encoder and maximum depth. Weights are opened as safetensors, or as "
        "tensors only; nothing in the file is run.</p></section>"
    )


def stale(sentence: str) -> str:
    """Return the note that what is shown is not of what is chosen; style.css dims the results next to it."""
    return f'<ul class="notices stale"><li>{escape(sentence)}</li></ul>'


def status_line(prediction: DepthPrediction, uncertainty: Uncertainty, *, cached: bool = False) -> str:
    """Return the line under the figures: variant, seconds, metres, camera, and what the visitor should know.

    Where known lengths scale the metres, it ends in a button whose click `status.js` tells as "unscale".
    """
    depth = prediction.depth_m
    camera = prediction.camera
    source = {
        "assumed": "assumed, not known",
        "exif": "from EXIF",
        "fov": "set by you",
        "file": "from a file",
        "given": "given",
    }[camera.source]
    height, width = prediction.working_size
    parts = [
        f"<strong>{escape(prediction.variant)}</strong>",
        f"{prediction.seconds:.2f} s" + (" (precomputed)" if cached else ""),
        f'<span title="{escape(uncertainty.basis)}">{uncertainty.text(float(np.nanmedian(depth)))}</span> in the '
        "middle of its depths",
        f"from {uncertainty.span(float(np.nanmin(depth)), float(np.nanmax(depth)))}",
        f"camera {camera.fov_deg:.0f}° ({source})",
        f"network input {width}×{height}",
    ]
    if prediction.scale != 1:
        parts.append(f"metres × {prediction.scale:.2f} for the focal length")
    if prediction.flip_averaged:
        parts.append("flip averaged")
    line = "".join(f'<span class="status-part">{part}</span>' for part in parts)
    if prediction.calibration is not None:
        line += scale_chip(prediction.calibration)
    return f'<div class="status-line" role="status">{line}</div>{notices(advice(prediction) + prediction.notes)}'


def scale_chip(scale: Scale) -> str:
    """Return the note that all metres are scaled, with the button that undoes it."""
    whose = {0: "the link", 1: "your length"}.get(len(scale.lengths), f"your {len(scale.lengths)} lengths")
    spread = "" if scale.spread is None else f", which differ by {significant(100 * scale.spread)} %"
    return (
        f'<span class="chip">scaled by {whose} × {scale.factor:.3g}{spread} '
        '<button type="button" data-unscale>Undo</button></span>'
    )


def advice(prediction: DepthPrediction) -> tuple[str, ...]:
    """Sentences that this result gives reason for."""
    out = []
    if prediction.share_at_limit > 0.25:
        out.append(
            f"{prediction.share_at_limit:.0%} of the picture is at {prediction.max_depth_m:g} m, the maximum of "
            f"{prediction.variant}. The scene is probably deeper, or outdoors: try a KITTI model."
        )
    if prediction.camera.assumed:
        out.append(
            "The photo's focal length is unknown, so the training camera's was assumed. Depth and 3D sizes may be "
            "off by the same factor; give the field of view under Settings if you know it."
        )
    return tuple(out)


def sure_legend(spread: np.ndarray) -> str:
    """Return what the hatching of the depth picture means, in plain text."""
    share, most = 100 * float((spread > UNSURE).mean()), 100 * float(spread.max())
    text = (
        f"Hatched ({max(share, 1):.0f} % of the picture): estimates more than {100 * UNSURE:g} % apart; crosswise: "
        f"{200 * UNSURE:g} %."
        if share
        else f"Nothing is hatched: estimates are {most:.0f} % apart at most."
    )
    return f"{text} Even estimates that agree can be wrong."


def notices(sentences: Iterable[str]) -> str:
    """Return sentences as a quiet list, or nothing."""
    items = "".join(f"<li>{rich(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notices">{items}</ul>' if items else ""


def statistics_table(prediction: DepthPrediction, uncertainty: Uncertainty) -> str:
    """Return the numbers of one depth map as a table, in metres with their uncertainty."""
    depth = prediction.depth_m[np.isfinite(prediction.depth_m)]
    rows = [("Least", 0), ("5th percentile", 5), ("25th percentile", 25), ("Median", 50)]
    rows += [("75th percentile", 75), ("95th percentile", 95), ("Maximum", 100)]
    values = np.percentile(depth, [percent for _, percent in rows]) if depth.size else [np.nan] * len(rows)
    lines = [(name, uncertainty.text(value)) for (name, _), value in zip(rows, values, strict=True)]
    lines.append(("Mean", uncertainty.text(float(depth.mean()) if depth.size else math.nan)))
    lines.append((f"At the limit of {prediction.max_depth_m:g} m", f"{prediction.share_at_limit:.1%}"))
    lines.append(("Pixels", f"{prediction.size[1]} × {prediction.size[0]}"))
    return table(("Statistic", "Value"), lines, caption="Depth of this photo") + notices([uncertainty.basis])


def table(head: tuple[str, ...], rows: Iterable[Iterable[str]], *, caption: str) -> str:
    """Return a table whose first column heads its rows; all texts are escaped.

    Each cell names its column too, for phones, on which style.css puts the cells of a wide table below each other.
    """
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = ""
    for row in rows:
        first, *rest = row
        cells = (f'<td data-of="{escape(name)}">{rich(text)}</td>' for name, text in zip(head[1:], rest, strict=True))
        body += f'<tr><th scope="row">{rich(first)}</th>{"".join(cells)}</tr>'
    return _scrolling(f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>", caption)


def download(path: Path, text: str) -> str:
    """Return a link to one of the visitor's files, with its size."""
    size = kilobytes(path.stat().st_size)
    return (
        f'<p><a class="download" href="{file_url(path)}" download="{escape(path.name)}">{escape(text)}</a> '
        f"<small>{size}</small></p>"
    )


def file_url(path: Path) -> str:
    """Return the address, relative to the page, of a file that this app wrote for a visitor."""
    return f"gradio_api/file={quote(path.as_posix())}"


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
