"""The page's own components: gr.HTML with scripts from assets/, because Gradio's plot forgets the viewing angle.

They are functions, not subclasses: Gradio writes a stub file beside the source of each subclass of a component.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import gradio as gr

from .samples import Sample

ASSETS = Path(__file__).parent / "assets"
ASSETS_URL = "glpn-assets"  # where the app serves its own files, relative to the page
PLOTLY_URL = f"{ASSETS_URL}/plotly/plotly.min.js"

VIEW_BUTTONS = (
    ("front", "Front", "Look along the camera's axis"),
    ("top", "Top", "Look from above"),
    ("side", "Side", "Look from the right"),
    ("reset", "Reset", "Back to the camera's own viewpoint"),
)
FULL_SCREEN = ("full", "Full screen", "Fill the screen; Esc leaves")


def figure(label: str, *, empty: str, elem_id: str, views: bool = False, still: str = "") -> gr.HTML:
    """A Plotly figure; the value is a figure's JSON or None. Event "pick" carries x and y of a clicked point.

    `views` adds the buttons for front, top, side and reset; arrow keys turn the scene, + and - come closer and leave.
    `still` is a picture's URL, shown to who comes without a link until there is a value and Plotly can draw it.
    """
    buttons = "".join(
        f'<button type="button" class="figure-button" data-act="{act}" title="{escape(title)}">{text}</button>'
        for act, text, title in ((*VIEW_BUTTONS, FULL_SCREEN) if views else (FULL_SCREEN,))
    )
    source = f'src="{still}"' if still else ""
    hint = "Arrow keys turn, plus and minus zoom." if views else "Hover or tap to read a value."
    return _scripted(
        f"""
<div class="figure" data-plotly="{PLOTLY_URL}">
  <div class="figure-tools" hidden role="group" aria-label="View of: {escape(label)}">{buttons}</div>
  <div class="figure-plot" tabindex="0" role="group" aria-label="{escape(label)}. {hint}" hidden></div>
  <img class="figure-still" {source} alt="{escape(label)}, still picture" hidden>
  <p class="figure-empty">{escape(empty)}</p>
</div>""",
        script=asset("figure.js"),
        elem_id=elem_id,
    )


def measure_photo(*, elem_id: str) -> gr.HTML:
    """The photo with pairs of points on it, and the depth under the cursor. The value comes from `drawing.measured`.

    Event "pick" carries x and y, in pixels of the photo, of a click or of the keyboard's cross.
    """
    return _scripted(
        """
<div class="measure">
  <div class="measure-stage" tabindex="0" role="application"
       aria-label="Photo. Click two points, or move the cross with the arrow keys and press Enter." hidden>
    <img class="measure-photo" alt="The photo, on which distances are measured">
    <svg class="measure-lines" aria-hidden="true"></svg>
    <output class="measure-depth" hidden></output>
  </div>
  <p class="figure-empty">Estimate a photo first; then click two points on it.</p>
</div>""",
        script=asset("measure.js"),
        elem_id=elem_id,
    )


def sample_picker(samples: Iterable[Sample], *, elem_id: str) -> gr.HTML:
    """A row of sample photos as buttons. Event "pick" carries the sample's id."""
    buttons = "".join(
        f"""<button type="button" class="sample" data-sample="{escape(sample.id)}" title="{escape(sample.credit)}">
  <img src="{ASSETS_URL}/samples/{escape(sample.photo.name)}" alt="" loading="lazy" width="96" height="72">
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


def photo_input(*, elem_id: str, sources: Sequence[str] = ("upload", "webcam", "clipboard")) -> gr.Image:
    """The photo as the visitor gave it: the handler gets the path of the untouched file, with its EXIF data."""
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
    # Gradio would open the file to see its format, and answer a broken one with a bare "Error".
    photo.preprocess = lambda payload: payload.path if payload else None
    return photo


def _scripted(template: str, *, script: str, elem_id: str) -> gr.HTML:
    """gr.HTML with fixed markup, whose value is data that only the script reads.

    Further props would be lost where a value arrives before the component is on the page, as in a tab not yet open.
    """
    return gr.HTML(html_template=template, js_on_load=script, apply_default_css=False, elem_id=elem_id)


def asset(name: str) -> str:
    """Return one of the text files in assets/."""
    return (ASSETS / name).read_text(encoding="utf-8")
