"""How sweeps stand: the list of a home's sweeps, and one sweep in a few lines."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from dashboards.confirmation import plan_of
from dashboards.confirmation_report import FORMATS as CONFIRMATION_FORMATS
from dashboards.confirmation_report import render as render_confirmation
from dashboards.confirmation_words import confirmed, sentences_of
from dashboards.records import load_trials, sweep_row
from dashboards.replicates_words import sentences
from dashboards.reports import clean, render_report
from dashboards.words import number

_ROOMY = 130
"""Characters of a terminal that has room for sentences."""


def report_sweep(
    name: str,
    *,
    format: str = "table",
    sort: str | None = None,
    top: int | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    width: int | None = None,
    color: bool = False,
) -> str | bytes:
    """``render_report``, ``render_latex`` or ``render_page`` on a sweep by its name; of a confirmation what it confirms."""
    sweep = sweep_row(name, home=home, tracking_uri=tracking_uri)
    trials = load_trials(name, home=home, tracking_uri=tracking_uri)
    plan = plan_of(sweep)
    if plan is not None and format in CONFIRMATION_FORMATS and sort is None and top is None:
        return render_confirmation(confirmed(trials, sweep, plan), sweep, format=format, width=width, color=color)
    if format == "latex":
        from dashboards.latex import render_latex

        return render_latex(trials, sweep, sort=sort, top=top)
    if format == "html":
        from dashboards.page.page import page_of

        return page_of(trials, sweep, sort=sort, top=top, home=home, tracking_uri=tracking_uri)
    return render_report(trials, sweep, format=format, sort=sort, top=top, width=width, color=color)


def status_lines(name: str, *, home: str | Path | None = None, tracking_uri: str | None = None) -> list[str]:
    """State, progress, running trials, and what has been found so far; each fit for a terminal, whatever was recorded."""
    sweep = sweep_row(name, home=home, tracking_uri=tracking_uri)
    trials = load_trials(name, home=home, tracking_uri=tracking_uri)
    ended = f", ended by {sweep['ended_by']}" if sweep["ended_by"] and sweep["state"] != "RUNNING" else ""
    lines = [f"{name}: {sweep['state']}{ended}, started {sweep['started']:%Y-%m-%d %H:%M} UTC", str(sweep["question"])]
    if sweep["budget_used"]:
        lines.append(f"used: {sweep['budget_used']}")
    for _, trial in trials[trials["state"] == "RUNNING"].iterrows():
        value = trial.get(sweep["metric"], math.nan)
        shown = "" if pd.isna(value) else f", {sweep['metric']} {number(value)}"
        planned = trial["training.epochs"]
        lines.append(f"trial {trial['trial']} runs: epoch {trial['epochs']} of {'?' if pd.isna(planned) else planned}{shown}")
    plan = plan_of(sweep)
    found = sentences(trials, sweep) if plan is None else sentences_of(confirmed(trials, sweep, plan), sweep)
    return [clean(line) for line in [*lines, *found] if line]


def sweeps_table(sweeps: pd.DataFrame, width: int | None = None) -> Table:
    """A row a sweep; on a terminal of few characters without the questions, which would leave no room for what they ask about."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    asked = width is None or width >= _ROOMY
    for heading in ("name", "state", "trials", "best", "metric", "started", *(["question"] if asked else [])):
        table.add_column(heading, justify="right" if heading in ("trials", "best") else "left", no_wrap=heading != "question")
    for _, sweep in sweeps.iterrows():
        best = "" if pd.isna(sweep["best"]) else number(sweep["best"])
        started = f"{sweep['started']:%Y-%m-%d %H:%M}"
        cells = [sweep["name"], sweep["state"], str(sweep["trials"]), best, sweep["metric"], started]
        table.add_row(*(Text(clean(cell)) for cell in [*cells, *([sweep["question"]] if asked else [])]))
    return table
