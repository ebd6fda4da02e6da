"""Frames as Streamlit's tables: numbers stay numbers, so that a click on a heading sorts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.analysis import searched, short_names
from dashboards.reports import clean, decimals_of

_FIXED = ("rank", "trial", "trials", "state", "seeds", "epochs", "time", "open")


def leaderboard(board: pd.DataFrame, sweep: pd.Series[Any], key: str) -> Any:
    """The table of ``replicates.board``; a row's first cell opens its trial, chosen rows are in what is returned."""
    shown = board.copy()
    number = "trials" if "trials" in shown else "trial"
    shown[number] = shown[number].astype(str)
    for name in shown.columns:
        if not pd.api.types.is_numeric_dtype(shown[name]):
            shown[name] = shown[name].map(lambda value: "" if pd.isna(value) else clean(value))
        elif pd.api.types.is_bool_dtype(shown[name]):
            shown[name] = shown[name].astype("object").map(lambda value: "" if pd.isna(value) else str(value))
    if "state" in shown:
        shown["state"] = shown["state"].str.lower()
    return st.dataframe(
        shown,
        hide_index=True,
        column_config=_columns(shown, sweep, number),
        column_order=[number, *(name for name in shown.columns if name != number)],
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="",
        height=min(38 + 35 * max(len(shown), 1), 420),
    )


def _columns(shown: pd.DataFrame, sweep: pd.Series[Any], number: str) -> Mapping[str, Any]:
    parameters = searched(sweep)
    short = short_names(parameters, reserved=_FIXED)
    config: dict[str, Any] = {
        number: st.column_config.ButtonColumn(number, type="secondary", key=OPENED, pinned=True, help="Open the trial"),
        "rank": st.column_config.NumberColumn("rank", width=50),
        "state": st.column_config.TextColumn("state", width=90),
        "duration_s": st.column_config.NumberColumn("time, s", format="%.1f"),
        "epochs": st.column_config.NumberColumn("epochs", width=60),
    }
    for name in shown.columns:
        if name in config:
            continue
        label = short.get(name, name)
        if not pd.api.types.is_numeric_dtype(shown[name]):
            config[name] = st.column_config.TextColumn(label)
        elif name in parameters:
            config[name] = st.column_config.NumberColumn(
                label, format="%.4g" if pd.api.types.is_float_dtype(shown[name]) else None
            )
        else:
            config[name] = st.column_config.NumberColumn(label, format=f"%.{decimals_of(name)}f")
    return config


OPENED = "opened"
"""Of the session's state: which row's trial was asked for, in the run after the click."""


def opened() -> int | None:
    """The row, if any, whose button was clicked."""
    clicked = st.session_state.get(OPENED)
    return None if clicked is None else int(clicked["row"])


def plain(values: pd.DataFrame, *, height: int | None = None) -> None:
    """A table to read, of texts."""
    shown = values.map(lambda value: "" if pd.isna(value) else clean(value))
    st.dataframe(shown, hide_index=True, placeholder="", height=height or "auto")
