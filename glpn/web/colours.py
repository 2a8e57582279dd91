"""Colour map, range and direction: one group of choices that several pages show and share."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from glpn.rendering import COLOR_MAPS

from .links import Choices
from .wiring import QUICK

NAMES = ("colors", "range", "near", "low", "high")


class Colours:
    """The choices' components by the names that `Choices` has for them; `fixed` is the row with the range's ends."""

    def __init__(self, prefix: str, *, detail: bool = False) -> None:
        with gr.Group(elem_classes="options"):
            with gr.Row():
                self.values: dict[str, Any] = {
                    "colors": gr.Dropdown(
                        list(COLOR_MAPS),
                        value="turbo",
                        label="Colours",
                        filterable=False,
                        min_width=120,
                        elem_id=f"{prefix}-colors",
                    ),
                    "range": gr.Radio(
                        [("2–98 %", "robust"), ("Full", "full"), ("Fixed", "fixed")],
                        value="robust",
                        label="Colour range",
                        min_width=200,
                        elem_id=f"{prefix}-range",
                    ),
                    "near": gr.Radio(
                        [("Near", "bright"), ("Far", "dark")],
                        value="bright",
                        label="Bright is",
                        min_width=120,
                        elem_id=f"{prefix}-near",
                    ),
                }
                if detail:
                    self.detail = gr.Radio(
                        [("Draft", "draft"), ("Standard", "standard"), ("Fine", "fine")],
                        value="standard",
                        label="Detail",
                        min_width=230,
                        elem_id=f"{prefix}-detail",
                    )
            with gr.Row(visible=False) as self.fixed:
                for name, value, label in (("low", 0, "From (m)"), ("high", 10, "To (m)")):
                    self.values[name] = gr.Number(
                        value=value, minimum=0, maximum=1000, label=label, elem_id=f"{prefix}-{name}"
                    )
        self.components = [self.values[name] for name in NAMES]
        self.targets = [*self.components, self.fixed]
        self.values["range"].input(
            lambda value: gr.Row(visible=value == "fixed"), self.values["range"], self.fixed, **QUICK
        )

    def shown(self, values: tuple[Any, ...]) -> dict[Any, Any]:
        """Return what makes these components show `values`, in the order of NAMES."""
        return dict(zip(self.components, values, strict=True)) | {self.fixed: gr.Row(visible=values[1] == "fixed")}

    def follow(self, other: "Colours", tab: gr.Tab) -> Any:
        """Take over what `other` shows whenever `tab` is opened; returns that event."""
        return tab.select(lambda *values: self.shown(values), other.components, self.targets, **QUICK)

    def changed(self, redraw: Callable[..., Any], inputs: list[Any], outputs: list[Any], *, tell: "Colours") -> None:
        """Call `redraw` when the visitor changes one of these, and make `tell` show the same."""
        events = [component.input for component in self.components]
        gr.on(events, redraw, inputs, outputs, trigger_mode="always_last", **QUICK)
        gr.on(events, lambda *values: tell.shown(values), self.components, tell.targets, **QUICK)


def choices_of(values: tuple[Any, ...], names: tuple[str, ...] = NAMES) -> Choices:
    """Pack the widgets' values; a number that was wiped out counts as its default."""
    named = dict(zip(names, values, strict=True))
    return Choices(**{name: value for name, value in named.items() if value is not None})
