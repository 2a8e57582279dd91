"""How events run: guarded and private by construction, and what each kind may take of the machine.

Estimates wait in the engine's own queue, which knows who is ahead of whom; tabs, colors and page loads never
stand in it.
"""

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import gradio as gr
import gradio.blocks
import gradio.route_utils
import gradio.state_holder
from gradio.state_holder import SessionState

from glpn.web.guard import plain_errors

# Drawing takes memory, so that only so many draw at a time; the others wait for fractions of a second.
QUICK: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "quick", "concurrency_limit": 16}
LOADING: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "load", "concurrency_limit": 8}
INFERENCE: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
FILES: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "files", "concurrency_limit": 2}
API: dict[str, Any] = {"concurrency_id": "api", "concurrency_limit": 8}  # of the queue's places; pages keep the rest
BETWEEN_LOOKS_S = 0.005  # how late an event may begin
Inputs = Sequence[Any] | Mapping[str, Any] | Any


def on(
    triggers: Callable[..., Any] | Sequence[Callable[..., Any]],
    handler: Callable[..., Any] | None,
    inputs: Inputs = None,
    outputs: Any = None,
    *,
    how: Mapping[str, Any] = QUICK,
    **options: Any,
) -> Any:
    """Run `handler` when one of `triggers` fires, such as `button.click`; returns the event.

    Whatever the handler raises is shown as one plain sentence, and nobody can call it as an endpoint.

    inputs    components, whose values come in this order; as a mapping, by the names of the handler's parameters
    how       QUICK, LOADING, INFERENCE or FILES
    options   what else Gradio's events take
    """
    guarded = plain_errors(handler) if handler else None
    given = {"inputs_kwargs": dict(inputs)} if isinstance(inputs, Mapping) else {"inputs": inputs}
    settings = {"fn": guarded, "outputs": outputs, "api_visibility": "private", **given, **how, **options}
    if callable(triggers):
        return triggers(**settings)
    return gr.on(triggers, **settings)


def sparing(demo: gr.Blocks) -> None:
    """Let an event cost what it changes: Gradio makes all its other outputs anew, and sums up all events after each.

    It also looks for work a thousand times a second, which takes 3 % of a core of a page that nobody visits.
    """
    demo._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize
    demo._queue.sleep_when_free = max(demo._queue.sleep_when_free, BETWEEN_LOOKS_S)
    whole = demo.postprocess_data

    async def named_only(event: Any, answer: Any, state: Any) -> list[Any]:
        sent: list[Any] | None = None
        if isinstance(answer, dict) and len(event.outputs) > 1:
            named = {} if answer == gr.skip() else answer
            if set(named) <= set(event.outputs):
                smaller = copy.copy(event)
                smaller.outputs = list(named)
                made = dict(zip(named, await whole(smaller, named, state) if named else (), strict=True))
                sent = [made.get(output, gr.skip()) for output in event.outputs]
        return await whole(event, answer, state) if sent is None else sent

    demo.postprocess_data = named_only
    for module in (gradio.blocks, gradio.route_utils, gradio.state_holder):
        module.SessionState = _LeanState


class _LeanState(SessionState):
    """What Gradio notes of a visitor, without what only its own links need, which this page does not offer.

    That is each component's settings, half a megabyte and 25 ms a visitor, and all that was sent to it.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks=()))

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Note nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Note nothing."""


def at_the_end(event: Any, handler: Callable[..., Any], inputs: Any, outputs: Any) -> None:
    """Run `handler` after `event` whether that succeeded or failed; Gradio's `then` means success alone."""
    for ended in (event.success, event.failure):
        on(ended, handler, inputs, outputs)
