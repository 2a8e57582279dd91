"""JobBox: run, stop and progress of a page's long work, the same on every page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from glpn.web.session import Sessions

from .events import INFERENCE, at_the_end, on

Work = Callable[..., Iterator[dict[str, Any]]]  # (session, **inputs by their names) -> outputs' names and new values


class JobBox:
    """Two buttons and a line of progress, whose name among the outputs is "progress"."""

    def __init__(self, run: str, *, elem_id: str) -> None:
        with gr.Row(elem_classes="job"):
            self.run = gr.Button(run, variant="primary", scale=2, elem_id=f"{elem_id}-go")
            self.stop = gr.Button("Stop", scale=1, interactive=False, elem_id=f"{elem_id}-stop")
        self.outputs = {"progress": gr.HTML(apply_default_css=False, elem_id=f"{elem_id}-progress")}

    def wire(
        self,
        sessions: Sessions,
        work: Work,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        *,
        starts: Sequence[Callable[..., Any]] = (),
    ) -> None:
        """Run `work` when the button is pressed, or when one of `starts` fires; however it ends, put the box back."""
        self.sessions = sessions
        self.outputs |= outputs
        for start in (self.run.click, *starts):
            self.run_on(start, work, inputs)
        on(self.stop.click, self._halt, None, self.stop)

    def run_on(self, start: Callable[..., Any], work: Work, inputs: Mapping[str, Any]) -> None:
        """Run `work`, which need not be the button's, when `start` fires; after `wire`."""
        running = on(start, JobHandler(self, work).run, inputs, [*self.outputs.values(), self.stop], how=INFERENCE)
        at_the_end(running, self._put_back, None, [self.outputs["progress"], self.stop])

    def _put_back(self) -> tuple[str, gr.Button]:
        return "", gr.Button(interactive=False)

    def _halt(self, request: gr.Request) -> gr.Button:
        self.sessions.of(request).stop.set()
        return gr.Button(interactive=False)


@dataclass(frozen=True)
class JobHandler:
    """The handler of a box's work."""

    box: JobBox
    work: Work

    def run(self, request: gr.Request, **inputs: Any) -> Iterator[dict[Any, Any]]:
        yield {self.box.stop: gr.Button(interactive=True)}
        for step in self.work(self.box.sessions.of(request), **inputs):
            yield {self.box.outputs[name]: value for name, value in step.items()}


def take_files(sessions: Sessions, *inputs: gr.File | gr.Image) -> None:
    """Note the visitor's own files as they come into `inputs`, so that they go when the visitor does."""

    def taken(request: gr.Request, paths: str | list[str] | None) -> None:
        sessions.of(request).take(*map(Path, [paths] if isinstance(paths, str) else paths or ()))

    for files in inputs:
        on(files.input if isinstance(files, gr.Image) else files.upload, taken, files, None, trigger_mode="multiple")
