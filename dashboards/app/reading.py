"""What the pages read, each kept until the store has changed: drawn again from a local store, a page reads nothing again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app.settings import settings
from dashboards.confirmation import plan_of
from dashboards.confirmation_words import confirmed, sentences_of
from dashboards.diagnosis import load_kl
from dashboards.errors import UnknownRun, UnknownSweep, nearest
from dashboards.home import sqlite_file
from dashboards.page.answer import answered
from dashboards.page.gallery import Exhibit, gallery
from dashboards.records import load_curves, load_sweeps, load_trials
from dashboards.replicates_words import basis_of
from dashboards.store import open_store
from dashboards.times import with_times
from dashboards.trial import TrialRecord, trial_artifacts, trial_of

REFRESH_S = 5.0
"""How old what is shown may be; of a store that is no file, how often it is asked at most."""

Stamp = tuple[float, ...]
Version = tuple[str, str, Stamp]


@st.cache_data(ttl=REFRESH_S, max_entries=8, show_spinner=False)
def stamp(uri: str) -> Stamp:
    """Changes when the store may have changed."""
    file = sqlite_file(uri)
    if file is None:
        return (time.time(),)
    files = [file, *(file.with_name(file.name + end) for end in ("-wal", "-journal"))]
    return tuple(moment for each in files if each.exists() for moment in (each.stat().st_mtime, float(each.stat().st_size)))


def sweeps() -> pd.DataFrame:
    """``load_sweeps``."""
    return _sweeps(*version())


def sweep_of(name: str) -> pd.Series[Any]:
    """The sweep's row.

    Raises:
        UnknownSweep: with the nearest name.
    """
    every = sweeps()
    found = every[every["name"] == name]
    if found.empty:
        raise UnknownSweep(f"no sweep {name!r}: {nearest(name, set(every['name']))}")
    return found.iloc[-1]


def trials_of(name: str) -> pd.DataFrame:
    """``load_trials`` with the times of each."""
    return _trials(*version(), name)


def curves_of(run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """``load_curves`` of these runs, and of these metrics where any are named."""
    return _curves(*version(), tuple(run_ids), None if metrics is None else tuple(metrics))


def kl_of(trials: dict[int, str]) -> pd.DataFrame:
    """``load_kl``."""
    return _kl(*version(), tuple(trials.items()))


def exhibits_of(trials: dict[int, str]) -> dict[str, list[Exhibit]]:
    """``gallery``."""
    return _exhibits(*version(), tuple(trials.items()))


def artifacts_of(run_id: str, folder: str) -> dict[str, bytes]:
    """The files that a trial keeps in one folder, by name; none where it keeps none, as one that was pruned."""
    return _artifacts(*version(), run_id, folder)


def record_of(run_id: str) -> TrialRecord:
    """``trial_of``."""
    return _record(*version(), run_id)


def experiment() -> str:
    """The id of the experiment in MLflow; empty where nothing was recorded."""
    return _experiment(settings().where.tracking_uri)


def answer_of(trials: pd.DataFrame, sweep: pd.Series[Any]) -> tuple[list[str], str, list[str]]:
    """The sentences that the report has under the question, how far the sweep is, and what else there is to say of both."""
    basis = basis_of(trials, sweep)
    progress, told, details = answered(trials, sweep)
    if (plan := plan_of(sweep)) is not None:
        told, details = [each for each in sentences_of(confirmed(trials, sweep, plan), sweep) if each not in basis], []
    return told, progress, [*details, *basis]


def version() -> Version:
    """Of what is read: the home, its store, and a stamp that changes when the store may have."""
    where = settings().where
    return str(where.root), where.tracking_uri, stamp(where.tracking_uri)


@st.cache_data(max_entries=4, show_spinner="Reading the sweeps …")
def _sweeps(home: str, uri: str, at: Stamp) -> pd.DataFrame:
    return load_sweeps(home=home, tracking_uri=uri)


@st.cache_data(max_entries=12, show_spinner="Reading the trials …")
def _trials(home: str, uri: str, at: Stamp, name: str) -> pd.DataFrame:
    every = _sweeps(home, uri, at)
    trials = load_trials(name, home=home, tracking_uri=uri)
    return with_times(trials, every[every["name"] == name].iloc[-1], home=home, tracking_uri=uri)


@st.cache_data(max_entries=24, show_spinner="Reading the curves …")
def _curves(home: str, uri: str, at: Stamp, run_ids: tuple[str, ...], metrics: tuple[str, ...] | None) -> pd.DataFrame:
    return load_curves(run_ids, metrics=metrics, home=home, tracking_uri=uri)


@st.cache_data(max_entries=12, show_spinner=False)
def _kl(home: str, uri: str, at: Stamp, trials: tuple[tuple[int, str], ...]) -> pd.DataFrame:
    return load_kl(dict(trials), home=home, tracking_uri=uri)


@st.cache_data(max_entries=12, show_spinner=False)
def _exhibits(home: str, uri: str, at: Stamp, trials: tuple[tuple[int, str], ...]) -> dict[str, list[Exhibit]]:
    return gallery(dict(trials), home=home, tracking_uri=uri)


@st.cache_data(max_entries=24, show_spinner=False)
def _record(home: str, uri: str, at: Stamp, run_id: str) -> TrialRecord:
    return trial_of(run_id, home=home, tracking_uri=uri)


@st.cache_data(max_entries=24, show_spinner=False)
def _artifacts(home: str, uri: str, at: Stamp, run_id: str, folder: str) -> dict[str, bytes]:
    record = _record(home, uri, at, run_id)
    with contextlib.suppress(UnknownRun), trial_artifacts(record, folder, home=home, tracking_uri=uri) as directory:
        return {file.name: file.read_bytes() for file in sorted(directory.iterdir()) if file.is_file()}
    return {}


@st.cache_data(ttl=60.0, max_entries=4, show_spinner=False)
def _experiment(uri: str) -> str:
    with open_store(uri) as store:
        return store.experiment_id or ""
