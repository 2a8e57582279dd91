"""The About page: what the numbers mean, how the network works, what it may be used for, and which versions run."""

import platform
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter

import gradio as gr

from glpn.web.parts import html
from glpn.web.parts.components import asset
from glpn.web.samples import SAMPLES
from glpn.zoo import Zoo

RUNTIME = ("gradio", "torch", "huggingface_hub", "plotly", "numpy", "pillow", "safetensors", "trimesh")


def about(zoo: Zoo) -> None:
    """Add the page's content to the Blocks that are being built."""
    weights = [(spec.id, spec.license, spec.license_note) for spec in zoo.ready]
    credit_of = attrgetter("credit")
    photos = [
        (", ".join(sample.title for sample in group), credit)
        for credit, group in groupby(sorted(SAMPLES, key=credit_of), credit_of)
    ]
    page = asset("about.html").format(
        network=asset("network.svg"),
        licences=html.table(("Variant", "Licence", "Note"), weights, caption="Weights"),
        credits=html.table(("Photos", "Credit"), photos, caption="Sample photos"),
        versions=html.facts([("Python", platform.python_version()), *((name, version(name)) for name in RUNTIME)]),
    )
    gr.HTML(page, apply_default_css=False, elem_id="about", elem_classes="wide")
