"""The Many photos page: up to 50 photos or a zip of them in, one zip of files out; a bad photo stops no other."""

import base64
import csv
import io
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from glpn.errors import Cancelled, ExportError, GLPNError
from glpn.files import replacing
from glpn.formats import PHOTO_SUFFIXES
from glpn.prediction import DepthPrediction
from glpn.scene.export import FORMATS
from glpn.scene.figures import colorize
from glpn.scene.look import Look
from glpn.scene.uncertainty import Uncertainty, of_variant, significant
from glpn.web.choices import Choices
from glpn.web.jobs import Report, Stopped, follow, reported
from glpn.web.parts import components, html
from glpn.web.parts.colors import Colors, choices_of
from glpn.web.parts.job_box import JobBox, take_files
from glpn.web.photo_list import MOST_PHOTOS, Listed, list_photos
from glpn.web.runner import Engine
from glpn.web.session import Session, Sessions
from glpn.web.uploads import NO_ROOM

OFFERED = tuple(name for name in FORMATS if name != "zip")
FIRST_FORMATS = ("depth-png", "color-png")
TABLE = ("photo", "result", "width", "height", "min_m", "median_m", "max_m", "uncertainty_percent", "seconds", "notes")
THUMBNAIL = 112  # longer side in pixels


@dataclass(frozen=True)
class Done:
    """What became of one photo: a row of the table (TABLE); where there is depth, a small picture and its range."""

    row: dict[str, Any]
    picture: bytes = b""
    span: str = ""


def estimate_all(
    session: Session,
    engine: Engine,
    folder: Path,
    files: Sequence[str] | None,
    model: str,
    formats: Sequence[str],
    choices: Choices,
) -> Iterator[dict[str, Any]]:
    """Estimate every photo of `files` and write `folder`/depth.zip; yields progress, strip and, at last, the zip.

    Stop keeps what is finished. The zip is whole or not there at all.
    """
    engine.check(model)
    if not formats:
        raise ExportError("No format is chosen. Choose at least one.")
    listed = list_photos(files or ())
    work, target = folder / "work", folder / "depth.zip"
    work.mkdir(parents=True)
    done: list[Done] = []
    try:
        with (
            session.job() as stop,
            replacing(target) as part,
            zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
        ):
            for number, photo in enumerate(listed.photos, 1):
                if not session.has_room():
                    raise ExportError(NO_ROOM)
                before = f"Photo {number} of {len(listed.photos)}, {photo.name}: "
                try:
                    with photo.on_disk(work) as path:
                        run = partial(_estimate, engine, model, path, choices)
                        prediction = yield from reported(follow(run, stop), before=before)
                    doubt = of_variant(prediction)
                    done.append(_packed(prediction, doubt, photo, archive, work, formats, choices.look))
                except Cancelled:
                    break
                except GLPNError as error:
                    done.append(Done({"photo": photo.name, "result": "failed", "notes": str(error)}))
                yield {"strip": strip(done, listed.note)}
            archive.writestr("summary.csv", _table(done))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    yield {"progress": "", "strip": strip(done, listed.note), "link": _link(target, done, len(listed.photos))}


def _estimate(
    engine: Engine, model: str, path: Path, choices: Choices, report: Report, stopped: Stopped
) -> DepthPrediction:
    return engine.estimate(model, path, choices, report=report, stopped=stopped, whole=True)


def _packed(
    prediction: DepthPrediction,
    doubt: Uncertainty,
    photo: Listed,
    archive: zipfile.ZipFile,
    work: Path,
    formats: Sequence[str],
    look: Look,
) -> Done:
    """Write the files of one photo into the zip, one by one; what a format can't hold becomes a note."""
    notes = list(prediction.notes)
    for name in formats:
        try:
            for path in prediction.write(work, [name], stem=photo.stem, look=look):
                archive.write(path, path.name)
                path.unlink()
        except ExportError as error:
            notes.append(str(error))
    depth_m = prediction.depth_m
    near, far = float(np.nanmin(depth_m)), float(np.nanmax(depth_m))
    height, width = prediction.size
    row = {
        "photo": photo.name,
        "result": "done",
        "width": width,
        "height": height,
        "min_m": f"{near:.3f}",
        "median_m": f"{np.nanmedian(depth_m):.3f}",
        "max_m": f"{far:.3f}",
        "uncertainty_percent": "" if doubt.relative is None else significant(100 * doubt.relative),
        "seconds": f"{prediction.seconds:.3f}",
        "notes": " ".join([*notes, doubt.basis]),
    }
    return Done(row, _thumbnail(depth_m, look), doubt.span(near, far))


def _thumbnail(depth_m: np.ndarray, look: Look) -> bytes:
    height, width = depth_m.shape
    factor = min(1.0, THUMBNAIL / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.asarray(Image.fromarray(depth_m).resize(size, Image.Resampling.BOX))
    file = io.BytesIO()
    Image.fromarray(colorize(small, look)).save(file, "JPEG", quality=75)
    return file.getvalue()


def _table(done: Sequence[Done]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, TABLE, lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.row for one in done)
    return text.getvalue()


def strip(done: Sequence[Done], note: str = "") -> str:
    """Return the finished photos as a row of small depth pictures, each with its range or why it failed."""
    items = []
    for one in done:
        row = one.row
        name = escape(str(row["photo"]))
        if one.picture:
            data = base64.b64encode(one.picture).decode()
            items.append(
                f'<li><img src="data:image/jpeg;base64,{data}" alt="Depth of {name}"><span>{name}</span>'
                f"<small>{one.span}</small></li>"
            )
        else:
            items.append(f'<li class="failed"><span>{name}</span><small>{escape(row["notes"])}</small></li>')
    return f'<ol class="strip">{"".join(items)}</ol>' + (html.notices([note]) if note else "")


def _link(target: Path, done: Sequence[Done], photos: int) -> str:
    good = sum(one.row["result"] == "done" for one in done)
    said = f"{good} of {photos} photos" if good < photos else f"{photos} photo{'s' * (photos != 1)}"
    return html.download(target, f"Download the depth of {said}")


class ManyPage:
    """Layout and wiring of the Many photos page."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine, self.sessions = engine, sessions
        gr.HTML(
            f'<p class="lead">Up to {MOST_PHOTOS} photos, or a zip of them. Each becomes the files that you choose; '
            "one zip holds them all, with a table. A folder of any length: <code>glpn estimate FOLDER</code>.</p>",
            apply_default_css=False,
        )
        with gr.Row(elem_id="many"):
            with gr.Column(scale=1, min_width=320):
                files = components.file_input(
                    sessions.uploads,
                    label="Photos, or a zip of photos",
                    file_count="multiple",
                    file_types=["image", ".zip", *PHOTO_SUFFIXES],
                    height=200,
                    elem_id="many-files",
                )
                model = components.model_choice(engine.zoo, elem_id="many-model")
                formats = gr.Dropdown(
                    [(FORMATS[name].title, name) for name in OFFERED],
                    value=list(FIRST_FORMATS),
                    multiselect=True,
                    label="Files for each photo",
                    elem_id="many-formats",
                )
                box = JobBox("Estimate all", elem_id="many")
            with gr.Column(scale=2, min_width=320):
                link = gr.HTML(apply_default_css=False, elem_id="many-link")
                shown = gr.HTML(strip([]), apply_default_css=False, elem_id="many-strip")
                self.colors = Colors("many")
        inputs = {"files": files, "model": model, "formats": formats, **self.colors.values}
        box.wire(sessions, self._work, inputs, {"strip": shown, "link": link})
        take_files(sessions, files)

    def _work(
        self, session: Session, files: list[str], model: str, formats: list[str], **colors: Any
    ) -> Iterator[dict[str, Any]]:
        yield {"strip": "", "link": ""}
        folder = self.sessions.uploads.api_folder()
        yield from estimate_all(session, self.engine, folder, files, model, formats, choices_of(**colors))
