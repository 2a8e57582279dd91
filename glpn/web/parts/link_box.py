"""The header's "Copy link": the page's choices as a link that survives a restart."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gradio as gr

from glpn.web.session import Sessions

from .events import on

# The address is the browser's, whatever proxies stand between, unless links have to name another. Where the clipboard
# is closed to the page, the box with the link stays to be copied by hand.
_COPY = """(query) => {
  const language = new URLSearchParams(location.search).get("lang");
  const all = [query, language && "lang=" + encodeURIComponent(language)].filter(Boolean).join("&");
  const link = (ADDRESS || location.origin + location.pathname) + (all ? "?" + all : "");
  navigator.clipboard?.writeText(link).catch(() => {});
  document.body.dataset.link = "open";
  return link;
}"""


class LinkBox:
    """A button and the box in which the link appears, until Close or Escape. `wire` tells it what the choices are.

    address   what links begin with; None is where the visitor's browser is
    """

    def __init__(self, *, address: str | None = None) -> None:
        self.address = address
        self.button = gr.Button("Copy link", size="sm", elem_id="copy-link", scale=0, min_width=110)
        with gr.Row(elem_id="link"):  # hangs below the button, over the page, while the body says so; see page.js
            self.box = gr.Textbox(
                label="Link to these choices (copied; your photo is not included)",
                max_lines=1,
                buttons=["copy"],
                min_width=0,
                elem_id="link-box",
            )
            gr.Button("Close", size="sm", elem_id="link-close", scale=0, min_width=64)

    def follow(self, tabs: Iterable[gr.Tab], sessions: Sessions) -> None:
        """Remember which of the page's top tabs is open."""
        self.sessions = sessions
        on([tab.select for tab in tabs], self._opened, None, trigger_mode="multiple")

    def _opened(self, request: gr.Request, data: gr.EventData) -> None:
        self.sessions.of(request).opens("at", data.target.id)

    def wire(self, text: Callable[..., str], inputs: Mapping[str, Any]) -> None:
        """Show `text(request, **inputs)`, a query string, as a link, and copy it."""
        asked = on(self.button.click, text, inputs, self.box)
        on(asked.then, None, self.box, self.box, js=_COPY.replace("ADDRESS", json.dumps(self.address)))
