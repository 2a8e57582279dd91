"""Layout and wiring of the Estimate page. What its buttons do is in `estimate`."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gradio as gr

from glpn.errors import HubError

from . import cards, components, drawing, estimate
from .colours import Colours, choices_of
from .engine import Engine
from .guard import plain_errors
from .link_box import LinkBox
from .links import RESOLUTIONS, Choices
from .samples import BY_ID, FIRST, SAMPLES, VARIANT
from .session import Session, Sessions
from .wiring import FILES, INFERENCE, QUICK, at_the_end

EMPTY = "Nothing to show yet: choose a photo and press “Estimate depth”."
NEW_PHOTO = "Press “Estimate depth”: what is shown still belongs to the photo before."
TAB_LABELS = {
    "depth": "Depth",
    "slider": "Slider",
    "3d": "3D",
    "measure": "Measure",
    "statistics": "Statistics",
    "files": "Files",
}
VIEW_FIELDS = tuple(field.name for field in fields(Choices) if field.name not in ("model", "sample", "at", "tab"))
SCENES = {"nyu": "Indoor (NYU)", "kitti": "Outdoor (KITTI)"}
EMBEDDED, OTHER = "embedded", "other"


class EstimatePage:
    """Layout and wiring of the Estimate page."""

    def __init__(self, engine: Engine, sessions: Sessions, *, default_model: str) -> None:
        self.engine = engine
        self.sessions = sessions
        self.default_model = default_model
        self.shown: dict[str, Any] = {}
        self.views: dict[str, Any] = {}
        self.tab = gr.State("depth")
        with gr.Row(elem_id="estimate"):
            with gr.Column(scale=1, min_width=320, elem_id="choices"):
                self._photo()
                self._model()
                self._run()
                self._settings()
                self.card = gr.HTML(card_of(self.engine, self.default_model), elem_id="card", apply_default_css=False)
            with gr.Column(scale=2, min_width=320, elem_id="results"):
                self._results()
        self.view = [self.views[name] for name in VIEW_FIELDS]
        self._wire()

    # ------------------------------------------------------------------------------------------------------ layout

    def _photo(self) -> None:
        self.photo = components.photo_input(elem_id="photo")
        self.samples = components.sample_picker(SAMPLES, elem_id="samples")

    def _model(self) -> None:
        scenes = [(label, head) for head, label in SCENES.items()]
        scenes.append(("Embedded", EMBEDDED))
        if self.engine.host.own_checkpoints:
            scenes.append(("Another checkpoint", OTHER))
        scene = scene_of(self.engine, self.default_model)
        with gr.Group():
            self.scene = gr.Radio(scenes, value=scene, label="Model", elem_id="scene")
            self.variant = gr.Radio(
                variants_of(self.engine, scene),
                value=self.default_model,
                label="Encoder",
                info=variants_info(self.engine, scene),
                elem_id="variant",
                elem_classes="options",
            )
            self.checkpoint = gr.Textbox(
                label="Hub repository or folder",
                placeholder="owner/name or owner/name@revision",
                visible=False,
                max_lines=1,
                elem_id="checkpoint",
            )

    def _run(self) -> None:
        with gr.Row(elem_id="run"):
            self.run = gr.Button("Estimate depth", variant="primary", elem_id="go", scale=2)
            self.stop = gr.Button("Stop", elem_id="stop", scale=1, interactive=False)
        self.fallback = gr.Button("Use the embedded model instead", visible=False, elem_id="fallback")
        self.shown["progress"] = gr.HTML(apply_default_css=False, elem_id="progress")

    def _settings(self) -> None:
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            self.views["res"] = gr.Radio(
                [("Standard", "standard"), ("Fast", "fast"), ("Native", "native")],
                value=RESOLUTIONS[0],
                label="Working resolution",
                info="Standard is what the model was trained at; native is the photo's own size and may take long.",
                elem_id="view-res",
            )
            self.views["flip"] = gr.Checkbox(
                label="Flip averaging",
                info="Mean of the photo and its mirror image: twice the time, steadier.",
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
                info="Where EXIF says nothing, the training camera is assumed.",
                elem_id="view-camera",
            )
            self.views["fov"] = gr.Slider(
                5, 170, value=63, step=1, label="Horizontal field of view (degrees)", visible=False, elem_id="view-fov"
            )
            self.views["correct"] = gr.Checkbox(
                value=True,
                label="Correct metres for the focal length",
                info="A longer lens makes things look nearer. Applies where the focal length is known.",
                elem_id="view-correct",
            )

    def _results(self) -> None:
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as self.tabs:
            with gr.Tab(TAB_LABELS["depth"], id="depth") as depth:
                self.shown["heatmap"] = components.figure(
                    "Depth map in metres",
                    empty=EMPTY,
                    still=drawing.still(estimate.example(FIRST), Choices()),
                    elem_id="heatmap",
                )
            with gr.Tab(TAB_LABELS["slider"], id="slider") as slider:
                self.shown["slider"] = gr.ImageSlider(
                    label="Photo and depth", show_label=False, interactive=False, elem_id="slider", max_height=640
                )
            with gr.Tab(TAB_LABELS["3d"], id="3d") as surface:
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
                        label="Coloured by",
                        elem_classes="options",
                        elem_id="view-texture",
                    )
                    self.views["cut"] = gr.Slider(
                        0.005,
                        0.3,
                        value=0.05,
                        step=0.005,
                        label="Edge cut",
                        info="Cut where depth jumps by more than this share.",
                        elem_id="view-cut",
                    )
            with gr.Tab(TAB_LABELS["measure"], id="measure") as measure:
                self.shown["measure"] = components.measure_photo(elem_id="measure")
                self.shown["distances"] = gr.HTML(apply_default_css=False, elem_id="distances")
                with gr.Row():
                    self.undo = gr.Button("Take back the last point", size="sm")
                    self.clear = gr.Button("Clear", size="sm")
            with gr.Tab(TAB_LABELS["statistics"], id="statistics") as statistics:
                self.shown["histogram"] = components.figure("Histogram of depth", empty=EMPTY, elem_id="histogram")
                self.shown["numbers"] = gr.HTML(apply_default_css=False, elem_id="numbers")
            with gr.Tab(TAB_LABELS["files"], id="files") as files:
                self.shown["files"] = gr.HTML(apply_default_css=False, elem_id="files")
        self.tab_items = dict(zip(TAB_LABELS, (depth, slider, surface, measure, statistics, files), strict=True))
        self.shown["status"] = gr.HTML(apply_default_css=False, elem_id="status")
        self.colours = Colours("view", detail=True)
        self.views |= self.colours.values | {"detail": self.colours.detail}

    # ------------------------------------------------------------------------------------------------------ wiring

    def _wire(self) -> None:
        views = self.view
        outputs = list(self.shown.values())
        model = [self.scene, self.variant, self.checkpoint]

        @plain_errors
        def redraw(request: gr.Request, tab: str, *values: Any) -> dict[Any, Any]:
            return self._named(estimate.draw(self._session(request), tab, choices_of(values, VIEW_FIELDS)))

        redrawn = gr.on(
            [
                self.views[name].input
                for name in ("colors", "range", "near", "detail", "style", "texture", "low", "high")
            ]
            + [self.views["cut"].release],
            redraw,
            [self.tab, *views],
            outputs,
            trigger_mode="always_last",
            **QUICK,
        )
        self._then_files(redrawn)
        for name, item in self.tab_items.items():
            self._then_files(item.select(self._tab_chosen(name), views, [self.tab, *outputs], **QUICK))

        self.views["camera"].input(
            lambda value: gr.Slider(visible=value == "fov"), self.views["camera"], self.views["fov"], **QUICK
        )
        self._wire_model()

        @plain_errors
        def run(
            request: gr.Request, photo: str | None, tab: str, scene: str, variant: str, checkpoint: str, *values: Any
        ) -> Iterator[dict[Any, Any]]:
            session = self._session(request)
            chosen = checkpoint if scene == OTHER else variant
            yield {self.fallback: gr.Button(visible=False)}
            try:
                for shown in estimate.estimate(
                    session, self.engine, photo, chosen, choices_of(values, VIEW_FIELDS), tab
                ):
                    yield self._named(shown) | {self.stop: gr.Button(interactive="status" not in shown)}
            except HubError:
                yield {self.fallback: gr.Button(visible=True)}
                raise

        def done(scene: str, variant: str) -> tuple[Any, str, Any]:
            card = card_of(self.engine, variant) if scene != OTHER else gr.skip()
            return gr.Button(interactive=False), "", card

        def embedded() -> tuple[Any, ...]:
            choices = variants_of(self.engine, EMBEDDED)
            variant = gr.Radio(choices, value=VARIANT, info=variants_info(self.engine, EMBEDDED), visible=True)
            offer = gr.Button(visible=False)  # at once: the run hides it too, but only when its turn comes
            return EMBEDDED, variant, gr.Textbox(visible=False), card_of(self.engine, VARIANT), offer

        chosen = self.fallback.click(embedded, None, [*model, self.card, self.fallback], **QUICK)
        for start in (self.run.click, chosen.success):
            running = start(
                run,
                [self.photo, self.tab, *model, *views],
                [*outputs, self.stop, self.fallback],
                show_progress="minimal",
                show_progress_on=[self.shown["progress"]],
                api_visibility="private",
                **INFERENCE,
            )
            self._then_files(running)
            at_the_end(running, done, [self.scene, self.variant], [self.stop, self.shown["progress"], self.card])

        def stop(request: gr.Request) -> tuple[Any, str]:
            self._session(request).stop.set()
            return gr.Button(interactive=False), ""

        self.stop.click(stop, None, [self.stop, self.shown["progress"]], queue=False, **QUICK)

        def taken(request: gr.Request, photo: str | None) -> Any:
            """Note a visitor's own photo, so that it goes when the visitor does."""
            session = self._session(request)
            if not photo or photo == estimate.shown_photo(session):  # the sample, when it is taken off the page
                return gr.skip()
            session.uploads.add(Path(photo))
            return cards.notices([NEW_PHOTO]) + estimate.status(session)

        self.photo.input(taken, self.photo, self.shown["status"], trigger_mode="multiple", **QUICK)

        @plain_errors
        def sample(
            request: gr.Request, data: gr.EventData, tab: str, scene: str, variant: str, *values: Any
        ) -> dict[Any, Any]:
            session = self._session(request)
            chosen = BY_ID[data.sample]
            session.show(estimate.example(chosen))
            shown = estimate.draw(session, tab, choices_of(values, VIEW_FIELDS)) | {"status": estimate.status(session)}
            return self._named(shown) | {self.photo: str(chosen.photo)}

        self._then_files(
            self.samples.pick(sample, [self.tab, self.scene, self.variant, *views], [self.photo, *outputs], **QUICK)
        )

        @plain_errors
        def pick(request: gr.Request, data: gr.EventData) -> dict[Any, Any]:
            return self._named(estimate.pick_point(self._session(request), data.x, data.y))

        measured = [self.shown["measure"], self.shown["distances"]]
        self.shown["measure"].pick(pick, None, measured, **QUICK)
        for button, last in ((self.undo, True), (self.clear, False)):
            button.click(_clear(self._session, self._named, last=last), None, measured, **QUICK)

    def wire_return(self, tab: gr.Tab) -> None:
        """Draw anew when the visitor comes back to this page and its colours were changed on another."""

        @plain_errors
        def back(request: gr.Request, tab: str, *values: Any) -> Any:
            session, choices = self._session(request), choices_of(values, VIEW_FIELDS)
            if session.result is None or session.drawn == (tab, choices.look):
                return gr.skip()
            return self._named(estimate.draw(session, tab, choices))

        tab.select(back, [self.tab, *self.view], list(self.shown.values()), **QUICK)

    def wire_load(self, demo: gr.Blocks, pages: gr.Tabs, link: LinkBox) -> None:
        """Open the page as its link says, with a finished example; and let the link box tell the page's choices."""
        outputs = [*self.shown.values(), *self.view, self.photo, self.tab, self.tabs, self.scene, self.variant]

        @plain_errors
        def load(request: gr.Request) -> dict[Any, Any]:
            session = self._session(request)
            choices, notes = estimate.opened(
                request.query_params, session, self.engine, default_model=self.default_model
            )
            scene = scene_of(self.engine, choices.model)
            return (
                self._named(estimate.draw(session, choices.tab, choices, first=True))
                | {self.views[name]: getattr(choices, name) for name in VIEW_FIELDS}
                | {
                    self.shown["status"]: estimate.status(session) + cards.notices(notes),
                    self.photo: estimate.shown_photo(session),
                    self.tab: choices.tab,
                    self.tabs: gr.Tabs(selected=choices.tab),
                    self.scene: scene,
                    self.variant: gr.Radio(
                        variants_of(self.engine, scene), value=choices.model, info=variants_info(self.engine, scene)
                    ),
                    self.card: card_of(self.engine, choices.model),
                    self.colours.fixed: gr.Row(visible=choices.range == "fixed"),
                    self.views["fov"]: gr.Slider(value=choices.fov, visible=choices.camera == "fov"),
                    pages: gr.Tabs(selected=choices.at),
                }
            )

        self._then_files(demo.load(load, None, [*outputs, self.card, self.colours.fixed, pages], **QUICK))

        def link_text(request: gr.Request, page: str, tab: str, scene: str, variant: str, *values: Any) -> str:
            result = self._session(request).result
            sample = result.sample if result and result.sample else ""
            model = variant if scene != OTHER else self.default_model
            return replace(choices_of(values, VIEW_FIELDS), at=page, tab=tab, model=model, sample=sample).query()

        link.wire(link_text, [self.tab, self.scene, self.variant, *self.view])

    def _wire_model(self) -> None:
        def scene_chosen(scene: str) -> tuple[Any, Any, Any]:
            choices = variants_of(self.engine, scene)
            variant = next((id_ for _, id_ in choices if self.engine.zoo[id_].ready), None)
            card = card_of(self.engine, variant) if variant else cards.checkpoint_card()
            return (
                gr.Radio(choices, value=variant, info=variants_info(self.engine, scene), visible=scene != OTHER),
                gr.Textbox(visible=scene == OTHER),
                card,
            )

        self.scene.input(scene_chosen, self.scene, [self.variant, self.checkpoint, self.card], **QUICK)
        self.variant.input(lambda variant: card_of(self.engine, variant), self.variant, self.card, **QUICK)

    def _then_files(self, event: Any) -> None:
        """Write the downloads after `event`, where that tab is open."""

        @plain_errors
        def files(request: gr.Request, tab: str, *values: Any) -> Iterator[dict[Any, Any]]:
            session = self._session(request)
            if tab == "files" and session.result:
                for shown in estimate.write_files(session, choices_of(values, VIEW_FIELDS)):
                    yield self._named(shown)

        event.then(files, [self.tab, *self.view], self.shown["files"], **FILES)

    def _tab_chosen(self, name: str) -> Callable[..., dict[Any, Any]]:
        @plain_errors
        def chosen(request: gr.Request, *values: Any) -> dict[Any, Any]:
            session = self._session(request)
            shown = estimate.draw(session, name, choices_of(values, VIEW_FIELDS)) if session.result else {}
            return self._named(shown) | {self.tab: name}

        return chosen

    def _session(self, request: gr.Request) -> Session:
        return self.sessions.open(request.session_hash)

    def _named(self, shown: estimate.Shown) -> dict[Any, Any]:
        return {self.shown[name]: value for name, value in shown.items()}


def _clear(session_of: Callable[..., Session], named: Callable[..., Any], *, last: bool) -> Callable[..., Any]:
    @plain_errors
    def clear(request: gr.Request) -> dict[Any, Any]:
        return named(estimate.clear_points(session_of(request), last=last))

    return clear


def scene_of(engine: Engine, model: str) -> str:
    if model not in engine.zoo:
        return OTHER
    return engine.zoo[model].head if engine.zoo[model].head in SCENES else EMBEDDED


def variants_of(engine: Engine, scene: str) -> list[tuple[str, str]]:
    """Return (label, variant id) of a scene's encoders."""
    if scene == EMBEDDED:
        return [(spec.id, spec.id) for spec in engine.zoo if spec.head not in SCENES]
    return [(spec.encoder or spec.id, spec.id) for spec in engine.zoo if spec.head == scene]


def variants_info(engine: Engine, scene: str) -> str:
    """Return which of a scene's encoders can be run."""
    ready = [spec.encoder or spec.id for spec in engine.zoo.ready if spec.head == scene]
    if scene not in SCENES:
        return "Ships with this app."
    return f"{', '.join(ready) or 'None'} can be run; nobody has published depth weights for the others."


def card_of(engine: Engine, model: str) -> str:
    spec = engine.zoo[model]
    return cards.model_card(spec, cached=engine.cached(spec), seconds=engine.seconds.get(model))
