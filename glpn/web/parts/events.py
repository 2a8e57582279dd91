"""How events run: guarded and private by construction, and what each kind may take of the machine.

Estimates wait in the engine's own queue, which knows who is ahead of whom; tabs, colors and page loads never
stand in it.
"""

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


def at_the_end(event: Any, handler: Callable[..., Any], inputs: Any, outputs: Any) -> None:
    """Run `handler` after `event` whether that succeeded or failed; Gradio's `then` means success alone."""
    for ended in (event.success, event.failure):
        on(ended, handler, inputs, outputs)
