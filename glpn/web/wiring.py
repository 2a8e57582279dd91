"""How events run: what waits for its turn with a model, what answers at once, and that all of it is private."""

from collections.abc import Callable
from typing import Any

# Only the endpoints of `api` are public; every event of the page is mere wiring.
QUICK: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
INFERENCE: dict[str, Any] = {"concurrency_id": "inference", "concurrency_limit": 1}
FILES: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_id": "files",
    "concurrency_limit": 2,
}


def at_the_end(event: Any, handler: Callable[..., Any], inputs: Any, outputs: Any) -> None:
    """Run `handler` after `event` whether that succeeded or failed; Gradio's `then` means success alone."""
    for ended in (event.success, event.failure):
        ended(handler, inputs, outputs, **QUICK)
