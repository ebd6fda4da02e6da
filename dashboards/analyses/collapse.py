"""Collapse by dimension: how the rate is spread over the parts of the code, and how many of them are in use."""

from __future__ import annotations

import pandas as pd

UNUSED = 0.01
"""Nats: a part that carries less says nothing."""
_COLUMNS = {
    "trial": "int64",
    "state": "str",
    "place": "int64",
    "part": "str",
    "kl": "float64",
    "share": "float64",
    "used": "bool",
}


def kl_by_dimension(tables: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Each trial's parts by what they carry, the one with most first; the trials in the order of ``tables``.

    Columns: ``trial, state, place`` (1 for the one with most), ``part`` (its index, or ``all`` where the KL has no closed form),
    ``kl`` (nats an example, on test), ``share`` (of the trial's rate; NaN where it is none), ``used`` (more than ``UNUSED``).

    Args:
        tables: ``load_kl``: ``trial, part, kl``.
        trials: ``load_trials``.
    """
    table = tables.merge(trials[["trial", "state"]].drop_duplicates("trial", keep="last"), on="trial", how="inner")
    order = {trial: place for place, trial in enumerate(dict.fromkeys(tables["trial"]))}
    table = table.assign(order=table["trial"].map(order))
    table = table.sort_values(["order", "kl"], ascending=[True, False], kind="stable", ignore_index=True)
    totals = table.groupby("trial")["kl"].transform("sum")
    table["place"] = table.groupby("trial").cumcount() + 1
    table["share"] = (table["kl"] / totals).where(totals > 0)
    table["used"] = table["kl"] > UNUSED
    return table[list(_COLUMNS)].astype(_COLUMNS)
