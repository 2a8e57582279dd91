"""The page as a whole: its parts, its header, and what belongs to all of them."""

from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from glpn.zoo import Zoo

from .about import about
from .api import add_api
from .compare import ComparePage
from .components import asset
from .engine import Engine, Host, Store
from .estimate_page import EstimatePage
from .evaluate import EvaluatePage
from .link_box import LinkBox
from .links import PAGES
from .samples import FOLDER, VARIANT
from .session import Sessions
from .zoo_page import ZooPage

TITLE = "GLPN Depth Zoo"
QUEUE_SIZE = 32  # visitors who wait; the next one is asked to come back


def build_demo(zoo: Zoo, store: Store, *, host: Host | None = None, model: str = VARIANT) -> gr.Blocks:
    """Build the page around a zoo and a store of models. Nothing is loaded until a visitor asks."""
    engine = Engine(zoo, store, host=host or Host.detect())
    gr.set_static_paths(FOLDER)  # else each visitor's sample is a copy, and one who leaves takes it from the others
    uploads = Path(get_upload_folder())
    sessions = Sessions(uploads / "sessions", uploads=uploads)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as demo:
        with gr.Row(elem_id="top"):
            _header()
            link = LinkBox()
        link.add_box()
        with gr.Tabs(elem_id="pages", overflow_behavior="wrap") as pages:
            with gr.Tab("Estimate", id="estimate") as estimate_tab:
                estimate = EstimatePage(engine, sessions, default_model=model)
            with gr.Tab("Compare models", id="compare") as compare_tab:
                ComparePage(
                    engine,
                    sessions,
                    tab=compare_tab,
                    photo=estimate.photo,
                    view=estimate.view,
                    colours=estimate.colours,
                )
            with gr.Tab("Evaluate", id="evaluate") as evaluate_tab:
                EvaluatePage(engine, sessions, tab=evaluate_tab, colours=estimate.colours)
            with gr.Tab("Zoo", id="zoo") as zoo_tab:
                ZooPage(engine, sessions, tab=zoo_tab)
            with gr.Tab("About", id="about") as about_tab:
                about(zoo)
        tabs = (estimate_tab, compare_tab, evaluate_tab, zoo_tab, about_tab)
        link.follow(dict(zip(PAGES, tabs, strict=True)))
        estimate.wire_return(estimate_tab)
        estimate.wire_load(demo, pages, link)
        add_api(engine)

        def leave(request: gr.Request) -> None:
            sessions.close(request.session_hash)

        demo.unload(leave)
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=4)
    return demo


def _header() -> None:
    gr.HTML(
        f"""<header class="top"><h1>{TITLE}</h1><p>Depth in metres from one photo, and the surface to turn in your
hand.</p><button type="button" class="figure-button" data-theme-switch
title="Switch between dark and light">Theme</button></header>""",
        js_on_load=asset("page.js"),
        apply_default_css=False,
    )
