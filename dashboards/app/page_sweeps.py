"""All sweeps of the home, newest first: what each asked, how it stands, the best it found."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.app import links, reading
from dashboards.app.live import live
from dashboards.app.pages import go
from dashboards.app.shown import small, title
from dashboards.app.table import OPENED, opened
from dashboards.reports import clean

_SHOWN = ["name", "question", "state", "trials", "best", "metric", "started", "duration"]


def draw() -> None:
    """The page."""
    title("Sweeps")
    every = reading.sweeps()
    if every.empty:
        small("Nothing is recorded here yet: vae-sweeps run SWEEP.yaml")
        return
    with st.sidebar:
        there = sorted(set(every["state"]))
        states = st.multiselect("State", there, key="state", bind="query-params", placeholder="all")
        asked = st.text_input("Name or question holds", key="holds", bind="query-params")
    running = bool((every["state"] == "RUNNING").any())
    live(lambda: _table(states, asked or ""), running)


def _table(states: list[str], asked: str) -> bool:
    """Whether a sweep still runs."""
    every = reading.sweeps()
    kept = pd.Series(True, index=every.index) if not states else every["state"].isin(states)
    kept &= (every["name"] + " " + every["question"]).str.contains(asked, case=False, regex=False)
    sweeps = every[kept].iloc[::-1].reset_index(drop=True)
    small(
        f"{len(sweeps)} of {len(every)} sweeps" if len(sweeps) < len(every) else "Click on a name; choose two or more to compare."
    )
    shown = sweeps.assign(
        name=sweeps["name"].map(clean),
        question=sweeps["question"].map(clean),
        state=sweeps["state"].str.lower(),
        duration=sweeps["duration_s"] / 60,
    )[_SHOWN]
    chosen = st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "name": st.column_config.ButtonColumn("sweep", type="secondary", key=OPENED, pinned=True, help="Open the sweep"),
            "question": st.column_config.TextColumn("question", width="large"),
            "state": st.column_config.TextColumn("state", width=90),
            "trials": st.column_config.NumberColumn("trials", width=60),
            "best": st.column_config.NumberColumn("best", format="%.4g"),
            "started": st.column_config.DatetimeColumn("started, UTC", format="YYYY-MM-DD HH:mm", timezone="UTC", width=140),
            "duration": st.column_config.NumberColumn("took, min", format="%.1f"),
        },
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="",
        key="sweeps",
        height=min(38 + 35 * max(len(shown), 1), 700),
    )
    if (row := opened()) is not None and row < len(sweeps):
        go(links.SWEEP, sweep=sweeps["name"].iloc[row])
    rows = [row for row in chosen["selection"]["rows"] if row < len(sweeps)]
    if len(rows) > 1 and st.button(f"Compare these {len(rows)}", type="primary"):
        go(links.COMPARE, sweeps=list(sweeps["name"].iloc[rows]))
    return bool((every["state"] == "RUNNING").any())
