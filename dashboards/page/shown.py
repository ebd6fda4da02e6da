"""Which analyses of a sweep have something to show, with what each is drawn from: for the page, and for a paper's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboards.analyses.annealing import PARAMETER as SCHEDULE
from dashboards.analyses.annealing import by_schedule
from dashboards.analyses.collapse import kl_by_dimension
from dashboards.analyses.cost import hours_by_state, timeline
from dashboards.analyses.effects import effect
from dashboards.analyses.importance import importance
from dashboards.analyses.learning_curves import annealing_ends, learning_curves
from dashboards.analyses.progress import progress
from dashboards.analyses.rate_distortion import iso_elbo, plane
from dashboards.analyses.scores import active, compared, configurations, metric_of
from dashboards.analyses.seeds import paired
from dashboards.analyses.slices import contour, pair, slices
from dashboards.analyses.softmax import speed_against_exactness
from dashboards.analysis import goal_of, ranked, short_names
from dashboards.confirmation import plan_of
from dashboards.confirmation_words import confirmed
from dashboards.replicates import grouped
from dashboards.schedules import DONOR
from dashboards.words import count_of

CURVES = ("train/beta", DONOR)
"""What the figures want of ``load_curves`` besides the sweep's own metric."""
_DROPOUT = "dropout"
_FEW = 8
"""Trials, of which less says nothing about an effect."""
_MOST = 300
"""Curves and lines that are drawn besides the best; of more, evenly chosen ones."""


@dataclass(frozen=True)
class Shown:
    """One figure: its kind, how it is read, and what its drawing function takes."""

    kind: str
    told: str
    arguments: tuple[Any, ...]
    part: str = ""
    """What tells it from others of its kind."""


def shown(trials: pd.DataFrame, sweep: pd.Series[Any], curves: pd.DataFrame, kl: pd.DataFrame | None = None) -> Iterator[Shown]:
    """Each figure of a sweep; of one with seeds the means of its configurations, but for the plane, the curves and the times.

    Args:
        trials: ``load_trials(name)``, ``with_times`` where they are known.
        sweep: the row of ``load_sweeps()``.
        curves: ``load_curves(name)``, at least of the sweep's metric and ``CURVES``.
        kl: ``load_kl`` of the trials that are looked at closely.
    """
    plan = plan_of(sweep)
    column = metric_of(sweep, None)
    every, trials = trials, grouped(trials, sweep)
    among = compared(trials, column)
    # what a confirmation trains was chosen: there is no search to look at
    parameters = active(among, sweep) if plan is None else []
    mattered = importance(trials, sweep) if plan is None else pd.DataFrame()
    if len(mattered):
        yield Shown("importance", "How much each searched parameter decides who is among the best tenth.", (mattered, column))
    told = "Each configuration against the best under the same seeds; an open circle cannot be told apart from it."
    if plan is not None:  # on test: one on validation beside it could name another best
        found = confirmed(every, sweep, plan)
        table = found.comparisons.assign(words=found.comparisons["configuration"].map(found.words))
        if (table["pairs"] > 0).any():
            yield Shown("seeds", told, (table, found.metric))
    elif len(differences := paired(every, sweep)):
        fairer = " These seeds also chose the best: a confirmation under fresh ones is fairer."
        yield Shown("seeds", told + fairer, (differences, column))
    points = plane(every)
    if len(points) > 1:
        told = "Along a dotted line −ELBO is the number at its upper end; a collapsed posterior has next to no rate."
        yield Shown("rate_distortion", told, (points, iso_elbo(points)))
    table = learning_curves(curves, every, sweep)
    if len(table):
        group = dict(zip(every["trial"], configurations(every, sweep), strict=True))
        best = list(dict.fromkeys(group[trial] for trial in ranked(trials, sweep).query("rank.notna()")["trial"]))[:5]
        table, left = _fewer(table, best)
        metric, ends = str(sweep["metric"]), annealing_ends(curves)
        if plan is not None:  # under the numbers that the answer has
            own = {number: plan.trials[number % len(plan.trials)] for number in table["configuration"].unique()}
            table, ends = table.assign(configuration=table["configuration"].map(own)), ends[ends.index.isin(own)].rename(own)
            best = [own[number] for number in best if number in own]
        told = "The best configurations in colour; a tick where the KL has its full weight for good; those dotted are not ranked."
        yield Shown("learning_curves", told + left, (table, ends, best, metric, goal_of(metric, sweep)))
    if kl is not None and len(kl):
        told = "What each part of the code carries; a part below 0.01 nats is not in use."
        yield Shown("kl_by_dimension", told, (kl_by_dimension(kl, every),))
    if len(among) > 2 and parameters:
        some = ranked(among, sweep).head(_MOST).drop(columns="rank") if len(among) > _MOST else among
        told = "A line a trial, coloured by the last axis; hover for its values."
        told += f" The best {_MOST} of {len(among)}." if len(among) > _MOST else ""
        unranked = len(trials) - len(among)
        out = f" Not among them: {count_of(unranked, 'trial')} that cannot be ranked." if unranked else ""
        told += out
        yield Shown("parallel", told, (some, parameters, short_names(parameters), column))
        yield Shown("slices", f"Each trial's score by each parameter that it has.{out}", (slices(trials, sweep), column))
        ordered = list(mattered["parameter"]) if len(mattered) else parameters
        if (both := pair(trials, sweep, ordered)) is not None:
            told = "Means of the trials, or a surface through them, over whatever else was searched."
            yield Shown("contour", told, (contour(trials, sweep, *both), *both, column))
        yield Shown("progress", "Scores in the order of the trials, and the best so far.", (progress(trials, sweep), column))
    speeds = speed_against_exactness(trials)
    if len(speeds) > 1:
        told = "Right and down is better: every softmax is scored by its exact perplexity."
        yield Shown("speed_against_exactness", told, (speeds,))
    schedules = by_schedule(trials)
    if len(schedules) > 1 and SCHEDULE in parameters:
        yield Shown("by_schedule", "What each schedule left in the code.", (schedules,))
    for name in parameters if len(among) >= _FEW else []:
        if name.endswith(_DROPOUT):
            told = "Each level's mean, with its 95 % interval, over whatever else was searched."
            yield Shown("effect", told, (effect(trials, sweep, name), name, column), part=name)
    hours = hours_by_state(every)
    if len(hours) > 1:
        yield Shown("hours", "Hours in trials, by what became of them.", (hours,))
    if {"started", "ended"} <= set(every.columns):
        lanes = timeline(every)
        named = "in the lane of the worker that trained it" if (lanes["worker"] != "").any() else "in a lane that was free"
        yield Shown("timeline", f"A bar a trial, {named}.", (lanes,))


def _fewer(table: pd.DataFrame, best: list[int]) -> tuple[pd.DataFrame, str]:
    """Of too many curves the best and evenly chosen others, and a word that says so."""
    others = [number for number in dict.fromkeys(table["configuration"]) if number not in best]
    if len(others) <= _MOST:
        return table, ""
    kept = {*best, *others[:: -(-len(others) // _MOST)]}
    return table[table["configuration"].isin(kept)], f" {len(kept)} of {len(others) + len(best)} configurations are drawn."
