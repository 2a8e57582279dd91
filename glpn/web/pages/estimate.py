"""Layout and wiring of the Estimate page. What its buttons do is in `estimate`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from glpn.bounds import EDGE_CUT, FOV_DEG, RESOLUTIONS
from glpn.errors import Cancelled, GLPNError, HubError
from glpn.model.placement import is_small, on_zerogpu
from glpn.web import actions
from glpn.web.choices import TABS, Choices
from glpn.web.gpu import CardNotLent
from glpn.web.parts import components, html
from glpn.web.parts.colors import Colors, choices_of
from glpn.web.parts.events import FILES, INFERENCE, LOADING, at_the_end, on
from glpn.web.parts.link_box import LinkBox
from glpn.web.parts.picker import OTHER, offers, picker, picker_html
from glpn.web.parts.play import Play
from glpn.web.runner import Engine
from glpn.web.samples import SAMPLES, VARIANT
from glpn.web.session import Sessions

from .measure import MeasureTab
from .panorama import offer, offer_for

EMPTY = "Nothing to show yet: choose a photo and press “Estimate depth”."
STALE = "These results are for the previous photo or setting. Press “Estimate depth” to update them."
# On a phone the result stands above what was pressed, off the screen.
_TO_RESULT = """() => {
  if (!matchMedia("(max-width: 760px)").matches) return;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  document.getElementById("results").scrollIntoView({ behavior, block: "start" });
}"""
_NO_FILE = "() => document.querySelector('.files-list').dispatchEvent(new Event('glpn:failed'))"


class EstimatePage:
    """Layout and wiring of the Estimate page.

    shown   components by the names under which `actions` return their values
    views   widgets by the names of the `Choices` they hold
    """

    def __init__(self, engine: Engine, sessions: Sessions, *, default_model: str, first: dict[str, Any]) -> None:
        self.engine = engine
        self.sessions = sessions
        self.default_model = default_model
        self.first = first  # the example that the moving photo opens with
        self.shown: dict[str, Any] = {}
        self.views: dict[str, Any] = {}
        self.model = gr.State(default_model)
        self.estimated = gr.State()  # the token of the last estimate that was shown
        with gr.Row(elem_id="estimate"):
            with gr.Column(scale=2, min_width=320, elem_id="results"):
                self._results()
            with gr.Column(scale=1, min_width=320, elem_id="choices"):
                self._photo()
                self._model()
                self._run()
                self._settings()
                self.card = gr.HTML(card_of(self.engine, self.default_model), elem_id="card", apply_default_css=False)
        self._wire()

    # ------------------------------------------------------------------------------------------------------ layout

    def _photo(self) -> None:
        self.upload = components.upload_button("Use your own photo", self.sessions.uploads, elem_id="upload")
        self.photo = components.photo_input(self.sessions.uploads, elem_id="photo")
        self.samples = components.sample_picker(SAMPLES, elem_id="samples")

    def _model(self) -> None:
        self.picker = picker(self._picker(self.default_model), elem_id="picker")
        self.checkpoint = gr.Textbox(
            label="Hub repository or folder",
            placeholder="owner/name or owner/name@revision",
            visible=False,
            max_lines=1,
            elem_id="checkpoint",
        )

    def _picker(self, model: str) -> str:
        known = offers(
            self.engine.zoo, self.engine.cached, seconds=self.engine.seconds, reachable=self.engine.hub.answer
        )
        return picker_html(known, model, other=self.engine.host.own_checkpoints)

    def _run(self) -> None:
        with gr.Row(elem_id="run"):
            self.run = gr.Button("Estimate depth", variant="primary", elem_id="go", scale=2)
            self.stop = gr.Button("Stop", elem_id="stop", scale=1, interactive=False)
        self.fallback = gr.Button("Use the embedded model instead", visible=False, elem_id="fallback")
        self.on_cpu = gr.Button("Run on the CPU instead", visible=False, elem_id="on-cpu")
        self.shown["progress"] = gr.HTML(apply_default_css=False, elem_id="progress")

    def _settings(self) -> None:
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            self.views["res"] = gr.Radio(
                [("Standard", "standard"), ("Fast", "fast"), ("Native", "native")],
                value=RESOLUTIONS[0],
                label="Working resolution",
                info="Standard is what the model was trained at; native is the photo's own size and can be slow.",
                elem_id="view-res",
            )
            self.views["flip"] = gr.Checkbox(
                label="Flip averaging",
                info="Mean of the photo and its mirror image: more stable, takes twice as long.",
                elem_id="view-flip",
            )
            self.views["camera"] = gr.Radio(
                [
                    ("From the photo's EXIF", "auto"),
                    ("Field of view", "fov"),
                    ("Assume the training camera", "assumed"),
                ],
                value="auto",
                label="Camera",
                info="Without EXIF data the training camera is assumed.",
                elem_id="view-camera",
            )
            self.views["fov"] = gr.Slider(
                FOV_DEG.least,
                FOV_DEG.most,
                value=FOV_DEG.default,
                step=1,
                label="Horizontal field of view (degrees)",
                visible=False,
                elem_id="view-fov",
            )
            self.views["correct"] = gr.Checkbox(
                label="Correct metres for the focal length",
                elem_id="view-correct",
                **focal_choice(self.engine, self.default_model),
            )
            self.views["cpu"] = gr.Checkbox(
                label="Run large models on the CPU",
                info="Slower; uses none of your ZeroGPU quota. Small models always run there.",
                visible=on_zerogpu(),
                elem_id="view-cpu",
            )

    def _results(self) -> None:
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as self.tabs:
            with gr.Tab(TABS["photo3d"], id="photo3d") as photo3d:
                self.shown["photo3d"] = components.photo_3d(elem_id="photo3d", first=self.first)
            with gr.Tab(TABS["depth"], id="depth") as depth:
                self.shown["depth"] = components.depth_view("Photo and depth", empty=EMPTY, elem_id="depth")
                self._how_sure()
            with gr.Tab(TABS["3d"], id="3d") as surface:
                self.shown["surface"] = components.figure(
                    "The scene in 3D, in metres", empty=EMPTY, views=True, elem_id="surface"
                )
                with gr.Row():
                    self.views["style"] = gr.Radio(
                        [("Surface", "surface"), ("Mesh", "mesh"), ("Points", "points")],
                        value="surface",
                        label="Shape",
                        min_width=230,
                        elem_classes="options",
                        elem_id="view-style",
                    )
                    self.views["texture"] = gr.Radio(
                        [("Photo", "photo"), ("Depth", "depth")],
                        value="photo",
                        label="Colored by",
                        elem_classes="options",
                        elem_id="view-texture",
                    )
                    self.views["detail"] = gr.Radio(
                        [("Draft", "draft"), ("Standard", "standard"), ("Fine", "fine")],
                        value=Choices.detail,
                        label="Detail, of 3D files too",
                        min_width=230,
                        elem_classes="options",
                        elem_id="view-detail",
                    )
                    self.views["cut"] = gr.Slider(
                        EDGE_CUT.least,
                        EDGE_CUT.most,
                        value=EDGE_CUT.default,
                        step=0.005,
                        label="Edge cut",
                        info="Cut where depth changes by more than this fraction.",
                        elem_id="view-cut",
                    )
            with gr.Tab(TABS["measure"], id="measure") as measure:
                self.measure = MeasureTab(self.sessions, self._redrawn)
                self.shown |= self.measure.shown
            with gr.Tab(TABS["play"], id="play") as play:
                self.shown["play"] = Play(self.sessions).shown
            with gr.Tab(TABS["statistics"], id="statistics") as statistics:
                self.shown["histogram"] = components.figure("Histogram of depth", empty=EMPTY, elem_id="histogram")
                self.shown["numbers"] = gr.HTML(apply_default_css=False, elem_id="numbers")
            with gr.Tab(TABS["files"], id="files") as files:
                self.shown["files"] = components.files_list(elem_id="files")
        self.tab_items = dict(zip(TABS, (photo3d, depth, surface, measure, play, statistics, files), strict=True))
        self.shown["status"] = components.live_html("status.js", elem_id="status")
        self.around = offer()
        self.colors = Colors("view", visible=False)
        self.views |= self.colors.values

    def _how_sure(self) -> None:
        """Place the choice to see how sure the depth is."""
        self.shown["sure_wanted"] = gr.Checkbox(
            label="Show how sure",
            info="Runs the model on the photo and its mirror image at three sizes; marks where it contradicts itself.",
            elem_id="sure-wanted",
        )

    # ------------------------------------------------------------------------------------------------------ wiring

    def _wire(self) -> None:
        shown, views, everything = self.shown, self.views, list(self.shown.values())
        of_model = [self.model, self.picker, self.checkpoint, self.card, views["correct"]]
        # What is shown of a result.
        looks = [views["cut"].release, *(views[name].input for name in ("detail", "style", "texture"))]
        on(looks, self._redraw, views, [*everything, self.colors.group], trigger_mode="always_last")
        tabs = [item.select for item in self.tab_items.values()]
        on(tabs, self._open_tab, views, [*everything, self.colors.group], trigger_mode="multiple")
        self.measure.wire(views, everything, status=shown["status"])
        making = on(shown["files"].make, self._make_file, views, shown["files"], how=FILES)
        on(making.failure, None, js=_NO_FILE)
        # The photo and its camera.
        on(self.samples.pick, self._choose_sample, views, [self.photo, self.around, *everything])
        on(views["camera"].input, self._ask_angle, views["camera"], views["fov"])
        factors = [views["camera"].input, views["fov"].release, views["correct"].input]
        on(factors, self._change_camera, views, everything, trigger_mode="always_last")
        # The model and how it runs.
        on(self.picker.pick, self._choose_model, None, of_model)
        embedded = on(self.fallback.click, self._choose_embedded, None, [*of_model, self.fallback])
        cpu = on(self.on_cpu.click, self._choose_cpu, None, [views["cpu"], self.on_cpu])
        on([views[name].input for name in ("res", "flip", "cpu")], self._stale, None, shown["status"])
        # Long work. A photo that comes while one is estimated takes its place.
        for start in (self.run.click, embedded.success, cpu.success):
            self._wire_run(start, self._estimate)
        self._wire_run(self.upload.upload, self._uploaded, given=self.upload, also=[self.photo, self.around])
        self._wire_run(self.photo.input, self._given, given=self.photo, also=[self.around])
        self._wire_certainty(shown["sure_wanted"].input, {"wanted": shown["sure_wanted"]})
        self._wire_certainty(self.measure.sure.click, {})
        on(self.estimated.change, None, js=_TO_RESULT)
        on(self.stop.click, self._stop, None, [self.stop, shown["progress"]])

    def _wire_run(self, start: Any, handler: Any, *, given: Any = None, also: Sequence[Any] = ()) -> None:
        """Run `handler` on the chosen photo, or on a new one that the component `given` brings, and show the result.

        Few events: each costs a tenth of what the embedded network does. `also` are more components that it may change.
        """
        everything = list(self.shown.values())
        inputs = {"photo": given or self.photo, "model": self.model, "checkpoint": self.checkpoint, **self.views}
        outputs = [*everything, self.stop, self.fallback, self.on_cpu, *also]
        running = on(start, handler, inputs, outputs, how=INFERENCE, trigger_mode="multiple" if given else "once")
        inputs = {"model": self.model, **self.views}
        outputs = [*everything, self.picker, self.estimated, self.stop, self.card]
        ended = on(running.success, self._finish, inputs, outputs, trigger_mode="multiple")
        for failed in (running.failure, ended.failure):
            on(failed, self._put_back, self.model, [self.stop, self.shown["progress"], self.card])

    def _wire_certainty(self, start: Any, inputs: dict[str, Any]) -> None:
        everything = list(self.shown.values())
        running = on(start, self._certainty, inputs, [*everything, self.stop], how=INFERENCE)
        on(running.success, self._redrawn, self.views, everything)
        on(running.failure, self._not_sure, None, self.shown["sure_wanted"])
        at_the_end(running, self._put_back, self.model, [self.stop, self.shown["progress"], self.card])

    def wire_load(self, demo: gr.Blocks, pages: gr.Tabs, link: LinkBox, colors: Sequence[Colors]) -> None:
        """Open the page as its link says, with a finished example; and let the link box tell the page's choices.

        `pages` are the top tabs; `colors` the choices of color of all pages.
        """
        self.pages, self.all_colors = pages, colors
        others = [target for group in colors if group is not self.colors for target in group.components]
        outputs = [*self.shown.values(), *self.views.values(), self.photo, self.tabs, self.model, *others]
        on(demo.load, self._load, None, [*outputs, self.picker, self.card, self.colors.group, pages], how=LOADING)
        link.wire(self._link, {"model": self.model, **self.views})

    # ------------------------------------------------------------------------------------------------- what is shown

    def _redraw(self, request: gr.Request, **views: Any) -> dict[Any, Any]:
        session, choices = self.sessions.of(request), choices_of(**views)
        return self._named(actions.draw_open(session, choices)) | self._colors_shown(session.tab, choices)

    def _redrawn(self, request: gr.Request, **views: Any) -> dict[Any, Any]:
        """Return what the open tab and the line under it show of the session's result."""
        session = self.sessions.of(request)
        shown = actions.draw_open(session, choices_of(**views))
        return self._named(shown | {"status": actions.status(session, self.engine)})

    def _open_tab(self, request: gr.Request, data: gr.EventData, **views: Any) -> dict[Any, Any]:
        session, choices = self.sessions.of(request), choices_of(**views)
        if not session.opens("tab", data.target.id):
            return {}
        shown = actions.draw_open(session, choices) if session.result else {}
        return self._named(shown) | self._colors_shown(session.tab, choices)

    def _colors_shown(self, tab: str, choices: Choices) -> dict[Any, Any]:
        """Show the choice of colors where it changes something."""
        visible = tab in ("depth", "statistics", "files") or (tab == "3d" and choices.texture == "depth")
        return {self.colors.group: gr.Group(visible=visible)}

    def _make_file(self, request: gr.Request, data: gr.EventData, **views: Any) -> dict[Any, Any]:
        return self._named(actions.make_file(self.sessions.of(request), choices_of(**views), data.format))

    def _named(self, shown: actions.Shown) -> dict[Any, Any]:
        return {self.shown[name]: value for name, value in shown.items()}

    # ---------------------------------------------------------------------------------------- the photo, its camera

    def _choose_sample(self, request: gr.Request, data: gr.EventData, **views: Any) -> dict[Any, Any]:
        chosen = actions.sample(data.sample)
        self.sessions.of(request).show(actions.example(chosen))
        return self._redrawn(request, **views) | {self.photo: str(chosen.photo), self.around: ""}

    def _uploaded(
        self, request: gr.Request, photo: str, model: str, checkpoint: str, **views: Any
    ) -> Iterator[dict[Any, Any]]:
        first = {self.photo: photo}
        for shown in self._given(request, photo, model, checkpoint, **views):
            yield first | shown
            first = {}

    def _given(
        self, request: gr.Request, photo: str | None, model: str, checkpoint: str, **views: Any
    ) -> Iterator[dict[Any, Any]]:
        """Note a visitor's own photo, so that it goes when the visitor does; estimate it where that takes no wait."""
        session, offered = self.sessions.of(request), {self.around: offer_for(photo)}
        if not photo or photo == actions.shown_photo(session):  # the sample, when it is taken off the page
            yield offered
            return
        session.take(Path(photo))
        first = offered | {self.shown["status"]: self._stale(request)}
        if not self._at_once(model):
            yield first
            return
        for shown in self._estimate(request, photo, model, checkpoint, **views):
            yield first | shown
            first = {}

    def _stale(self, request: gr.Request) -> str:
        return html.stale(STALE) + actions.status(self.sessions.of(request), self.engine)

    def _ask_angle(self, camera: str) -> gr.Slider:
        return gr.Slider(visible=camera == "fov")

    def _change_camera(self, request: gr.Request, **views: Any) -> Any:
        """Apply what is a factor at once."""
        session = self.sessions.of(request)
        if session.result is None:
            return gr.skip()
        actions.change_camera(session, self.engine, choices_of(**views))
        return self._redrawn(request, **views)

    # --------------------------------------------------------------------------------------------------- the model

    def _choose_model(self, data: gr.EventData) -> tuple[Any, ...]:
        """Take the picker's choice; what can't be run is refused as the API refuses it."""
        model = str(data.model)
        if model != OTHER or not self.engine.host.own_checkpoints:
            self.engine.check(model if model in self.engine.zoo else "")
        return self._chosen(model)

    def _choose_embedded(self) -> tuple[Any, ...]:
        """Choose the embedded model; the offer goes at once, for a run hides it only when its turn comes."""
        return *self._chosen(VARIANT), gr.Button(visible=False)

    def _chosen(self, model: str) -> tuple[Any, ...]:
        card = html.checkpoint_card() if model == OTHER else card_of(self.engine, model)
        correct = gr.Checkbox(**focal_choice(self.engine, model))
        return model, self._picker(model), gr.Textbox(visible=model == OTHER), card, correct

    def _choose_cpu(self) -> tuple[bool, gr.Button]:
        return True, gr.Button(visible=False)

    # ---------------------------------------------------------------------------------------------------- long work

    def _estimate(
        self, request: gr.Request, photo: str | None, model: str, checkpoint: str, **views: Any
    ) -> Iterator[dict[Any, Any]]:
        session, name = self.sessions.of(request), checkpoint if model == OTHER else model
        first = self._offers() | {self.stop: gr.update(interactive=True)}
        try:
            for shown in actions.estimate(session, self.engine, photo, name, choices_of(**views)):
                yield first | self._named(shown)
                first = {}
        except Cancelled:
            raise
        except GLPNError as error:
            yield self._offers(error)
            raise

    def _offers(self, error: GLPNError | None = None) -> dict[Any, Any]:
        """Offer what may work in place of what raised `error`."""
        return {
            self.fallback: gr.update(visible=isinstance(error, HubError)),
            self.on_cpu: gr.update(visible=isinstance(error, CardNotLent)),
        }

    def _at_once(self, model: str) -> bool:
        """Whether `model` runs as soon as a photo comes: it is small, or loaded, and needs no download."""
        if model not in self.engine.zoo:
            return False
        spec = self.engine.zoo[model]
        return self.engine.cached(spec) and (is_small(spec.parameters) or model in self.engine.loaded)

    def _finish(self, request: gr.Request, model: str, **views: Any) -> dict[Any, Any]:
        """Show what a run has found, where that is new, and leave nothing of the run on the page."""
        session = self.sessions.of(request)
        if session.result is None or session.drawn_token == session.result.token:
            return self._put_back(request, model)
        shown = self._redrawn(request, **views) | {self.estimated: session.result.token}
        return shown | {self.picker: self._picker(model)} | self._put_back(request, model)

    def _certainty(self, request: gr.Request, wanted: bool = True) -> Iterator[dict[Any, Any]]:
        """Tell how sure the model is, on the depth picture and at the measured points."""
        session = self.sessions.of(request)
        if not wanted:
            session.sure = False
            yield {self.shown["progress"]: ""}
            return
        for shown in actions.certainty(session, self.engine):
            yield self._named(shown) | {self.stop: gr.Button(interactive=bool(shown["progress"]))}

    def _not_sure(self) -> bool:
        return False

    def _put_back(self, request: gr.Request, model: str) -> dict[Any, Any]:
        """Leave nothing of a run that has ended on the page; a newer run's progress stays."""
        if self.sessions.of(request).busy:
            return {}
        card = {} if model == OTHER else {self.card: card_of(self.engine, model)}
        return {self.stop: gr.update(interactive=False), self.shown["progress"]: ""} | card

    def _stop(self, request: gr.Request) -> tuple[Any, str]:
        self.sessions.of(request).stop.set()
        return gr.Button(interactive=False), ""

    # ------------------------------------------------------------------------------------------------ links, and back

    def _load(self, request: gr.Request) -> dict[Any, Any]:
        session, engine = self.sessions.of(request), self.engine
        choices, notes = actions.opened(request.query_params, session, engine, default_model=self.default_model)
        focal = focal_choice(engine, choices.model, wanted=choices.correct)
        session.at, session.tab = choices.at, choices.tab
        return (
            self._named(actions.draw_open(session, choices))
            | {widget: getattr(choices, name) for name, widget in self.views.items()}
            | {widget: getattr(choices, name) for group in self.all_colors for name, widget in group.values.items()}
            | self._colors_shown(choices.tab, choices)
            | {
                self.shown["status"]: actions.status(session, engine) + html.notices(notes),
                self.photo: actions.shown_photo(session),
                self.tabs: gr.Tabs(selected=choices.tab),
                self.model: choices.model,
                self.picker: self._picker(choices.model),
                self.card: card_of(engine, choices.model),
                self.views["fov"]: gr.Slider(value=choices.fov, visible=choices.camera == "fov"),
                self.views["correct"]: gr.Checkbox(**focal),
                self.pages: gr.Tabs(selected=choices.at),
            }
        )

    def _link(self, request: gr.Request, model: str, **views: Any) -> str:
        session = self.sessions.of(request)
        result = session.result
        sample = result.sample if result and result.sample else ""
        scale = result.prediction.calibration if result and sample else None  # another photo would not have it
        choices = replace(choices_of(**views), scale=scale.factor if scale else Choices.scale)
        model = model if model != OTHER else self.default_model
        if not corrects_focal(self.engine, model):
            choices = replace(choices, correct=Choices.correct)
        return replace(choices, at=session.at, tab=session.tab, model=model, sample=sample).query()


def corrects_focal(engine: Engine, model: str) -> bool:
    """Whether a known focal length corrects the model's metres, which it does where that was measured to help."""
    return model not in engine.zoo or engine.zoo[model].camera.correct_focal


def focal_choice(engine: Engine, model: str, *, wanted: bool = True) -> dict[str, Any]:
    """Return what the checkbox of the focal-length correction shows for `model`, with the reason where it is off."""
    can = corrects_focal(engine, model)
    info = (
        "A longer lens makes things look nearer. Applies where the focal length is known."
        if can
        else f"Off for {model}: on photos of known focal length its metres were no better for it. A known length, "
        "under Measure, corrects them."
    )
    return {"value": can and wanted, "interactive": can, "info": info}


def card_of(engine: Engine, model: str) -> str:
    spec = engine.zoo[model]
    return html.card(spec, cached=engine.cached(spec), seconds=engine.seconds.get(model))
