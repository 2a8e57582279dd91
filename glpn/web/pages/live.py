"""The Live page: depth next to the visitor's camera, as fast as this machine goes."""

import gradio as gr

from glpn.web.live import LIVE_URL
from glpn.web.parts import components


def live() -> None:
    gr.HTML(
        '<p class="lead">Your camera and its depth side by side. Frames go to this page\'s server one by one, are '
        "estimated by rooms-b0 and forgotten: nothing is stored.</p>",
        apply_default_css=False,
    )
    components.live_camera(LIVE_URL, elem_id="live")
