"""The header's "Copy link": the page's choices as a link that survives a restart."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from .guard import plain_errors
from .links import PAGES
from .wiring import QUICK

# The address is the browser's, whatever proxies stand between. Where the clipboard is closed to the page, the box with
# the link stays to be copied by hand.
_COPY = """(query) => {
  const link = location.origin + location.pathname + (query ? "?" + query : "");
  navigator.clipboard?.writeText(link).catch(() => {});
  return link;
}"""


class LinkBox:
    """A button and the box in which the link appears. `wire` tells it what the choices are."""

    def __init__(self) -> None:
        self.button = gr.Button("Copy link", size="sm", elem_id="copy-link", scale=0, min_width=110)
        self.page = gr.State(PAGES[0])

    def add_box(self) -> None:
        """Place the box; it appears with the first link."""
        self.box = gr.Textbox(
            label="Link to these choices (copied; it carries no photo of yours)",
            visible=False,
            max_lines=1,
            buttons=["copy"],
            elem_id="link-box",
        )

    def follow(self, tabs: dict[str, gr.Tab]) -> None:
        """Remember which of the page's top tabs is open."""
        for name, tab in tabs.items():
            tab.select(lambda name=name: name, None, self.page, **QUICK)

    def wire(self, text: Callable[..., str], inputs: list[Any]) -> None:
        """Show `text(request, page, *inputs)`, a query string, as a link, and copy it."""
        self.button.click(plain_errors(text), [self.page, *inputs], self.box, **QUICK).then(
            None, self.box, self.box, js=_COPY
        ).then(lambda: gr.Textbox(visible=True), None, self.box, **QUICK)
