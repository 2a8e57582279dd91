"""JobBox: run, stop and progress of a page's long work, the same on every page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from glpn.web.session import Sessions

from .events import INFERENCE, at_the_end, on

Work = Callable[..., Iterator[dict[Any, Any]]]  # (session, *values of the inputs) -> components and their new values


class JobBox:
    """Two buttons and a line of progress. The work yields new values of components; `progress` is one of them."""

    def __init__(self, run: str, *, elem_id: str) -> None:
        with gr.Row(elem_classes="job"):
            self.run = gr.Button(run, variant="primary", scale=2, elem_id=f"{elem_id}-go")
            self.stop = gr.Button("Stop", scale=1, interactive=False, elem_id=f"{elem_id}-stop")
        self.progress = gr.HTML(apply_default_css=False, elem_id=f"{elem_id}-progress")

    def wire(
        self,
        sessions: Sessions,
        work: Work,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        starts: Sequence[Callable[..., Any]] = (),
    ) -> None:
        """Run `work` when the button is pressed, or when one of `starts` fires; however it ends, put the box back."""

        def begin(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
            yield {self.stop: gr.Button(interactive=True)}
            yield from work(sessions.open(request.session_hash), *values)

        def halt(request: gr.Request) -> Any:
            sessions.open(request.session_hash).stop.set()
            return gr.Button(interactive=False)

        for start in (self.run.click, *starts):
            running = on(start, begin, list(inputs), [*outputs, self.progress, self.stop], how=INFERENCE)
            at_the_end(running, lambda: ("", gr.Button(interactive=False)), None, [self.progress, self.stop])
        on(self.stop.click, halt, None, self.stop)
