"""The model picker: every head and encoder is shown, and nothing can be chosen that can't be run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType

import gradio as gr

from glpn.hub import megabytes
from glpn.zoo import ModelSpec, Zoo

from .components import asset

OTHER = "other"  # another checkpoint, named in a text box
HEAD_TITLES = {"nyu": ("Indoor", "NYU, to 10 m"), "kitti": ("Outdoor", "KITTI, to 80 m")}
OWN_TITLE = ("Ready here", "no download")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the picker says of one variant. `reachable` is None while nobody knows whether the Hub answers."""

    spec: ModelSpec
    here: bool
    reachable: bool | None = None
    seconds: float | None = None

    @property
    def can_run(self) -> bool:
        return self.spec.ready and (self.here or self.reachable is not False)

    @property
    def reason(self) -> str:
        """Why it can't be run, or nothing."""
        if not self.spec.ready:
            return "needs training"
        return "" if self.can_run else "Hub not reachable"

    @property
    def place(self) -> str:
        """Where the weights are, and how large they are."""
        size = megabytes(self.spec.size_bytes)
        return f"{size}, here" if self.here else f"{size} download" if self.can_run else self.reason

    @property
    def worth(self) -> str:
        """What its metres are worth: the error before any scaling, else what the paper states."""
        metrics = sorted(self.spec.metrics, key=lambda metric: getattr(metric, "alignment", "") != "raw")
        return f"{metrics[0].dataset}: {metrics[0]}" if metrics else "accuracy not measured"

    @property
    def summary(self) -> str:
        """One line on the chosen model: where it is, what it costs, what it is worth."""
        time = f"{self.seconds:.2f} s per photo here" if self.seconds else ""
        return " · ".join(part for part in (self.spec.id, self.place, time, self.worth) if part)


def offers(
    zoo: Zoo,
    here: Callable[[ModelSpec], bool],
    *,
    seconds: Mapping[str, float] = MappingProxyType({}),
    reachable: bool | None = None,
) -> list[Offer]:
    """Return an offer for each variant of the zoo; `seconds` are those measured on this machine."""
    return [Offer(spec=spec, here=here(spec), reachable=reachable, seconds=seconds.get(spec.id)) for spec in zoo]


def picker(value: str, *, elem_id: str) -> gr.HTML:
    """The picker as a component; `value` comes from `picker_html`. Event "pick" carries the model's id or OTHER."""
    return gr.HTML(value, js_on_load=asset("picker.js"), apply_default_css=False, elem_id=elem_id)


def picker_html(choices: Iterable[Offer], chosen: str, *, other: bool) -> str:
    """Return the picker: a row a head, a button an encoder. `other` adds the button for another checkpoint."""
    choices = list(choices)
    own = [offer for offer in choices if offer.spec.head not in HEAD_TITLES]
    rows = [_row(*OWN_TITLE, own, chosen)] if own else []
    for head, title in HEAD_TITLES.items():
        rows.append(_row(*title, [offer for offer in choices if offer.spec.head == head], chosen))
    if other:
        pressed = str(chosen == OTHER).lower()
        rows.append(
            f'<div class="picker-row"><span class="picker-head">Your own</span><button type="button" '
            f'class="picker-model" data-model="{OTHER}" aria-pressed="{pressed}">Another checkpoint…</button></div>'
        )
    summary = next((offer.summary for offer in choices if offer.spec.id == chosen), "Any GLPN checkpoint")
    return (
        f'<div class="picker" role="group" aria-label="Model">{"".join(rows)}'
        f'<p class="picker-note" role="status">{escape(summary)}</p></div>'
    )


def _row(title: str, meaning: str, offers: list[Offer], chosen: str) -> str:
    buttons = "".join(_button(offer, chosen) for offer in offers)
    return (
        f'<div class="picker-row" role="group" aria-label="{escape(title)}"><span class="picker-head">{escape(title)} '
        f"<small>{escape(meaning)}</small></span>{buttons}</div>"
    )


def _button(offer: Offer, chosen: str) -> str:
    spec = offer.spec
    name = escape(spec.encoder if spec.head in HEAD_TITLES and spec.encoder else spec.id)
    if offer.can_run:
        small = "" if offer.here else f"<small>{escape(megabytes(spec.size_bytes))}</small>"
        pressed = str(spec.id == chosen).lower()
        return (
            f'<button type="button" class="picker-model" data-model="{escape(spec.id)}" aria-pressed="{pressed}" '
            f'title="{escape(offer.summary)}">{name}{small}</button>'
        )
    what = "The Zoo tells how to train it." if not spec.ready else "Models that are here still work."
    return (
        f'<button type="button" class="picker-model" data-missing="{escape(spec.id)}" aria-disabled="true" '
        f'title="{escape(spec.id)}: {escape(offer.reason)}. {what}">{name}'
        f'<span class="sr-only">, {escape(offer.reason)}</span></button>'
    )
