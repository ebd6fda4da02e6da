"""Two to six trials of a sweep beside each other: what differs, their curves on top of each other, what each drew."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.analysis import selected_metric
from dashboards.app import reading
from dashboards.app.exhibits_view import side_by_side as drawn_by
from dashboards.app.live import live
from dashboards.app.picking import pick_sweep
from dashboards.app.shown import small, title
from dashboards.app.table import plain
from dashboards.figures import side_by_side
from dashboards.reports import metric_cell
from dashboards.trial import TrialRecord

_LEAST, _MOST = 2, 6
_CURVES = ("val/rate", "val/distortion", "train/loss")
_SCORES = ("best/val/neg_elbo", "best/val/rate", "best/val/perplexity", "test/neg_elbo", "test/iw_nll", "train/tokens_per_s")


def draw() -> None:
    """The page."""
    sweep = pick_sweep()
    if sweep is None:
        return
    name = str(sweep["name"])
    trials = reading.trials_of(name)
    small(name)
    title("Trials compared")
    there = sorted({str(number) for number in trials["trial"]}, key=int)
    asked = st.multiselect(
        "Trials", there, key="trials", bind="query-params", max_selections=_MOST, placeholder=f"{_LEAST} to {_MOST} of them"
    )
    chosen = sorted(asked, key=int)
    if len(chosen) < _LEAST:
        small(f"Choose {_LEAST} to {_MOST} trials.")
        return
    own = trials[trials["trial"].isin([int(number) for number in chosen])]
    live(lambda: _body(name, [int(number) for number in chosen]), bool((own["state"] == "RUNNING").any()))


def _body(name: str, numbers: list[int]) -> bool:
    """Whether one of them still runs."""
    sweep, trials = reading.sweep_of(name), reading.trials_of(name)
    own = trials[trials["trial"].isin(numbers)].sort_values("trial")
    records = {int(trial["trial"]): reading.record_of(str(trial["run_id"])) for _, trial in own.iterrows()}
    st.subheader("What differs")
    plain(differing({number: record.parameters for number, record in records.items()}))
    st.subheader("Scores")
    plain(_scores(own, records, sweep))
    _curves(own, records, str(sweep["metric"]))
    drawn_by(name, {number: record.run_id for number, record in records.items()})
    return bool((own["state"] == "RUNNING").any())


def differing(parameters: dict[int, dict[str, str]]) -> pd.DataFrame:
    """A row a parameter that is not the same in all trials, a column a trial; empty where a trial does not have it."""
    names = sorted({name for own in parameters.values() for name in own})
    rows = [(name, *(own.get(name, "") for own in parameters.values())) for name in names]
    differ = [row for row in rows if len(set(row[1:])) > 1]
    return pd.DataFrame(differ, columns=["parameter", *(f"trial {number}" for number in parameters)])


def _scores(trials: pd.DataFrame, records: dict[int, TrialRecord], sweep: pd.Series[Any]) -> pd.DataFrame:
    own = selected_metric(str(sweep["metric"]))
    names = [name for name in dict.fromkeys([own, *_SCORES]) if any(name in record.metrics for record in records.values())]
    rows: list[tuple[str, ...]] = [("state", *(str(state).lower() for state in trials["state"]))]
    rows += [("epochs", *(str(count) for count in trials["epochs"]))]
    for name in names:
        values = [record.metrics.get(name) for record in records.values()]
        rows.append((name, *("" if value is None else metric_cell(name, value) for value in values)))
    return pd.DataFrame(rows, columns=["", *(f"trial {number}" for number in records)])


def _curves(trials: pd.DataFrame, records: dict[int, TrialRecord], metric: str) -> None:
    there = sorted({name for record in records.values() for name in record.metrics if name.startswith(("val/", "train/"))})
    default = [name for name in dict.fromkeys([metric, *_CURVES]) if name in there]
    st.subheader("Learning curves")
    chosen = st.multiselect("Curves", there, default=default, key="curves", bind="query-params", label_visibility="collapsed")
    if not chosen:
        return
    curves = reading.curves_of(list(trials["run_id"]), chosen)
    names = {record.run_id: f"trial {number}" for number, record in records.items()}
    columns = st.columns(min(2, len(chosen)), gap="small")
    for place, name in enumerate(chosen):
        figure = side_by_side.curves(curves, name, names)
        columns[place % len(columns)].plotly_chart(figure, theme=None, key=f"curve {name}", config={"displaylogo": False})
