"""The Live page: depth next to the visitor's camera, in colors or as a 3D photo, as fast as this machine goes."""

import gradio as gr

from glpn.web.live import LIVE_URL
from glpn.web.parts import components


def live() -> None:
    gr.HTML(
        '<p class="lead">Your camera and its depth side by side, in colors or as a photo that moves in depth. Frames '
        "go to this page's server one by one, are estimated by rooms-b0 and forgotten: nothing is stored.</p>",
        apply_default_css=False,
    )
    components.live_camera(LIVE_URL, elem_id="live")
