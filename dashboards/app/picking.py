"""Which sweep and which trial a page is about: chosen in the sidebar, and held by the address."""

from __future__ import annotations

from typing import Any, TypeVar

import pandas as pd
import streamlit as st

from dashboards.app import reading
from dashboards.app.shown import small
from dashboards.errors import UnknownRun

T = TypeVar("T", str, int)


def pick_sweep() -> pd.Series[Any] | None:
    """The sweep; None where none is chosen yet.

    Raises:
        UnknownSweep: the address names one that is not there.
    """
    asked = st.query_params.get("sweep")
    if asked is not None:
        reading.sweep_of(asked)  # an unknown name would else be dropped in silence
    names = list(dict.fromkeys(reading.sweeps()["name"].iloc[::-1]))
    name = _picked("sweep", "Sweep", names, asked)
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
    number = _picked("trial", "Trial", numbers, None if asked is None else int(asked))
    if number is None:
        small("Choose a trial at the left.")
        return None
    row: pd.Series[Any] = trials[trials["trial"] == number].iloc[-1]
    return row


def _picked(name: str, label: str, options: list[T], asked: T | None) -> T | None:
    """A box in the sidebar that shows what the address asks for, and writes into it what is chosen.

    Streamlit's own binding forgets the address on the way from a page to the next that has the same box.
    """
    with st.sidebar:
        index = options.index(asked) if asked in options else None
        key = f"{name} {asked}"  # another box where the address asks for another
        chosen = st.selectbox(label, options, index=index, key=key, placeholder="choose one", filter_mode="contains")
    if chosen != asked:
        if chosen is None:
            del st.query_params[name]
        else:
            st.query_params[name] = str(chosen)
        st.rerun()
    return chosen
