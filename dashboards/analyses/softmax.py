"""Softmax approximations: speed against the exact perplexity, and how far the approximate loss is off."""

from __future__ import annotations

import pandas as pd

from dashboards.pareto import can_win

PARAMETER = "model.softmax.kind"
SPEED, PERPLEXITY, GAP = "train/tokens_per_s", "best/val/perplexity", "best/val/softmax_gap"


def speed_against_exactness(trials: pd.DataFrame) -> pd.DataFrame:
    """By softmax, fastest first; no row where the sweep did not search it.

    Columns: ``softmax, trials`` (complete), ``tokens_per_s`` (median), ``times_full`` (over the full softmax's; NaN without
    one), ``perplexity`` (exact; the best), ``median_perplexity``, ``gap`` (approximate minus exact loss of that best, nats).
    """
    columns = ["softmax", "trials", "tokens_per_s", "times_full", "perplexity", "median_perplexity", "gap"]
    if not {PARAMETER, SPEED, PERPLEXITY} <= set(trials.columns):
        return pd.DataFrame(columns=columns)
    complete = trials[can_win(trials) & trials[PERPLEXITY].notna()]
    rows = []
    for softmax, own in complete.groupby(PARAMETER):
        best = own.sort_values(PERPLEXITY, kind="stable").iloc[0]
        gap = float(best[GAP]) if GAP in own else float("nan")
        rows.append((softmax, len(own), own[SPEED].median(), float(best[PERPLEXITY]), own[PERPLEXITY].median(), gap))
    table = pd.DataFrame(rows, columns=[name for name in columns if name != "times_full"])
    full = table.loc[table["softmax"] == "full", "tokens_per_s"]
    table.insert(3, "times_full", table["tokens_per_s"] / (full.iloc[0] if len(full) else float("nan")))
    return table.sort_values("tokens_per_s", ascending=False, ignore_index=True)
