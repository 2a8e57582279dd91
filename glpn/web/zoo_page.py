"""The Zoo page: the manifest as a table; on the host's own machine also download, verify and remove."""

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from glpn.errors import ZooError
from glpn.hub import bytes_on_disk, cache_folder, locate, megabytes, remove_repo, verify
from glpn.zoo import ModelSpec, Zoo

from . import cards
from .engine import Engine
from .guard import plain_errors
from .jobs import Progress, follow
from .session import Sessions
from .wiring import QUICK

FILTERS = ("All", "Ready to run", "Published", "Embedded", "Needs training")


def matches(spec: ModelSpec, chosen: str, text: str) -> bool:
    """Whether a row passes the filter and contains every word of `text`."""
    wanted = {
        "All": True,
        "Ready to run": spec.ready,
        "Published": spec.status == "published",
        "Embedded": spec.status in ("embedded", "local"),
        "Needs training": spec.status == "untrained",
    }[chosen]
    row = f"{spec.id} {spec.title} {spec.head} {spec.encoder} {spec.status} {spec.license}".lower()
    return wanted and all(word in row for word in text.lower().split())


def zoo_table(engine: Engine, chosen: str = FILTERS[0], text: str = "") -> str:
    """Return the manifest's rows that pass the filter."""
    rows = [
        (
            spec.id,
            cards.STATUS[spec.status][0],
            spec.encoder or "–",
            f"{spec.parameters / 1e6:.1f} M",
            megabytes(spec.size_bytes) if spec.ready else "–",
            ("yes" if engine.cached(spec) else "no") if spec.ready else "–",
            f"{spec.max_depth_m:g} m",
            "; ".join(f"{metric} ({metric.dataset})" for metric in spec.metrics) or "–",
            spec.license,
        )
        for spec in engine.zoo
        if matches(spec, chosen, text)
    ]
    if not rows:
        return cards.notices(["No variant passes this filter."])
    head = ("Variant", "Status", "Encoder", "Parameters", "Weights", "Here?", "Depth up to", "Accuracy", "Licence")
    return cards.table(head, rows, caption=f"{len(rows)} of {len(engine.zoo)} variants")


def disk_used(zoo: Zoo) -> int:
    """Return the bytes that the zoo's repositories take in the Hub cache."""
    return sum(bytes_on_disk(repo_id) for repo_id in {spec.source.repo_id for spec in zoo} if repo_id)


def disk_sentence(zoo: Zoo) -> str:
    return cards.notices([f"Downloads take {megabytes(disk_used(zoo))} in `{cache_folder()}`."])


def download(engine: Engine, name: str, stop: threading.Event) -> Iterator[str]:
    """Download a variant; yields its progress and at last what happened, as HTML."""
    engine.zoo[name]

    def work(report: Any, stopped: Any) -> None:
        def progress(done: int, total: int | None, rate: float) -> None:
            whole = f" of {megabytes(total)}" if total else ""
            report(Progress(f"{megabytes(done)}{whole}, {rate / 1e6:.1f} MB/s", done / total if total else None))

        locate(name, zoo=engine.zoo, progress=progress, cancelled=stopped)

    yield cards.progress(f"Asking for {name}.", None)
    job = follow(work, stop)
    while True:
        try:
            step = next(job)
        except StopIteration:
            break
        yield cards.progress(step.sentence, step.share)
    yield cards.notices([f"{name} is here and verified."])


def check(engine: Engine, name: str) -> str:
    """Hash the files of a variant again; returns what was found, as HTML."""
    paths = verify(engine.zoo[name])
    return cards.notices([f"{name}: {len(paths)} files are as they should be." if paths else f"{name} is not here."])


def remove(engine: Engine, name: str) -> str:
    """Remove a variant's download; returns what was freed, as HTML."""
    spec = engine.zoo[name]
    if spec.source.repo_id is None:
        raise ZooError(f"{spec.id} is part of this app, not a download; there is nothing to remove.")
    freed = remove_repo(spec.source.repo_id)
    return cards.notices([f"{name}: {megabytes(freed)} freed." if freed else f"{name} is not here."])


class ZooPage:
    """Layout and wiring of the Zoo page. What changes the host's disk is absent where strangers use the page."""

    def __init__(self, engine: Engine, sessions: Sessions, *, tab: gr.Tab) -> None:
        self.engine = engine
        self.sessions = sessions
        with gr.Row():
            chosen = gr.Radio(
                list(FILTERS), value=FILTERS[0], label="Show", scale=2, min_width=300, elem_id="zoo-filter"
            )
            text = gr.Textbox(label="Search", placeholder="b4, kitti, nvidia …", scale=1, min_width=240, max_lines=1)
        self.table = gr.HTML(zoo_table(engine), apply_default_css=False, elem_id="zoo-table", elem_classes="wide")
        for event in (chosen.input, text.input):
            event(lambda show, words: zoo_table(engine, show, words), [chosen, text], self.table, **QUICK)
        if engine.host.public:
            tab.select(lambda show, words: zoo_table(engine, show, words), [chosen, text], self.table, **QUICK)
        else:
            self._actions(tab, chosen, text)

    def _actions(self, tab: gr.Tab, chosen: gr.Radio, text: gr.Textbox) -> None:
        engine = self.engine
        names = [spec.id for spec in engine.zoo.ready]
        with gr.Row(elem_id="zoo-actions", elem_classes="job"):
            name = gr.Dropdown(names, value=names[0], label="On this machine", filterable=False, scale=2)
            load = gr.Button("Download now", min_width=150)
            test = gr.Button("Verify", min_width=150)
            drop = gr.Button("Remove from cache", min_width=150)
            halt = gr.Button("Stop", min_width=150)
        said = gr.HTML(apply_default_css=False, elem_id="zoo-said")
        disk = gr.HTML(apply_default_css=False, elem_id="zoo-disk")

        @plain_errors
        def start(request: gr.Request, variant: str) -> Iterator[str]:
            yield from download(engine, variant, self.sessions.open(request.session_hash).new_stop())

        def after(show: str, words: str) -> tuple[str, str]:
            return zoo_table(engine, show, words), disk_sentence(engine.zoo)

        jobs = (
            load.click(start, name, said, show_progress="hidden", api_visibility="private"),
            test.click(plain_errors(lambda variant: check(engine, variant)), name, said, **QUICK),
            drop.click(plain_errors(lambda variant: remove(engine, variant)), name, said, **QUICK),
        )
        for job in jobs:
            job.then(after, [chosen, text], [self.table, disk], **QUICK)
        tab.select(after, [chosen, text], [self.table, disk], **QUICK)

        def stop(request: gr.Request) -> None:
            self.sessions.open(request.session_hash).stop.set()

        halt.click(stop, None, None, queue=False, **QUICK)
