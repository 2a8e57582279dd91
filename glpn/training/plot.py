"""The course of a training as a page: loss, and the validation's AbsRel and δ1, over samples seen."""

import csv
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

CURVES = (("loss", "Loss"), ("scaled_abs_rel", "AbsRel, median-scaled"), ("scaled_delta1", "δ1, median-scaled"))


def write_plot(log: Path, page: Path) -> None:
    """Draw a trainer's log.csv as a stand-alone HTML page. Nothing is written if there is no log yet."""
    if not log.exists():
        return
    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    figure = make_subplots(len(CURVES), 1, shared_xaxes=True, subplot_titles=[title for _, title in CURVES])
    for number, (column, title) in enumerate(CURVES, start=1):
        points = [(int(row["samples"]), float(row[column])) for row in rows if row[column]]
        samples, values = zip(*points, strict=True) if points else ((), ())
        figure.add_trace(go.Scatter(x=samples, y=values, name=title, mode="lines+markers"), row=number, col=1)
    figure.update_xaxes(title_text="samples seen", row=len(CURVES), col=1)
    figure.update_layout(showlegend=False, height=900, template="plotly_white")
    figure.write_html(page, include_plotlyjs=True, config={"showSendToCloud": False})
