"""Which figures a sweep's report has: each where there is something to see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.analyses.annealing import PARAMETER as SCHEDULE
from dashboards.analyses.annealing import by_schedule
from dashboards.analyses.cost import timeline
from dashboards.analyses.effects import effect
from dashboards.analyses.importance import importance
from dashboards.analyses.learning_curves import annealing_ends, learning_curves
from dashboards.analyses.progress import progress
from dashboards.analyses.rate_distortion import iso_elbo, plane
from dashboards.analyses.scores import active, compared, configurations, metric_of
from dashboards.analyses.softmax import speed_against_exactness
from dashboards.analysis import ranked, short_names
from dashboards.figures import posterior, search, training
from dashboards.replicates import grouped

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DROPOUT = "dropout"
_FEW = 8
"""Trials, of which less says nothing about an effect."""


def figures(trials: pd.DataFrame, sweep: pd.Series[Any], curves: pd.DataFrame) -> Iterator[tuple[str, go.Figure]]:
    """Each figure and a sentence on how to read it; of a sweep with seeds the means of its configurations, but for the plane, the
    curves and the times."""
    column = metric_of(sweep, None)
    every, trials = trials, grouped(trials, sweep)
    among = compared(trials, column)
    parameters = active(among, sweep)
    mattered = importance(trials, sweep)
    if len(mattered):
        yield "How much each searched parameter decides who is among the best tenth.", search.importance(mattered, column)
    points = plane(every)
    if len(points) > 1:
        told = "Along a dotted line the ELBO is the same; a collapsed posterior stands at the left, whatever its ELBO."
        yield told, posterior.rate_distortion(points, iso_elbo(points))
    table = learning_curves(curves, every, sweep)
    if len(table):
        group = dict(zip(every["trial"], configurations(every, sweep), strict=True))
        best = list(dict.fromkeys(group[trial] for trial in ranked(trials, sweep).query("rank.notna()")["trial"]))
        told = "The best configurations in colour; a tick where the KL has its full weight for good; pruned ones dotted."
        yield told, training.learning_curves(table, annealing_ends(curves), best[:5], str(sweep["metric"]))
    if len(among) > 2 and parameters:
        told = "A line a trial, coloured by the last axis; hover for its values."
        yield told, search.parallel(among, parameters, short_names(parameters), column)
        steps = progress(trials, sweep)
        yield "Scores in the order of the trials, and the best so far.", search.progress(steps, column)
    speeds = speed_against_exactness(trials)
    if len(speeds) > 1:
        yield (
            "Right and down is better: every softmax is scored by its exact perplexity.",
            training.speed_against_exactness(speeds),
        )
    schedules = by_schedule(trials)
    if len(schedules) > 1 and SCHEDULE in parameters:
        yield "What each schedule left in the code.", posterior.by_schedule(schedules)
    for name in parameters if len(among) >= _FEW else []:
        if name.endswith(_DROPOUT):
            yield (
                "Each level's mean, with its 95 % interval, over whatever else was searched.",
                search.effect(effect(trials, sweep, name), name, column),
            )
    if {"started", "ended"} <= set(every.columns):
        yield "A bar a trial; a lane stands for a worker.", training.timeline(timeline(every))
