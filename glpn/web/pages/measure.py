"""Layout and wiring of the Estimate page's Measure tab, and of what undoes a scale anywhere on that page."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from glpn.web import measuring
from glpn.web.parts import components
from glpn.web.parts.events import on
from glpn.web.session import Marks, Session

SessionOf = Callable[[gr.Request], Session]


class MeasureTab:
    """The tab's components; `shown` are those whose values come from `measuring.shown`, by its names."""

    def __init__(self) -> None:
        with gr.Row(elem_id="measure-tools"):
            self.kind = gr.Radio(
                [(title, kind) for kind, title in measuring.TITLES.items()],
                value=Marks.kind,
                label="Measure",
                elem_classes="options",
                elem_id="measure-kind",
                scale=3,
                min_width=320,
            )
            self.snap = gr.Checkbox(
                True,
                label="Snap to edges",
                info="A point at an edge takes the nearer side.",
                elem_id="measure-snap",
                scale=1,
                min_width=180,
            )
        self.shown: dict[str, Any] = {"measure": components.measure_photo(elem_id="measure")}
        with gr.Row(elem_id="measure-buttons"):
            self.new = gr.Button("New", size="sm", min_width=80)
            self.undo = gr.Button("Take back the last point", size="sm", min_width=160)
            self.clear = gr.Button("Clear", size="sm", min_width=80)
            self.sure = gr.Button("How sure?", size="sm", min_width=100, elem_id="measure-sure")
        self.shown["distances"] = components.live_html("measures.js", elem_id="distances")

    def wire(
        self,
        session_of: SessionOf,
        redraw: Callable[..., dict[Any, Any]],
        *,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        status: gr.HTML,
    ) -> None:
        """Connect the tab with the visitor's session.

        redraw    takes the request and the values of `inputs`; returns what the open tab and the status show
        status    the line under the figures, whose button undoes a scale
        """
        self._wire_points(session_of)

        def rescaled(act: Callable[[Session, Any], None]) -> Callable[..., dict[Any, Any]]:
            """Return the handler that does `act`, upon which every number in metres may be another."""

            def handler(request: gr.Request, data: gr.EventData, *values: Any) -> dict[Any, Any]:
                session = session_of(request)
                act(session, data)
                return redraw(request, *values) | {self.kind: session.marks.kind}

            return handler

        events: tuple[tuple[Any, Callable[[Session, Any], None]], ...] = (
            (self.shown["distances"].known, lambda session, data: measuring.know(session, data.number, data.metres)),
            (self.shown["distances"].remove, lambda session, data: measuring.remove(session, data.number)),
            (self.undo.click, lambda session, data: measuring.undo(session)),
            (self.clear.click, lambda session, data: measuring.clear(session)),
            (status.unscale, lambda session, data: measuring.unscale(session)),
        )
        for event, act in events:
            on(event, rescaled(act), inputs, [*outputs, self.kind])

    def _wire_points(self, session_of: SessionOf) -> None:
        outputs = list(self.shown.values())

        def show(session: Session) -> dict[Any, Any]:
            return {self.shown[name]: value for name, value in measuring.shown(session).items()}

        def pick(request: gr.Request, data: gr.EventData, snap: bool) -> dict[Any, Any]:
            session = session_of(request)
            measuring.pick(session, data.x, data.y, snap=snap)
            return show(session)

        def choose(request: gr.Request, kind: str) -> dict[Any, Any]:
            session = session_of(request)
            measuring.choose(session, kind)
            return show(session)

        def new(request: gr.Request) -> dict[Any, Any]:
            session = session_of(request)
            measuring.finish(session)
            return show(session)

        on(self.shown["measure"].pick, pick, self.snap, outputs)
        on(self.kind.input, choose, self.kind, outputs)
        on(self.new.click, new, None, outputs)
