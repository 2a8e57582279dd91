"""Layout and wiring of the Estimate page's Measure tab, and of what undoes a scale anywhere on that page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from glpn.web import measuring
from glpn.web.parts import components
from glpn.web.parts.events import on
from glpn.web.session import Marks, Sessions


class MeasureTab:
    """The tab's components; `shown` are those whose values come from `measuring.shown`, by its names."""

    def __init__(self, sessions: Sessions, redrawn: Callable[..., dict[Any, Any]]) -> None:
        """`redrawn(request, **inputs)` returns what the open tab and the status show."""
        self.sessions, self.redrawn = sessions, redrawn
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

    def wire(self, inputs: Mapping[str, Any], outputs: Sequence[Any], *, status: gr.HTML) -> None:
        """Connect the tab with the visitor's session. `inputs` are those of `redrawn`; `status` can undo a scale."""
        points, distances = list(self.shown.values()), self.shown["distances"]
        on(self.shown["measure"].pick, self._pick, self.snap, points)
        on(self.kind.input, self._choose, self.kind, points)
        on(self.new.click, self._finish, None, points)
        # Upon each of these every number in metres may be another.
        on(distances.known, self._know, inputs, [*outputs, self.kind])
        on(distances.remove, self._remove, inputs, [*outputs, self.kind])
        on(self.undo.click, self._undo, inputs, [*outputs, self.kind])
        on(self.clear.click, self._clear, inputs, [*outputs, self.kind])
        on(status.unscale, self._unscale, inputs, [*outputs, self.kind])

    def _pick(self, request: gr.Request, data: gr.EventData, snap: bool) -> dict[Any, Any]:
        measuring.pick(self.sessions.of(request), data.x, data.y, snap=snap)
        return self._shown(request)

    def _choose(self, request: gr.Request, kind: str) -> dict[Any, Any]:
        measuring.choose(self.sessions.of(request), kind)
        return self._shown(request)

    def _finish(self, request: gr.Request) -> dict[Any, Any]:
        measuring.finish(self.sessions.of(request))
        return self._shown(request)

    def _know(self, request: gr.Request, data: gr.EventData, **inputs: Any) -> dict[Any, Any]:
        measuring.know(self.sessions.of(request), data.number, data.metres)
        return self._rescaled(request, inputs)

    def _remove(self, request: gr.Request, data: gr.EventData, **inputs: Any) -> dict[Any, Any]:
        measuring.remove(self.sessions.of(request), data.number)
        return self._rescaled(request, inputs)

    def _undo(self, request: gr.Request, **inputs: Any) -> dict[Any, Any]:
        measuring.undo(self.sessions.of(request))
        return self._rescaled(request, inputs)

    def _clear(self, request: gr.Request, **inputs: Any) -> dict[Any, Any]:
        measuring.clear(self.sessions.of(request))
        return self._rescaled(request, inputs)

    def _unscale(self, request: gr.Request, **inputs: Any) -> dict[Any, Any]:
        measuring.unscale(self.sessions.of(request))
        return self._rescaled(request, inputs)

    def _shown(self, request: gr.Request) -> dict[Any, Any]:
        return {self.shown[name]: value for name, value in measuring.shown(self.sessions.of(request)).items()}

    def _rescaled(self, request: gr.Request, inputs: Mapping[str, Any]) -> dict[Any, Any]:
        return self.redrawn(request, **inputs) | {self.kind: self.sessions.of(request).marks.kind}
