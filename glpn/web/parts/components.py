"""The page's own components: gr.HTML with scripts from assets/, because Gradio's plot forgets the viewing angle.

They are functions, not subclasses: Gradio writes a stub file next to the source of each subclass of a component.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio_client.utils import is_http_url_like

from glpn.web.doors import MAX_UPLOAD_BYTES
from glpn.web.fetch import fetch
from glpn.web.guard import plainly
from glpn.web.samples import Sample
from glpn.web.uploads import Uploads
from glpn.zoo import DEFAULT, Zoo

ASSETS = Path(__file__).parents[1] / "assets"
ASSETS_URL = "glpn-assets"  # where the app serves its own files, relative to the page
PLOTLY_URL = f"{ASSETS_URL}/plotly/plotly.min.js"

VIEW_BUTTONS = (
    ("front", "Front", "Look along the camera's axis"),
    ("top", "Top", "Look from above"),
    ("side", "Side", "Look from the right"),
    ("reset", "Reset", "Back to the camera's own viewpoint"),
)
Input = TypeVar("Input", gr.Image, gr.File, gr.UploadButton)
FULL_SCREEN = ("full", "Full screen", "Fill the screen; Esc leaves")


def figure(label: str, *, empty: str, elem_id: str, views: bool = False) -> gr.HTML:
    """A Plotly figure; the value is a figure's JSON or None. Event "pick" carries x and y of a clicked point.

    `views` adds the buttons for front, top, side and reset; arrow keys turn the scene, + and - come closer and leave.
    On a touch screen the scene turns once it was tapped, and a line says so.
    """
    buttons = "".join(
        f'<button type="button" class="figure-button" data-act="{act}" title="{escape(title)}">{text}</button>'
        for act, text, title in ((*VIEW_BUTTONS, FULL_SCREEN) if views else (FULL_SCREEN,))
    )
    hint = "Arrow keys turn, plus and minus zoom." if views else "Hover or tap to read a value."
    line = '<p class="figure-hint" hidden></p>' if views else ""
    return _scripted(
        f"""
<div class="figure" data-plotly="{PLOTLY_URL}">
  <div class="figure-tools" hidden role="group" aria-label="View of: {escape(label)}">{buttons}</div>
  <div class="figure-plot" tabindex="0" role="group" aria-label="{escape(label)}. {hint}" hidden></div>{line}
  <p class="figure-empty">{escape(empty)}</p>
</div>""",
        script=asset("figure.js"),
        elem_id=elem_id,
    )


def depth_view(label: str, *, empty: str, elem_id: str) -> gr.HTML:
    """Photo and depth in colors, drawn by the page itself. The value comes from `drawing`, or is None.

    A change of colors or range is drawn without a request: `Colors` tells it by the event "glpn:look".
    """
    return _scripted(
        f"""
<div class="depth-view" data-assets="{ASSETS_URL}/js/" data-label="{escape(label)}" hidden></div>
<p class="figure-empty">{escape(empty)}</p>""",
        script=asset("depth_html.js"),
        elem_id=elem_id,
    )


def photo_3d(*, elem_id: str, first: dict[str, Any] | None = None) -> gr.HTML:
    """The photo that moves in depth. The value comes from `drawing.photo_3d`; Plotly is not needed for it.

    `first` is shown at once to who comes without a link, before the server has said anything.
    """
    data = f' data-first="{escape(json.dumps(first))}"' if first else ""
    return _scripted(
        f"""
<div class="photo3d" data-assets="{ASSETS_URL}/js/"{data}></div>
<button type="button" class="figure-button send-open" aria-expanded="false" hidden>Send …</button>
<div class="send" role="group" aria-label="Send" hidden></div>""",
        script=asset("photo3d_html.js"),
        elem_id=elem_id,
    )


def inside_view(empty: str, *, elem_id: str) -> gr.HTML:
    """A 360° photo seen from inside, with the metres under the pointer. The value is that of around.js, or None."""
    buttons = "".join(
        f'<button type="button" class="figure-button" data-act="{act}"{more}>{text}</button>'
        for act, text, more in (
            ("photo", "Photo", ' aria-pressed="true"'),
            ("depth", "Distances", ' aria-pressed="false"'),
            ("out", "−", ' aria-label="Zoom out"'),
            ("in", "+", ' aria-label="Zoom in"'),
            ("full", "Full screen", ""),
        )
    )
    return _scripted(
        f"""
<div class="around" data-assets="{ASSETS_URL}/js/" hidden>
  <div class="depth-tools" role="group" aria-label="View from inside">{buttons}</div>
  <div class="around-stage" tabindex="0" role="application"
       aria-label="The 360° photo from inside. Arrow keys look around, plus and minus zoom, Home looks ahead.">
    <canvas></canvas>
    <span class="depth-cross" hidden><output class="depth-read" aria-live="off"></output></span>
    <p class="photo3d-hint"></p>
  </div>
  <div class="depth-bar"><span class="depth-ramp"><i class="depth-mark" hidden></i></span>
  <span class="depth-ticks"></span></div>
  <p class="around-said" role="status"></p>
</div>
<p class="figure-empty">{escape(empty)}</p>""",
        script=asset("around.js"),
        elem_id=elem_id,
    )


def play(*, elem_id: str) -> gr.HTML:
    """The photo under one slider of distance. The value comes from `drawing.play`.

    Event "save" carries use, distance_m and aperture of the picture that the visitor wants as a file.
    """
    return _scripted(
        f"""
<div class="play" data-assets="{ASSETS_URL}/js/"></div>""",
        script=asset("play_html.js"),
        elem_id=elem_id,
    )


def files_list(*, elem_id: str) -> gr.HTML:
    """The downloads. The value comes from `actions.files`. Event "make" carries the format that is asked for."""
    return _scripted(
        """
<div class="files-list table-scroll" tabindex="0" role="region" aria-label="Downloads" hidden>
  <p>A file is made when you press its name. Sizes with ≈ are estimates.</p>
  <table class="table files" aria-label="Downloads"><thead><tr><th scope="col">File</th><th scope="col">Unit</th>
  <th scope="col" class="number">Size</th></tr></thead><tbody></tbody></table>
</div>
<p class="sr-only" role="status"></p>""",
        script=asset("files.js"),
        elem_id=elem_id,
    )


def measure_photo(*, elem_id: str) -> gr.HTML:
    """The photo with what is measured on it, and the depth under the cursor. The value comes from `measuring.shown`.

    Event "pick" carries x and y, in pixels of the photo, of a click or of the keyboard's cross.
    """
    return _scripted(
        f"""
<div class="measure" data-assets="{ASSETS_URL}/js/">
  <div class="measure-stage" tabindex="0" role="application"
       aria-label="Photo. Click points, or move the cross with the arrow keys and press Enter." hidden>
    <img class="measure-photo" alt="The photo, on which distances are measured">
    <svg class="measure-lines" aria-hidden="true"></svg>
    <output class="measure-depth" hidden></output>
  </div>
  <p class="figure-empty">Estimate a photo first; then click points on it.</p>
</div>""",
        script=asset("measure.js"),
        elem_id=elem_id,
    )


def live_html(script: str, *, elem_id: str) -> gr.HTML:
    """HTML that comes as the value, with one of the scripts in assets/ that listens to it."""
    return gr.HTML(js_on_load=asset(script), apply_default_css=False, elem_id=elem_id)


def sample_picker(samples: Iterable[Sample], *, elem_id: str) -> gr.HTML:
    """A row of sample photos as buttons. Event "pick" carries the sample's id."""
    buttons = "".join(
        f"""<button type="button" class="sample" data-sample="{escape(sample.id)}" title="{escape(sample.credit)}">
  <img src="{ASSETS_URL}/samples/{escape(sample.thumbnail.name)}" alt="" loading="lazy" width="96" height="72">
  <span>{escape(sample.title)}</span></button>"""
        for sample in samples
    )
    return _scripted(
        f'<div class="samples" role="group" aria-label="Sample photos">{buttons}</div>',
        script="""
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample]");
  if (button) trigger("pick", { sample: button.dataset.sample });
});""",
        elem_id=elem_id,
    )


def photo_input(
    uploads: Uploads, *, elem_id: str, sources: Sequence[str] = ("upload", "webcam", "clipboard")
) -> gr.Image:
    """The photo as the visitor gave it: the handler gets the checked path of the untouched file, with its EXIF data."""
    photo = gr.Image(
        label="Photo",
        type="filepath",
        image_mode=None,
        sources=list(sources),
        height=260,
        buttons=["fullscreen"],
        elem_id=elem_id,
        alt_text="The photo whose depth is estimated",
    )
    return guard_files(photo, uploads)


def file_input(uploads: Uploads, **options: Any) -> gr.File:
    """A file, or several, as the visitor gave them: the handler gets checked paths."""
    return guard_files(gr.File(**options), uploads)


def model_choice(zoo: Zoo, *, elem_id: str) -> gr.Dropdown:
    """The models that can be run, the embedded one chosen."""
    names = [spec.id for spec in zoo.ready]
    return gr.Dropdown(names, value=DEFAULT, label="Model", filterable=False, elem_id=elem_id)


def upload_button(label: str, uploads: Uploads, *, elem_id: str) -> gr.UploadButton:
    """One wide button for the visitor's own photo; on a phone it asks for camera or gallery."""
    button = gr.UploadButton(label, file_types=["image"], type="filepath", variant="primary", elem_id=elem_id)
    return guard_files(button, uploads)


def guard_files(component: Input, uploads: Uploads) -> Input:
    """Make `component` give its handler the checked path of the untouched file; every input for files needs this.

    Gradio's own preprocessing would read any path, and open a broken picture to answer with a bare "Error".
    """
    move = component.async_move_resource_to_block_cache

    async def fetched_or_moved(path: str | Path | None) -> str | None:
        if not is_http_url_like(path):
            return await move(path)
        with plainly():
            return str(await fetch(str(path), uploads.root, most_bytes=MAX_UPLOAD_BYTES))

    def preprocess(payload: Any) -> str | list[str] | None:
        several = getattr(payload, "root", None)  # of an input for several files
        with plainly():
            if several is not None:
                return [str(uploads.checked(one.path)) for one in several]
            path = getattr(payload, "path", None)
            return None if path is None else str(uploads.checked(path))

    component.async_move_resource_to_block_cache = fetched_or_moved
    component.preprocess = preprocess
    return component


def live_camera(url: str, *, elem_id: str) -> gr.HTML:
    """The visitor's camera and its depth side by side; frames go to `url`, relative to the page, one at a time."""
    return _scripted(
        f"""
<div class="live" data-url="{escape(url)}" data-assets="{ASSETS_URL}/js/">
  <div class="live-tools" role="group" aria-label="Camera">
    <button type="button" class="figure-button" data-act="start">Start the camera</button>
    <button type="button" class="figure-button" data-act="stop" disabled>Stop</button>
    <button type="button" class="figure-button" data-act="mirror" aria-pressed="false">Mirror</button>
    <button type="button" class="figure-button" data-act="deep" aria-pressed="false">3D photo</button>
  </div>
  <p class="live-said" role="status"></p>
  <div class="live-pictures">
    <video muted playsinline aria-label="Your camera"></video>
    <canvas class="live-colors" role="img" aria-label="Depth of what the camera sees" width="320" height="240"></canvas>
    <canvas class="live-deep" role="img" aria-label="What the camera sees, moving in depth" hidden></canvas>
  </div>
</div>""",
        script=asset("live.js"),
        elem_id=elem_id,
    )


def _scripted(template: str, *, script: str, elem_id: str) -> gr.HTML:
    """gr.HTML with fixed markup, whose value is data that only the script reads.

    Further props would be lost where a value arrives before the component is on the page, as in a tab not yet open.
    """
    return gr.HTML(html_template=template, js_on_load=script, apply_default_css=False, elem_id=elem_id)


def asset(name: str) -> str:
    """Return one of the text files in assets/."""
    return (ASSETS / name).read_text(encoding="utf-8")
