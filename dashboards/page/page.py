"""The page: the question, its answer, then what it rests on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.analyses.cost import efficiency, hours_by_state, most_at_once
from dashboards.analysis import ranked, searched
from dashboards.confirmation import plan_of
from dashboards.confirmation_report import cells_of as confirmation_cells
from dashboards.confirmation_words import confirmed, sentences_of
from dashboards.diagnosis import load_kl
from dashboards.page.answer import answered
from dashboards.page.figures import DRAWN
from dashboards.page.gallery import Exhibit, gallery
from dashboards.page.methods import methods
from dashboards.page.shown import CURVES, Shown, shown
from dashboards.records import load_curves
from dashboards.replicates import SEEDS, grouped
from dashboards.replicates import board as board_of
from dashboards.replicates_words import basis_of
from dashboards.reports import CONFIGURATION, cells_of, clean, lines_of, merged
from dashboards.summary import configuration
from dashboards.times import with_times
from dashboards.trial import trial_of
from dashboards.words import count_of, listed

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_ROWS = 100
"""Of the leaderboard, where nobody asks for another number."""
_NARROW = 6
"""Parameters that have a column each; more share one, or the scores would be out of sight."""
_SHOWN, _COLLAPSED = 4, 2
"""Trials whose samples and codes are shown: the best, and collapsed ones beside them."""


def render_page(
    trials: pd.DataFrame,
    sweep: pd.Series[Any],
    curves: pd.DataFrame,
    exhibits: Mapping[str, Sequence[Exhibit]],
    *,
    sort: str | None = None,
    top: int | None = None,
    kl: pd.DataFrame | None = None,
    parameters: Mapping[str, str] | None = None,
) -> str:
    """One HTML file that asks nothing of the network.

    Args:
        trials: ``load_trials(name)``.
        sweep: the row of ``load_sweeps()``.
        curves: ``load_curves(name)``.
        exhibits: by title, what the best trials drew.
        sort: the column that orders the leaderboard; None: the sweep's metric.
        top: rows of it at most; None: ``MOST_ROWS``.
        kl: ``load_kl`` of the trials that are looked at closely.
        parameters: the flat configuration of the best trial, as logged; None: nothing is said of methods.

    Raises:
        UnknownColumn: where ``sort`` is no column.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    board = board_of(trials, sweep, sort)
    layout = merged(board, sweep) if len(searched(sweep)) > _NARROW else board
    headings, cells = cells_of(layout, sweep, top or MOST_ROWS)
    ranks = [None if pd.isna(rank) else int(rank) for rank in board["rank"].head(len(cells))]
    tables = [_table("Leaderboard", headings, cells, ranks)]
    rests_on = basis_of(trials, sweep)
    progress, answer, details = answered(trials, sweep)
    if (plan := plan_of(sweep)) is not None:
        found = confirmed(trials, sweep, plan)
        answer, details = sentences_of(found, sweep), []
        places = [int(place) or None for place in found.comparisons["place"]]
        tables = [_table("Configurations", *confirmation_cells(found), places), tables[0] | {"title": "Each training"}]
    drawn = list(shown(trials, sweep, curves, kl))
    written = None if parameters is None else methods(parameters, trials, sweep, map(_cited, drawn))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    template = environment.from_string(resources.files("dashboards.page").joinpath("report.html").read_text())
    return template.render(
        name=clean(sweep["name"]),
        question=clean(sweep["question"]),
        state=str(sweep["state"]).lower(),
        answer=[clean(sentence) for sentence in answer if sentence not in rests_on],
        progress=clean(progress),
        details=[clean(sentence) for sentence in details],
        cost=_cost(trials, sweep),
        tables=tables,
        figures=[(one.told, _div(DRAWN[one.kind](*one.arguments), place)) for place, one in enumerate(drawn)],
        methods=[] if written is None else [clean(sentence) for sentence in written.sentences],
        references=[] if written is None else [clean(paper) for paper in written.references],
        gallery={title: [(own.trial, own.image, lines_of(own.text)) for own in of] for title, of in exhibits.items()},
        words=_words(trials[trials["trial"].isin([own.trial for of in exhibits.values() for own in of])], sweep),
        fairness=[clean(sentence) for sentence in rests_on],
        confirms=clean(sweep.get("confirms") or ""),
        best=str(board.iloc[0, 1]).partition("-")[0] if ranks and ranks[0] == 1 else None,
        replicated=SEEDS in board,
        footer=f"{count_of(len(trials), 'trial')}, {len(cells)} of {count_of(len(board), 'row')} shown;"
        " nothing on this page is loaded from elsewhere.",
        plotly=get_plotlyjs(),
    )


def _table(title: str, headings: Sequence[str], cells: Sequence[Sequence[str]], ranks: Sequence[int | None]) -> dict[str, Any]:
    """What the template draws; rows without a rank are set apart."""
    kinds = ["apart" if rank is None else "first" if rank == 1 else "" for rank in ranks]
    return {
        "title": title,
        "headings": [clean(heading) for heading in headings],
        "left": [place for place, heading in enumerate(headings) if heading in ("state", CONFIGURATION)],
        "wide": [place for place, heading in enumerate(headings) if heading == CONFIGURATION],
        "rows": [{"kind": kind, "cells": [clean(cell) for cell in row]} for kind, row in zip(kinds, cells, strict=True)],
    }


def page_of(
    trials: pd.DataFrame,
    sweep: pd.Series[Any],
    *,
    sort: str | None = None,
    top: int | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
) -> str:
    """``render_page`` with all that it needs besides read from the record.

    Raises:
        UnknownColumn: where ``sort`` is no column.
        NoHome, StoreError: as ``open_store``.
    """
    where: dict[str, Any] = {"home": home, "tracking_uri": tracking_uri}
    looked_at = _looked_at(trials, sweep)
    return render_page(
        with_times(trials, sweep, **where),
        sweep,
        _curves(sweep, **where),
        gallery(looked_at, **where),
        sort=sort,
        top=top,
        kl=load_kl(looked_at, **where),
        parameters=trial_of(next(iter(looked_at.values())), **where).parameters if looked_at else None,
    )


def shown_of(
    trials: pd.DataFrame, sweep: pd.Series[Any], *, home: str | Path | None = None, tracking_uri: str | None = None
) -> list[Shown]:
    """``shown`` with all that it needs besides read from the record.

    Raises:
        NoHome, StoreError: as ``open_store``.
    """
    where: dict[str, Any] = {"home": home, "tracking_uri": tracking_uri}
    kl = load_kl(_looked_at(trials, sweep), **where)
    return list(shown(with_times(trials, sweep, **where), sweep, _curves(sweep, **where), kl))


def _looked_at(trials: pd.DataFrame, sweep: pd.Series[Any]) -> dict[int, str]:
    """The run ids of the trials that are looked at closely, by number."""
    best = ranked(grouped(trials, sweep), sweep).query("rank.notna()").head(_SHOWN)
    collapsed = trials[trials["state"] == "COLLAPSED"].head(_COLLAPSED)
    return {row["trial"]: row["run_id"] for table in (best, collapsed) for _, row in table.iterrows()}


def _curves(sweep: pd.Series[Any], **where: Any) -> pd.DataFrame:
    return load_curves(str(sweep["name"]), metrics=[str(sweep["metric"]), *CURVES], **where)


def _cited(one: Shown) -> str:
    """The figure's kind, for the references; none where what the paper is for is not in it."""
    return "" if one.kind == "progress" and one.arguments[0]["random"].isna().all() else one.kind


def _cost(trials: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """What it took: hours by what became of the trials, and how busy as many workers were as the trials needed at once."""
    table = hours_by_state(trials)
    if table.empty:
        return ""
    parts = [f"{row['state'].lower()} {row['share']:.0%}" for _, row in table.iterrows()]
    told = f"They took {_hours(float(table['hours'].sum()))} in all{f' ({listed(parts)})' if len(parts) > 1 else ''}"
    duration = float(sweep.get("duration_s", float("nan")))
    if not {"started", "ended"} <= set(trials.columns) or pd.isna(duration) or duration <= 0:
        return f"{told}."
    most = most_at_once(trials)
    at_once = f"at most {count_of(most, 'trial')} at once"
    return f"{told}, {at_once}, in {_hours(duration / 3600)}: workers were busy {efficiency(trials, sweep, most):.0%} of it."


def _words(trials: pd.DataFrame, sweep: pd.Series[Any]) -> dict[int, str]:
    """What was searched, of each trial."""
    names, plan = [name for name in searched(sweep) if name in trials], plan_of(sweep)
    told = {row["trial"]: configuration(row, names) for _, row in trials.iterrows()}
    if plan is not None:
        among = dict(enumerate(itertools.product(plan.seeds, plan.trials)))
        told = {number: f"{plan.sweep}/{trial} under seed {seed}" for number, (seed, trial) in among.items() if number in told}
    states = dict(zip(trials["trial"], trials["state"], strict=True))
    return {number: clean(f"{'collapsed: ' * (states[number] == 'COLLAPSED')}{text}") for number, text in told.items()}


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _div(figure: go.Figure, place: int) -> str:
    """The figure's place and its data; a text that ends a script cannot stand among them."""
    plain = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    options = json.dumps({"displaylogo": False, "responsive": True})
    draw = f'Plotly.newPlot("figure-{place}", {{...{plain}, config: {options}}})'
    return f'<div id="figure-{place}"></div><script>{draw}</script>'
