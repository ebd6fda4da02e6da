"""Two sweeps or more beside each other: what each asked and found, and how fast it found it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.analyses.comparison import alike, compare
from dashboards.analyses.progress import progress
from dashboards.app import links, reading
from dashboards.app.live import live
from dashboards.app.pages import go
from dashboards.app.shown import answer, small, title
from dashboards.app.table import OPENED, opened
from dashboards.comparison_report import verdict
from dashboards.figures.side_by_side import best_so_far
from dashboards.replicates import grouped
from dashboards.reports import clean

_MOST = 8


def draw() -> None:
    """The page."""
    title("Sweeps compared")
    every = reading.sweeps()
    names = list(dict.fromkeys(every["name"].iloc[::-1]))
    chosen = st.multiselect(
        "Sweeps",
        names,
        key="sweeps",
        bind="query-params",
        max_selections=_MOST,
        placeholder="two or more",
        filter_mode="contains",
    )
    if len(chosen) < 2:
        small("Choose two sweeps or more; the first is what the others are compared with.")
        return
    running = any(reading.sweep_of(name)["state"] == "RUNNING" for name in chosen)  # of two with one name the latest
    live(lambda: _body(chosen), running)


def _body(names: list[str]) -> bool:
    """Whether one of them still runs."""
    rows = {name: reading.sweep_of(name) for name in names}
    pairs = {name: (grouped(reading.trials_of(name), sweep), sweep) for name, sweep in rows.items()}
    table = compare(pairs)
    answer(verdict(table, pairs))
    shown = table.assign(
        sweep=table["sweep"].map(clean),
        question=[clean(rows[name]["question"]) for name in names],
        same_data=table["same_data"].map({True: "yes", False: "no"}),
    )
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "sweep": st.column_config.ButtonColumn("sweep", type="secondary", key=OPENED, pinned=True, help="Open the sweep"),
            "best": st.column_config.NumberColumn("best", format="%.4f"),
            "trial": st.column_config.NumberColumn("best trial"),
            "median": st.column_config.NumberColumn("median", format="%.4f"),
            "hours": st.column_config.NumberColumn("hours in trials", format="%.3f"),
            "at_equal_hours": st.column_config.NumberColumn("best at equal hours", format="%.4f"),
            "hypervolume": st.column_config.NumberColumn("hypervolume", format="%.2f"),
            "same_data": st.column_config.TextColumn("same data"),
            "question": st.column_config.TextColumn("question", width="large"),
        },
        placeholder="",
        key="compared",
    )
    if (row := opened()) is not None and row < len(names):
        go(links.SWEEP, sweep=names[row])
    _progress(pairs, table)
    return any(sweep["state"] == "RUNNING" for sweep in rows.values())


def _progress(pairs: dict[str, tuple[pd.DataFrame, pd.Series[Any]]], table: pd.DataFrame) -> None:
    """A figure for each metric that two sweeps or more share."""
    shared = table[table["sweep"].isin(alike(pairs))]  # on one axis stands only what can be compared
    for metric, own in shared.groupby("metric", sort=False):
        tables = {name: progress(*pairs[name]) for name in own["sweep"]}
        tables = {name: steps for name, steps in tables.items() if len(steps)}
        if len(tables) > 1:
            figure = best_so_far(tables, str(metric))
            st.plotly_chart(figure, theme=None, key=f"progress {metric}", config={"displaylogo": False})
