"""One sweep: its question and the answer, the leaderboard, the report's figures, and what the best trials drew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboards.analyses.scores import configurations
from dashboards.analysis import goal_of, ranked, selected_metric
from dashboards.app import links, reading
from dashboards.app.drawings import drawings
from dashboards.app.exhibits_view import side_by_side
from dashboards.app.filter_widgets import Chosen, choose
from dashboards.app.filters import drawn, filtered, judged_by
from dashboards.app.live import live
from dashboards.app.pages import go, link
from dashboards.app.picking import pick_sweep
from dashboards.app.settings import settings
from dashboards.app.shown import answer, how, small, title, words
from dashboards.app.table import leaderboard, opened, plain
from dashboards.confirmation import plan_of
from dashboards.confirmation_report import cells_of
from dashboards.confirmation_words import confirmed
from dashboards.page.shown import CURVES
from dashboards.replicates import board, grouped, seeds_of

if TYPE_CHECKING:
    import plotly.graph_objects as go_

_CURVES, _BEST, _SHOWN = 40, 5, 4
"""Trials whose curves are read, of them the best ones in colour; trials whose samples are shown."""
_COMPARED = 6
_WIDE = ("Every trial", "Who worked when", "Differences from the best, seed by seed")
"""Titles of the figures that need the whole width."""


def draw() -> None:
    """The page."""
    sweep = pick_sweep()
    if sweep is None:
        return
    name = str(sweep["name"])
    trials = reading.trials_of(name)
    chosen = choose(grouped(trials, sweep), sweep) if len(trials) else None
    small(f"{name} · {str(sweep['state']).lower()} · {sweep['method']}")
    title(str(sweep["question"] or name))
    live(lambda: _body(name, chosen), sweep["state"] == "RUNNING")


def _body(name: str, chosen: Chosen | None) -> bool:
    """Whether the sweep still runs."""
    version = reading.version()  # before it is read: what comes between is not in the figures that are kept
    sweep, trials = reading.sweep_of(name), reading.trials_of(name)
    runs = bool(sweep["state"] == "RUNNING")
    if chosen is None and len(trials):
        st.rerun()  # its first trial has begun: there is something to filter
    told, progress, details = reading.answer_of(trials, sweep) if len(trials) else (["No trial has begun yet."], "", [])
    answer(told)
    small(progress)
    _links(sweep)
    if chosen is None or trials.empty:
        return runs
    judged = judged_by(sweep, chosen.metric, goal_of(selected_metric(chosen.metric), sweep))
    rows = grouped(trials, sweep)
    left = filtered(rows, chosen.states, {name: choice for name, choice in chosen.choices.items() if name in rows})
    kept = trials[configurations(trials, sweep).isin(left["trial"])] if seeds_of(sweep) > 1 else left
    if (plan := plan_of(sweep)) is not None:
        headings, cells = cells_of(confirmed(trials, sweep, plan))
        st.subheader("Configurations")
        plain(pd.DataFrame(cells, columns=headings))
    st.subheader("Leaderboard" if plan is None else "Each training")
    if len(left) < len(rows):
        what = "trials" if seeds_of(sweep) == 1 else "configurations"
        small(f"{len(left)} of {len(rows)} {what}, by the filters at the left; the answer above is of all.")
    if kept.empty:
        return runs
    _leaderboard(kept, judged, name)
    best = ranked(grouped(kept, judged), judged).query("rank.notna()").head(_SHOWN)
    shown = dict(zip(best["trial"], best["run_id"], strict=True))
    st.subheader("Figures")
    _figures(kept, judged, shown, version)
    side_by_side(name, shown)
    if details:
        with st.expander("In full, and what the numbers are"):
            for sentence in details:
                small(sentence)
    return runs


def _links(sweep: pd.Series[Any]) -> None:
    url = links.run_url(settings().mlflow, reading.experiment(), str(sweep["run_id"]))
    with st.container(horizontal=True, vertical_alignment="center"):
        if url:
            st.link_button("In MLflow", url, type="tertiary", icon=":material/open_in_new:")
        if sweep["confirms"]:
            link(links.SWEEP, f"Confirms {words(sweep['confirms'])}", sweep=sweep["confirms"])
        small(f"The same as a file: vae-sweeps report {sweep['name']} --format html --output {sweep['name']}.html")


def _leaderboard(trials: pd.DataFrame, sweep: pd.Series[Any], name: str) -> None:
    rows = board(trials, sweep)
    numbers = [int(str(number).partition("-")[0]) for number in rows["trials" if "trials" in rows else "trial"]]
    chosen = leaderboard(rows, sweep, key="leaderboard")
    if (row := opened()) is not None and row < len(numbers):
        go(links.TRIAL, sweep=name, trial=numbers[row])
    selected = [numbers[row] for row in chosen["selection"]["rows"] if row < len(numbers)]
    if len(selected) > 1:
        few = selected[:_COMPARED]
        more = f" (the first {_COMPARED})" if len(selected) > len(few) else ""
        if st.button(f"Compare these {len(few)} trials{more}", type="primary"):
            go(links.TRIALS, sweep=name, trials=few)
    else:
        small("Click on a trial's number to open it; choose two or more rows to compare them.")


def _figures(trials: pd.DataFrame, sweep: pd.Series[Any], looked_at: dict[int, str], version: reading.Version) -> None:
    column, of = selected_metric(str(sweep["metric"])), configurations(trials, sweep)
    group = dict(zip(trials["trial"], of, strict=True))
    first = ranked(grouped(trials, sweep), sweep).query("rank.notna()")["trial"]
    best = list(dict.fromkeys(group[number] for number in first))[:_BEST]
    rows = grouped(trials, sweep)
    rows = drawn(rows[rows["trial"].isin(set(of))], best, column, max(1, _CURVES // int(of.value_counts().max())))
    read = trials[of.isin(rows["trial"])]  # whole configurations: a part of its seeds would be another mean
    curves = reading.curves_of(list(read["run_id"]), [str(sweep["metric"]), *CURVES])
    if len(read) < len(trials):
        small(f"Learning curves are of {len(read)} of {len(trials)} trials: the best, and others evenly by score.")
    columns, place = list(st.columns(2, gap="medium")), 0
    key = (version, str(sweep["name"]), str(sweep["metric"]), tuple(trials["trial"]), tuple(looked_at))
    for told, figure in drawings(key, trials, sweep, curves, reading.kl_of(looked_at)):
        caption = str(figure.layout.title.text)
        if caption in _WIDE:
            columns, place = [st.container()], 0
        with columns[place % len(columns)]:
            _figure(told, figure, f"figure {caption}")
        place += 1
        if place == len(columns):
            columns, place = list(st.columns(2, gap="medium")), 0


def _figure(told: str, figure: go_.Figure, key: str) -> None:
    how(told)
    st.plotly_chart(figure, theme=None, key=key, config={"displaylogo": False})
