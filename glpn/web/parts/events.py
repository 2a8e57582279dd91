"""How events run: guarded and private by construction, and what each kind may take of the machine.

Estimates wait in the engine's own queue, which knows who is ahead of whom; tabs, colors and page loads never
stand in it.
"""

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

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

    It also keeps what it has sent to each visitor, and looks for work a thousand times a second, which takes 3 % of a
    core of a page that nobody visits.
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
        if sent is None:
            sent = await whole(event, answer, state)
        if state is not None:
            _forget(state, event.outputs)
        return sent

    demo.postprocess_data = named_only


def _forget(state: Any, outputs: Sequence[Any]) -> None:
    """Let go of what was sent to a visitor: Gradio keeps it, megabytes of a figure, for links of its own."""
    for output in outputs:
        if noted := state.config_values.get(output._id):
            noted.get("props", {}).pop("value", None)


def at_the_end(event: Any, handler: Callable[..., Any], inputs: Any, outputs: Any) -> None:
    """Run `handler` after `event` whether that succeeded or failed; Gradio's `then` means success alone."""
    for ended in (event.success, event.failure):
        on(ended, handler, inputs, outputs)
