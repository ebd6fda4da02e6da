"""Which sweep and which trial a page is about: chosen in the sidebar, and held by the address."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app import reading
from dashboards.app.shown import small
from dashboards.errors import UnknownRun


def pick_sweep() -> pd.Series[Any] | None:
    """The sweep; None where none is chosen yet.

    Raises:
        UnknownSweep: the address names one that is not there.
    """
    asked = st.query_params.get("sweep")
    if asked is not None:
        reading.sweep_of(asked)  # an unknown name would else be dropped in silence
    names = list(dict.fromkeys(reading.sweeps()["name"].iloc[::-1]))
    with st.sidebar:
        name = st.selectbox(
            "Sweep", names, index=None, key="sweep", bind="query-params", placeholder="choose one", filter_mode="contains"
        )
    if name is None:
        small("Choose a sweep at the left." if names else "Nothing is recorded here yet: vae-sweeps run SWEEP.yaml")
        return None
    return reading.sweep_of(str(name))


def pick_trial(trials: pd.DataFrame) -> pd.Series[Any] | None:
    """A row of the sweep's trials; None where none is chosen yet.

    Raises:
        UnknownRun: the address names one that is not there.
    """
    numbers = sorted(set(trials["trial"]))
    asked = st.query_params.get("trial")
    if asked is not None and asked not in set(map(str, numbers)):
        span = f"its trials are {numbers[0]} to {numbers[-1]}" if numbers else "it has none yet"
        raise UnknownRun(f"this sweep has no trial {asked!r}; {span}")
    with st.sidebar:
        number = st.selectbox("Trial", numbers, index=None, key="trial", bind="query-params", placeholder="choose one")
    if number is None:
        small("Choose a trial at the left.")
        return None
    row: pd.Series[Any] = trials[trials["trial"] == number].iloc[-1]
    return row
