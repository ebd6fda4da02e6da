"""Whether scores are a random sample of what was searched, which intervals and tests take them for; if not, why in words."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.words import listed

_WITHOUT_A_SCORE = ("PRUNED", "COLLAPSED")


def survivors(trials: pd.DataFrame) -> str:
    """Why the scored trials are no longer those that were drawn; empty where they are."""
    if "schedule" in trials:
        return "trials went on from others' weights"
    gone = [state.lower() for state in _WITHOUT_A_SCORE if (trials["state"] == state).any()]
    return f"{listed(gone)} ones are left out" if gone else ""


def no_random_sample(trials: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """Why the scores are no random sample of the space; empty where they are one."""
    return survivors(trials) if sweep["method"] == "random" else f"drawn by {sweep['method']}"
