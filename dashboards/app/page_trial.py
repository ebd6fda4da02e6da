"""One trial: what it was, how it scored, its curves, what it drew, and its latent space."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.analyses.collapse import kl_by_dimension
from dashboards.analysis import searched, selected_metric
from dashboards.app import links, reading
from dashboards.app.code_map_view import code_map_of, latent_space
from dashboards.app.exhibits import KINDS
from dashboards.app.exhibits_view import kind_of_a_trial, kinds_of
from dashboards.app.live import live
from dashboards.app.pages import link
from dashboards.app.picking import pick_sweep, pick_trial
from dashboards.app.settings import settings
from dashboards.app.shown import answer, small, title, words
from dashboards.app.table import plain
from dashboards.figures import posterior, side_by_side
from dashboards.reports import metric_cell
from dashboards.summary import configuration
from dashboards.trial import TrialRecord

_CURVES = ("val/rate", "val/distortion", "train/loss", "train/beta")
"""Beside the sweep's own metric, where they were logged."""
_COUNTS = ("epoch", "step", "_n")
"""Ends of the names of metrics that count something."""


def draw() -> None:
    """The page."""
    sweep = pick_sweep()
    if sweep is None:
        return
    trials = reading.trials_of(str(sweep["name"]))
    trial = pick_trial(trials)
    if trial is None:
        return
    name, number, run_id = str(sweep["name"]), int(trial["trial"]), str(trial["run_id"])
    small(f"{name} · trial {number} · {str(trial['state']).lower()}")
    title(configuration(trial, searched(sweep)))
    if trial["reason"]:
        answer([str(trial["reason"])])
    _links(name, number, run_id)
    live(lambda: _training(name, number), trial["state"] == "RUNNING")
    held = code_map_of(run_id)
    shape = None if held is None or held.is_text else tuple(held.inputs.shape[1:])
    drawn = kinds_of(run_id, shape)
    if drawn:
        st.subheader("What it drew")
        for kind, tab in zip(drawn, st.tabs([KINDS[kind] for kind in drawn]), strict=True):
            with tab:
                kind_of_a_trial(kind, drawn[kind], run_id, name, number)
    _code(run_id, number, trials)
    if held is not None:
        latent_space(held, name, number, run_id)
    elif not drawn:
        small("Only a complete trial keeps samples and codes.")


def _links(name: str, number: int, run_id: str) -> None:
    url = links.run_url(settings().mlflow, reading.experiment(), run_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        link(links.SWEEP, f"Sweep {words(name)}", icon=":material/arrow_back:", sweep=name)
        if url:
            st.link_button("In MLflow", url, type="tertiary", icon=":material/open_in_new:")
        small(f"To have it again: vae-sweeps reproduce {name}/{number}")


def _training(name: str, number: int) -> bool:
    """Scores, configuration and curves; whether the trial still runs."""
    sweep, trials = reading.sweep_of(name), reading.trials_of(name)
    trial = trials[trials["trial"] == number].iloc[-1]
    record = reading.record_of(str(trial["run_id"]))
    scores, parameters = st.columns(2, gap="medium")
    with scores:
        st.subheader("Scores")
        plain(_scores(record, str(sweep["metric"])), height=320)
    with parameters:
        st.subheader("Configuration")
        plain(_configuration(record, searched(sweep)), height=320)
    _curves(record, str(sweep["metric"]))
    return bool(trial["state"] == "RUNNING")


def _scores(record: TrialRecord, metric: str) -> pd.DataFrame:
    """Final ones first, and of them the sweep's own; an error stands beside what it is the error of."""
    order, own = {"best": 0, "test": 1, "val": 2, "train": 3}, selected_metric(metric)
    names = sorted(record.metrics, key=lambda name: (name != own, order.get(name.partition("/")[0], 4), name))
    errors = {
        name.removesuffix("_se"): record.metrics[name]
        for name in names
        if name.endswith("_se") and name.removesuffix("_se") in names
    }
    rows = []
    for name in names:
        if name.endswith("_se") and name.removesuffix("_se") in errors:
            continue
        value = record.metrics[name]
        if name.endswith(_COUNTS):
            told = f"{value:.0f}"
        else:
            told = metric_cell(name, value) if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
        rows.append((name, f"{told} ± {errors[name]:.2f}" if name in errors else told))
    return pd.DataFrame(rows, columns=["metric", "value"])


def _configuration(record: TrialRecord, names: list[str]) -> pd.DataFrame:
    """What was searched first."""
    first = [name for name in names if name in record.parameters]
    rest = sorted(name for name in record.parameters if name not in first)
    rows = [("✓", name, record.parameters[name]) for name in first] + [("", name, record.parameters[name]) for name in rest]
    return pd.DataFrame(rows, columns=["searched", "parameter", "value"])


def _curves(record: TrialRecord, metric: str) -> None:
    there = sorted(name for name in record.metrics if not name.startswith(("best/", "test/")) and "/" in name)
    default = [name for name in dict.fromkeys([metric, *_CURVES]) if name in there]
    st.subheader("Learning curves")
    chosen = st.multiselect("Curves", there, default=default, key="curves", bind="query-params", label_visibility="collapsed")
    if not chosen:
        return
    curves = reading.curves_of([record.run_id], chosen)
    columns = st.columns(min(3, len(chosen)), gap="small")
    for place, name in enumerate(chosen):
        drawn = side_by_side.curves(curves, name, {record.run_id: f"trial {record.number}"}, height=270)
        columns[place % len(columns)].plotly_chart(drawn, theme=None, key=f"curve {name}", config={"displaylogo": False})


def _code(run_id: str, number: int, trials: pd.DataFrame) -> None:
    table = kl_by_dimension(reading.kl_of({number: run_id}), trials)
    if len(table) > 1:
        st.subheader("The code")
        st.plotly_chart(posterior.kl_by_dimension(table), theme=None, key="kl", config={"displaylogo": False})
