"""Schedules of the KL's weight: what each leaves in the code, and how often the posterior collapsed."""

from __future__ import annotations

import pandas as pd

PARAMETER = "objective.annealing.kind"
RATE, UNITS, SCORE = "best/val/rate", "best/val/active_units", "best/val/neg_elbo"


def by_schedule(trials: pd.DataFrame, parameter: str = PARAMETER) -> pd.DataFrame:
    """By schedule (or the levels of another parameter), the one with the least collapse first.

    Columns: ``schedule, trials`` (complete or collapsed), ``collapsed`` (share of them), ``rate, active_units`` (medians over
    both), ``neg_elbo`` (the best complete one's).
    """
    columns = ["schedule", "trials", "collapsed", "rate", "active_units", "neg_elbo"]
    if not {parameter, RATE, UNITS, SCORE} <= set(trials.columns):
        return pd.DataFrame(columns=columns)
    ended = trials[trials["state"].isin(["COMPLETE", "COLLAPSED"]) & trials[parameter].notna()]
    # A collapsed trial that was stopped has no selected epoch: its last one stands for it.
    last = {name: ended[name.removeprefix("best/")] for name in (RATE, UNITS) if name.removeprefix("best/") in ended}
    ended = ended.assign(**{name: ended[name].fillna(values) for name, values in last.items()})
    rows = []
    for schedule, own in ended.groupby(parameter):
        complete = own.loc[own["state"] == "COMPLETE", SCORE]
        collapsed = float((own["state"] == "COLLAPSED").mean())
        rows.append((schedule, len(own), collapsed, own[RATE].median(), own[UNITS].median(), complete.min()))
    return pd.DataFrame(rows, columns=columns).sort_values(["collapsed", "neg_elbo"], ignore_index=True)
