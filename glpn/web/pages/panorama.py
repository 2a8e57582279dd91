"""The 360° page: a photo of all around to distances all around, seen from inside."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from glpn.camera import Camera
from glpn.errors import PhotoError, PhotoNotFound
from glpn.panorama import Panorama, check_shape, estimate_panorama, recognized
from glpn.photo import Photo, load_photo, photo_size
from glpn.prediction import DepthPrediction
from glpn.scene.photo3d import map_png, resize, within
from glpn.web.choices import Choices
from glpn.web.jobs import Progress, Report, Stopped, follow, reported
from glpn.web.parts import components, html
from glpn.web.parts.colors import Colors, choices_of
from glpn.web.parts.events import on
from glpn.web.parts.job_box import JobBox
from glpn.web.runner import Engine, ahead
from glpn.web.session import Session, Sessions
from glpn.web.uploads import NoRoom

INSIDE_SIDE = 4096  # pixels; the width of the photo that is looked at from inside
SPHERE_WIDTH = 1024  # of the distances: what the views' pixels amount to all around
DISTANCE_BYTES = 500_000
NO_SPHERE = "Nothing to show yet: choose a 360° photo."
SAID = {
    "": "",
    "stated": "This is a 360° photo, as its metadata say.",
    "shape": "Its metadata do not say that this is a 360° photo, but its shape fits. If it is one, press the button.",
}
OFFERS = {
    "stated": "This is a 360° photo. See its distances all around",
    "shape": "Is this a 360° photo? See its distances all around",
}


def estimate_around(
    session: Session, engine: Engine, folder: Path, path: str | None, model: str, choices: Choices
) -> Iterator[dict[str, Any]]:
    """Estimate the distances around the 360° photo `path`; yields the progress and, at last, the view and the files.

    Each of its views waits for a turn of its own, so that photos of others come between.
    """
    engine.check(model)
    if not path:
        raise PhotoNotFound("There is no 360° photo yet. Choose a picture of the whole sphere, twice as wide as high.")
    check_shape(photo_size(path), Path(path).name)
    if not session.has_room():
        raise NoRoom()

    def work(report: Report, stopped: Stopped) -> tuple[Photo, Panorama]:
        with engine.turns.place() as place:
            estimator = engine.load(model, report=report, stopped=stopped)

            def view(photo: Photo, *, camera: Camera) -> DepthPrediction:
                with engine.turns.turn(place, stopped, ahead(report)):
                    return estimator(photo, camera=camera)

            with engine.turns.turn(place, stopped, ahead(report)):
                photo = load_photo(path, at_least=(INSIDE_SIDE // 2, INSIDE_SIDE))
            return photo, estimate_panorama(
                photo,
                view,
                width=SPHERE_WIDTH,
                progress=lambda done, all_: report(Progress(f"View {done} of {all_}.", done / all_)),
                cancelled=stopped,
            )

    with session.job() as stop:
        photo, around = yield from reported(follow(work, stop))
        folder.mkdir(parents=True)
        shown = inside_view(photo, around, choices, folder)
        files = around.write(folder, choices.look)
    yield {"progress": "", "view": shown, "files": told(around, files)}


def inside_view(photo: Photo, around: Panorama, choices: Choices, folder: Path) -> dict[str, Any]:
    """Write what the view from inside shows into `folder`; return what around.js needs."""
    picture, distances = folder / "picture.jpg", folder / "distances.png"
    rgb = resize(photo.rgb, within(photo.rgb.shape[:2], INSIDE_SIDE))
    Image.fromarray(rgb).save(picture, "JPEG", quality=85, progressive=True)
    distances.write_bytes(map_png(around.distance_m, side=SPHERE_WIDTH, limit=DISTANCE_BYTES))
    look = choices.look
    return {
        "key": secrets.token_hex(8),
        "photoUrl": html.file_url(picture),
        "depthUrl": html.file_url(distances),
        "uncertainty": around.uncertainty.to_dict(),
        "look": {"colors": look.colors, "range": look.range_m, "near": look.near_bright},
    }


def told(around: Panorama, files: dict[str, Path]) -> str:
    """Return what was found in words, and the links to the files."""
    titles = {
        "npy": "Distances in metres, NumPy array",
        "png": "Distances, 16-bit PNG",
        "color-png": "Distances in colors",
        "ply": "Points all around, PLY",
    }
    near, far = float(around.distance_m.min()), float(around.distance_m.max())
    rows = [
        ("Distances along the ray", around.uncertainty.span(near, far)),
        ("Overlapping views differ by", f"{around.disagreement:.0%}"),
    ]
    links = "".join(html.download(file, titles[name]) for name, file in files.items())
    return f"{html.facts(rows)}{html.notices([around.uncertainty.basis])}{links}"


def why(path: str | None) -> str:
    """Return `recognized(path)`; "" for no photo and for what can't be read."""
    try:
        return recognized(path) if path else ""
    except PhotoError:
        return ""


def offer() -> gr.HTML:
    """The sentence that offers this page on another one where a photo may show all around. Event "open" takes it."""
    script = 'element.addEventListener("click", (event) => event.target.closest("button") && trigger("open", {}));'
    return gr.HTML(js_on_load=script, apply_default_css=False, elem_id="around-offer")


def offer_for(path: str | None) -> str:
    """Return what `offer` shows for a photo."""
    reason = why(path)
    return reason and f'<button type="button" class="figure-button send-open">{OFFERS[reason]}</button>'


class PanoramaPage:
    """Layout and wiring of the 360° page."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine, self.sessions = engine, sessions
        gr.HTML(
            '<p class="lead">A 360° photo (twice as wide as high, as 360° cameras and phones\' photo spheres save it) '
            "becomes metres in every direction. The networks know flat photos alone, so the sphere is seen through "
            "overlapping views: an estimate of estimates.</p>",
            apply_default_css=False,
        )
        with gr.Row(elem_id="panorama"):
            with gr.Column(scale=1, min_width=320):
                self.photo = components.photo_input(
                    sessions.uploads, elem_id="panorama-photo", sources=("upload", "clipboard")
                )
                self.said = gr.HTML(apply_default_css=False, elem_id="panorama-said")
                self.model = components.model_choice(engine.zoo, elem_id="panorama-model")
                self.box = JobBox("See all around", elem_id="panorama")
            with gr.Column(scale=2, min_width=320):
                self.view = components.inside_view(NO_SPHERE, elem_id="panorama-view")
                self.colors = Colors("panorama")
                self.files = gr.HTML(apply_default_css=False, elem_id="panorama-files")
        self.inputs = {"path": self.photo, "model": self.model, **self.colors.values}
        self.box.wire(sessions, self._work, self.inputs, {"view": self.view, "files": self.files})
        came = on(self.photo.input, self._taken, self.photo, self.said, trigger_mode="multiple")
        self.box.run_on(came.success, self._stated, self.inputs)

    def _work(self, session: Session, path: str | None, model: str, **colors: Any) -> Iterator[dict[str, Any]]:
        yield {"files": ""}
        folder = self.sessions.uploads.api_folder()
        yield from estimate_around(session, self.engine, folder, path, model, choices_of(**colors))

    def _stated(self, session: Session, path: str | None, **inputs: Any) -> Iterator[dict[str, Any]]:
        """Estimate at once what says that it is a 360° photo; of others the visitor has to say so."""
        if why(path) == "stated":
            yield from self._work(session, path, **inputs)

    def _taken(self, request: gr.Request, path: str | None) -> str:
        """Note the visitor's own photo, so that it goes when the visitor does; say what it is taken for."""
        self.sessions.of(request).take(*[Path(path)] if path else ())
        return html.notices(filter(None, [SAID[why(path)]]))

    def offered_on(self, photo: gr.Image, place: gr.HTML, pages: gr.Tabs) -> None:
        """Run here what `place` offers of `photo`, which are on another page."""

        def opened(path: str | None) -> tuple[str | None, gr.Tabs]:
            return path, gr.Tabs(selected="360")

        taken = on(place.open, opened, photo, [self.photo, pages])
        self.box.run_on(taken.success, self._work, self.inputs)
