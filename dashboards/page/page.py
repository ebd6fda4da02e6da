"""The page: the question, its answer, then what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.analysis import ranked
from dashboards.page.figures import figures
from dashboards.page.gallery import Exhibit, gallery
from dashboards.records import load_curves
from dashboards.replicates import SEEDS, grouped
from dashboards.replicates import board as board_of
from dashboards.replicates_words import basis_of, sentences
from dashboards.reports import cells_of, clean, lines_of
from dashboards.times import with_times

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_ROWS = 100
"""Of the leaderboard."""
_SHOWN = 4
"""Trials whose samples are shown, the best."""


def render_page(
    trials: pd.DataFrame,
    sweep: pd.Series[Any],
    curves: pd.DataFrame,
    exhibits: Mapping[str, Sequence[Exhibit]],
    *,
    sort: str | None = None,
    top: int | None = None,
    answer: Sequence[str] | None = None,
) -> str:
    """One HTML file that asks nothing of the network.

    Args:
        trials: ``load_trials(name)``.
        sweep: the row of ``load_sweeps()``.
        curves: ``load_curves(name)``.
        exhibits: by title, what the best trials drew.
        sort: the column that orders the leaderboard; None: the sweep's metric.
        top: rows of it at most.
        answer: the sentences under the question; None: those of the leaderboard.

    Raises:
        UnknownColumn: where ``sort`` is no column.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    board = board_of(trials, sweep, sort)
    headings, cells = cells_of(board, sweep, min(top or MOST_ROWS, MOST_ROWS))
    ranks = [None if pd.isna(rank) else int(rank) for rank in board["rank"].head(len(cells))]
    kinds = ["apart" if rank is None else "first" if rank == 1 else "" for rank in ranks]
    if answer is None:
        progress, *found = sentences(trials, sweep)
        answer = [*found, progress]
    rests_on = basis_of(trials, sweep)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    template = environment.from_string(resources.files("dashboards.page").joinpath("report.html").read_text())
    return template.render(
        name=clean(sweep["name"]),
        question=clean(sweep["question"]),
        state=str(sweep["state"]).lower(),
        answer=[clean(sentence) for sentence in answer if sentence not in rests_on],
        headings=[clean(heading) for heading in headings],
        words=[place for place, heading in enumerate(headings) if heading == "state"],
        rows=[{"kind": kind, "cells": [clean(cell) for cell in row]} for kind, row in zip(kinds, cells, strict=True)],
        figures=[(how, _div(figure, place)) for place, (how, figure) in enumerate(figures(trials, sweep, curves))],
        gallery={title: [(shown.trial, shown.image, lines_of(shown.text)) for shown in of] for title, of in exhibits.items()},
        fairness=[clean(sentence) for sentence in rests_on],
        best=str(board.iloc[0, 1]).partition("-")[0] if ranks and ranks[0] == 1 else None,
        replicated=SEEDS in board,
        footer=f"{len(trials)} trials, {len(board)} rows; nothing on this page is loaded from elsewhere.",
        plotly=get_plotlyjs(),
    )


def page_of(
    trials: pd.DataFrame,
    sweep: pd.Series[Any],
    *,
    sort: str | None = None,
    top: int | None = None,
    answer: Sequence[str] | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
) -> str:
    """``render_page`` with all that it needs besides read from the record.

    Raises:
        UnknownColumn: where ``sort`` is no column.
        NoHome, StoreError: as ``open_store``.
    """
    where: dict[str, Any] = {"home": home, "tracking_uri": tracking_uri}
    curves = load_curves(str(sweep["name"]), **where)
    best = ranked(grouped(trials, sweep), sweep).query("rank.notna()").head(_SHOWN)
    shown = gallery(dict(zip(best["trial"], best["run_id"], strict=True)), **where)
    return render_page(with_times(trials, sweep, **where), sweep, curves, shown, sort=sort, top=top, answer=answer)


def _div(figure: go.Figure, place: int) -> str:
    """The figure's place and its data; a text that ends a script cannot stand among them."""
    plain = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    options = json.dumps({"displaylogo": False, "responsive": True})
    draw = f'Plotly.newPlot("figure-{place}", {{...{plain}, config: {options}}})'
    return f'<div id="figure-{place}"></div><script>{draw}</script>'
