"""Gradio's own work, cut to what this page needs: most of what a press costs beside the network is Gradio's."""

import copy
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio.to_thread
import fastapi.dependencies.utils
import gradio as gr
import gradio.blocks
import gradio.route_utils
import gradio.state_holder
from gradio.components import Component
from gradio.state_holder import SessionState

from .guard import carries_files

BETWEEN_LOOKS_S = 0.005  # how late an event may begin
BETWEEN_LINES_S = 0.05  # how late a line of progress may come


def sparing(demo: gr.Blocks) -> None:
    """Let an event cost what it changes.

    Gradio makes all its other outputs anew, sums up all events after each, gives each small value to another thread,
    and looks for work a thousand times a second, which takes 3 % of a core of a page that nobody visits.
    """
    queue = demo._queue
    queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize
    queue.sleep_when_free = max(queue.sleep_when_free, BETWEEN_LOOKS_S)
    queue.progress_update_sleep_when_free = max(queue.progress_update_sleep_when_free, BETWEEN_LINES_S)
    _name_only(demo)
    for module in (gradio.blocks, gradio.route_utils, gradio.state_holder):
        module.SessionState = _LeanState
    gradio.blocks.anyio = SimpleNamespace(to_thread=SimpleNamespace(run_sync=_values_at_once))
    # What Gradio's routes depend on reads a cookie each.
    fastapi.dependencies.utils.run_in_threadpool = _at_once  # type: ignore[attr-defined, assignment]


def _name_only(demo: gr.Blocks) -> None:
    """Make of an event's outputs only those that its answer names."""
    whole = demo.postprocess_data

    async def named_only(event: Any, answer: Any, state: Any) -> list[Any]:
        if isinstance(answer, dict) and len(event.outputs) > 1:
            named = {} if answer == gr.skip() else answer
            if set(named) <= set(event.outputs):
                smaller = copy.copy(event)
                smaller.outputs = list(named)
                made = dict(zip(named, await whole(smaller, named, state) if named else (), strict=True))
                return [made.get(output, gr.skip()) for output in event.outputs]
        return await whole(event, answer, state)

    demo.postprocess_data = named_only


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


async def _values_at_once(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Run what Gradio gives to a thread; what a component without files does to its value takes less than a thread."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Component) and not carries_files(owner):
        return function(*arguments)
    return await anyio.to_thread.run_sync(function, *arguments, **options)


async def _at_once(function: Callable[..., Any], **arguments: Any) -> Any:
    return function(**arguments)
