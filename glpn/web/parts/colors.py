"""Color map, range and direction: one group of choices that several pages show and share."""

from collections.abc import Iterable
from typing import Any

import gradio as gr

from glpn.bounds import RANGE_M
from glpn.scene.figures import COLOR_MAPS
from glpn.web.choices import Choices

from .events import on

# Tells every picture on the page; nothing is asked of the server.
TELL = """(colors, range, near, low, high) => {
  const fixed = range === "fixed";
  if (!fixed || (low !== null && high !== null && low < high)) {
    const detail = { colors, range: fixed ? [low, high] : range, near: near === "bright" };
    document.dispatchEvent(new CustomEvent("glpn:look", { detail }));
  }
}"""


class Colors:
    """The choices' components by the names that `Choices` has for them; style.css shows a fixed range's ends."""

    def __init__(self, prefix: str, *, visible: bool = True) -> None:
        with gr.Group(elem_classes="options", visible=visible) as self.group:
            with gr.Row():
                self.values: dict[str, Any] = {
                    "colors": gr.Dropdown(
                        list(COLOR_MAPS),
                        value=Choices.colors,
                        label="Colors",
                        filterable=False,
                        min_width=120,
                        elem_id=f"{prefix}-colors",
                    ),
                    "range": gr.Radio(
                        [("2–98 %", "robust"), ("Full", "full"), ("Fixed", "fixed")],
                        value=Choices.range,
                        label="Color range",
                        min_width=200,
                        elem_id=f"{prefix}-range",
                    ),
                    "near": gr.Radio(
                        [("Near", "bright"), ("Far", "dark")],
                        value=Choices.near,
                        label="Bright is",
                        min_width=120,
                        elem_id=f"{prefix}-near",
                    ),
                }
            with gr.Row(elem_classes="fixed-range"):
                for name, value, label in (("low", 0, "From (m)"), ("high", RANGE_M.default, "To (m)")):
                    self.values[name] = gr.Number(
                        value=value,
                        minimum=RANGE_M.least,
                        maximum=RANGE_M.most,
                        label=label,
                        elem_id=f"{prefix}-{name}",
                    )
        self.components = list(self.values.values())
        self.changes = [component.input for component in self.components]
        on(self.changes, None, self.components, js=TELL)

    def share_with(self, others: Iterable["Colors"]) -> None:
        """Make `others` show what the visitor chooses here; the page does so on its own."""
        for other in others:
            on(self.changes, None, self.components, other.components, js="(...values) => values")


def choices_of(**values: Any) -> Choices:
    """Pack the widgets' values by their names; a number that was wiped out counts as its default."""
    return Choices(**{name: value for name, value in values.items() if value is not None})
