"""The filters in the sidebar. Each is bound to the address, so that a pasted address opens the same view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.analyses.scores import is_number
from dashboards.analysis import STATES, short_names
from dashboards.app.filters import Choice, levels_of, metrics_of, parameters_of, stops_of
from dashboards.app.shown import words


@dataclass(frozen=True)
class Chosen:
    """What the reader chose."""

    metric: str
    states: list[str] = field(default_factory=list)
    choices: dict[str, Choice] = field(default_factory=dict)


def choose(trials: pd.DataFrame, sweep: pd.Series[Any]) -> Chosen:
    """Draws the filters, and gives what they are set to.

    Args:
        trials: a row each that is kept or left out: of a sweep with seeds a configuration.
    """
    with st.sidebar:
        metrics = metrics_of(trials, sweep)
        metric = st.selectbox("Judged by", metrics, key="metric", bind="query-params", filter_mode="contains")
        there = [state for state in STATES if (trials["state"] == state).any()]
        states = st.multiselect("State", there, key="state", bind="query-params", placeholder="all")
        names = parameters_of(trials, sweep)
        short = short_names(names)
        choices: dict[str, Choice] = {}
        for name in names:
            choice = (_range if is_number(trials[name]) else _levels)(trials[name], name, short[name])
            if choice is not None:
                choices[name] = choice
    return Chosen(metric or metrics[0], states, choices)


def _range(values: pd.Series[Any], name: str, label: str) -> Choice | None:
    """Both ends; None where they are the whole."""
    stops = list(dict.fromkeys(f"{stop:.6g}" for stop in stops_of(values)))
    if len(stops) < 2:
        return None
    whole = (stops[0], stops[-1])
    low, high = st.select_slider(words(label), stops, value=whole, key=f"p.{name}", bind="query-params")
    if (low, high) == whole:
        return None
    slack = 1e-5  # an end as written is rounded
    return float(low) - slack * abs(float(low)), float(high) + slack * abs(float(high))


def _levels(values: pd.Series[Any], name: str, label: str) -> Choice | None:
    levels = sorted(set(levels_of(values)))
    return st.multiselect(words(label), levels, key=f"p.{name}", bind="query-params", placeholder="all") or None
