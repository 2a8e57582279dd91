"""The Zoo page: the manifest as a table; on the host's own machine also download, verify and remove."""

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from glpn.access import HubAccess
from glpn.errors import ZooError
from glpn.hub import bytes_on_disk, cache_folder, megabytes, remove_repo
from glpn.training.cost import GPU, Plan
from glpn.training.variants import HEADS, plan_of
from glpn.web.jobs import Progress, follow
from glpn.web.parts import html
from glpn.web.parts.events import FILES, on
from glpn.web.runner import Engine
from glpn.web.session import Sessions
from glpn.zoo import ModelSpec, Zoo
from glpn.zoo.locate import locate, verify

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
            html.STATUS[spec.status][0],
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
        return html.notices(["No variants match."])
    head = (
        "Variant",
        "Status",
        "Encoder",
        "Parameters",
        "Weights",
        "Downloaded?",
        "Depth up to",
        "Accuracy",
        "Licence",
    )
    return html.table(head, rows, caption=f"{len(rows)} of {len(engine.zoo)} variants")


def training_help(engine: Engine, chosen: str = FILTERS[0], text: str = "") -> str:
    """Tell for each untrained row that passes the filter how to train it, what that takes, and what to do then."""
    rows = [
        (spec.id, how_to_train(spec, engine.zoo))
        for spec in engine.zoo
        if not spec.ready and spec.head in HEADS and spec.encoder and matches(spec, chosen, text)
    ]
    if not rows:
        return ""
    return (
        '<section class="card" aria-label="Training"><h3>Train what is missing</h3><p>'
        + html.rich(
            "One command brings the encoder, trains, measures, writes the card and, with `--publish your-name/…`, "
            "uploads the result, which then is a choice of your own page. To make it everybody's, open an issue with "
            "the template “A trained model”. DIR holds NYU Depth V2 or KITTI, as docs/TRAINING.md tells; with "
            "`--distill` any photos, without depth. `--dry-run` looks at them and times your machine first. Times are "
            f"estimates for an {GPU}, from the networks' products."
        )
        + f"</p>{html.facts(rows)}</section>"
    )


def how_to_train(spec: ModelSpec, zoo: Zoo) -> str:
    """Return the command that trains a variant, and what both ways take."""
    paper, distilled = (plan_of(spec, zoo, distill=distill) for distill in (False, True))
    return f"`python -m glpn zoo train {spec.id} --data DIR`: {_cost(paper)}; with `--distill`: {_cost(distilled)}"


def _cost(plan: Plan) -> str:
    return f"{plan.hours():.0f} h, {plan.memory_bytes / 1e9:.0f} GB"


def disk_used(zoo: Zoo) -> int:
    """Return the bytes that the zoo's repositories take in the Hub cache."""
    return sum(bytes_on_disk(repo_id) for repo_id in {spec.source.repo_id for spec in zoo} if repo_id)


def disk_sentence(zoo: Zoo) -> str:
    return html.notices([f"Downloads take {megabytes(disk_used(zoo))} in `{cache_folder()}`."])


def download(engine: Engine, name: str, stop: threading.Event) -> Iterator[str]:
    """Download a variant; yields its progress and at last what happened, as HTML."""
    engine.zoo[name]

    def work(report: Any, stopped: Any) -> None:
        def progress(done: int, total: int | None, rate: float) -> None:
            whole = f" of {megabytes(total)}" if total else ""
            report(Progress(f"{megabytes(done)}{whole}, {rate / 1e6:.1f} MB/s", done / total if total else None))

        locate(name, zoo=engine.zoo, access=HubAccess(progress=progress, cancelled=stopped))

    yield html.progress(f"Asking for {name}.", None)
    job = follow(work, stop)
    while True:
        try:
            step = next(job)
        except StopIteration:
            break
        yield html.progress(step.sentence, step.share)
    yield html.notices([f"{name} is downloaded and verified."])


def check(engine: Engine, name: str) -> str:
    """Hash the files of a variant again; returns what was found, as HTML."""
    paths = verify(engine.zoo[name])
    return html.notices([f"{name}: {len(paths)} files verified." if paths else f"{name} is not downloaded."])


def remove(engine: Engine, name: str) -> str:
    """Remove a variant's download; returns what was freed, as HTML."""
    spec = engine.zoo[name]
    if spec.source.repo_id is None:
        raise ZooError(f"{spec.id} is part of this app, not a download; there is nothing to remove.")
    freed = remove_repo(spec.source.repo_id)
    return html.notices([f"{name}: {megabytes(freed)} freed." if freed else f"{name} is not downloaded."])


class ZooPage:
    """Layout and wiring of the Zoo page. What changes the host's disk is absent where strangers use the page."""

    def __init__(self, engine: Engine, sessions: Sessions, *, tab: gr.Tab) -> None:
        self.engine, self.sessions = engine, sessions
        with gr.Row():
            chosen = gr.Radio(
                list(FILTERS), value=FILTERS[0], label="Show", scale=2, min_width=300, elem_id="zoo-filter"
            )
            text = gr.Textbox(label="Search", placeholder="b4, kitti, nvidia …", scale=1, min_width=240, max_lines=1)
        self.asked = [chosen, text]
        self.table = gr.HTML(zoo_table(engine), apply_default_css=False, elem_id="zoo-table", elem_classes="wide")
        if not engine.host.public:
            self._downloads(tab)
        training = gr.HTML(training_help(engine), apply_default_css=False, elem_id="zoo-training")
        for event in (chosen.input, text.input, tab.select):
            on(event, self._rows, self.asked, [self.table, training])

    def _downloads(self, tab: gr.Tab) -> None:
        names = [spec.id for spec in self.engine.zoo.ready]
        with gr.Row(elem_id="zoo-actions", elem_classes="job"):
            name = gr.Dropdown(names, value=names[0], label="Variant", filterable=False, scale=2)
            load = gr.Button("Download now", min_width=150)
            test = gr.Button("Verify", min_width=150)
            drop = gr.Button("Remove from cache", min_width=150)
            halt = gr.Button("Stop", min_width=150)
        said = gr.HTML(apply_default_css=False, elem_id="zoo-said")
        disk = gr.HTML(apply_default_css=False, elem_id="zoo-disk")
        jobs = (
            on(load.click, self._download, name, said, how=FILES),
            on(test.click, self._check, name, said),
            on(drop.click, self._remove, name, said),
        )
        for event in (*(job.then for job in jobs), tab.select):
            on(event, self._disk, self.asked, [self.table, disk])
        on(halt.click, self._stop, None, None)

    def _rows(self, chosen: str, text: str) -> tuple[str, str]:
        return zoo_table(self.engine, chosen, text), training_help(self.engine, chosen, text)

    def _disk(self, chosen: str, text: str) -> tuple[str, str]:
        return zoo_table(self.engine, chosen, text), disk_sentence(self.engine.zoo)

    def _download(self, request: gr.Request, name: str) -> Iterator[str]:
        with self.sessions.of(request).job() as stop:
            yield from download(self.engine, name, stop)

    def _check(self, name: str) -> str:
        return check(self.engine, name)

    def _remove(self, name: str) -> str:
        return remove(self.engine, name)

    def _stop(self, request: gr.Request) -> None:
        self.sessions.of(request).stop.set()
