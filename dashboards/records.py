"""The records of sweeps as pandas frames.

Frames are typed, also where they have no row. A number that was never logged is NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dashboards.analysis import selected_metric
from dashboards.errors import StoreError, UnknownRun, UnknownSweep, nearest
from dashboards.home import resolve_home
from dashboards.pareto import VIOLATION
from dashboards.replicates import CONFIGURATION, best_mean
from dashboards.run_columns import frame_of, metric_column, metric_names, parameter_column, unclipped_values, variant_column
from dashboards.runs import Run
from dashboards.schedules import TAG as SCHEDULE
from dashboards.store import Store, open_store, tag_of
from dashboards.variants import variant_columns

_SWEEP_TYPES = {
    "name": "str",
    "state": "str",
    "question": "str",
    "trials": "int64",
    "best": "float64",
    "started": "datetime64[ms, UTC]",
    "duration_s": "float64",
    "metric": "str",
    "goal": "str",
    "method": "str",
    "run_cap": "Int64",
    "parameters": "str",
    "variants": "str",
    "run_id": "str",
    "metrics": "str",
    "outcome_constraints": "str",
    "confirms": "str",
    "confirms_plan": "str",
    "ended_by": "str",
    "budget_used": "str",
    "seeds": "int64",
}
_TRIAL_TYPES = {
    "run_id": "str",
    "trial": "int64",
    "state": "str",
    "reason": "str",
    "seed": "Int64",
    "duration_s": "float64",
    "epochs": "int64",
}
_CURVE_TYPES = {"run_id": "str", "trial": "int64", "epoch": "int64", "step": "Int64", "metric": "str", "value": "float64"}
_PROVENANCE_TAGS = ("config.fingerprint", "data.fingerprint", "git.commit", "threads", "torch", "scores")
_PROVENANCE_PARAMETERS = (
    "training.epochs",
    "training.patience",
    "evaluation.importance_samples",
    "evaluation.importance_examples",
)
_STEP = "train/step"
"""The metric that every epoch logs: the optimiser's steps so far."""


def load_sweeps(*, home: str | Path | None = None, tracking_uri: str | None = None) -> pd.DataFrame:
    """A row a sweep, oldest first.

    Columns: ``name, state, question, trials`` (their number), ``best`` (the best value of the sweep's metric among complete
    trials), ``started, duration_s`` (NaN until it ended); then ``metric, goal, method, run_cap, parameters`` (a JSON list of
    the searched dotted names), ``variants`` (JSON: what each parameter with variants sets, by its name), ``run_id``;
    ``metrics, outcome_constraints`` (JSON lists, where there are several or any; with several metrics ``best`` is NaN, see
    ``dashboards.pareto``); ``confirms, confirms_plan`` (of a confirmation: the sweep, and JSON; else empty); ``ended_by``
    (empty while it runs), ``budget_used`` (in words, as of the last trial's end),
    ``seeds`` (of each configuration; above 1 ``best`` is the best mean of one, see ``dashboards.replicates``).

    Raises:
        NoHome, StoreError: as ``open_store``.
    """
    with open_store(resolve_home(home, tracking_uri).tracking_uri) as store:
        parents = store.runs("sweep")
        children: dict[str, list[Run]] = {parent.info.run_id: [] for parent in parents}
        for run in store.runs("trial", params=False):
            children.get(run.data.tags.get("mlflow.parentRunId", ""), []).append(run)
    rows = [_sweep_row(parent, children[parent.info.run_id]) for parent in parents]
    return frame_of(rows, _SWEEP_TYPES)


def sweep_row(name: str, *, home: str | Path | None = None, tracking_uri: str | None = None) -> pd.Series[Any]:
    """The sweep's row of ``load_sweeps``: that of the sweep that ``load_trials`` reads.

    Raises:
        UnknownSweep: with the nearest name.
        NoHome, StoreError: as ``open_store``.
    """
    sweeps = load_sweeps(home=home, tracking_uri=tracking_uri)
    found = sweeps[sweeps["name"] == name]
    if found.empty:
        raise UnknownSweep(f"no sweep {name!r}: {nearest(name, set(sweeps['name']))}")
    return found.iloc[-1]


def load_trials(sweep: str, *, home: str | Path | None = None, tracking_uri: str | None = None) -> pd.DataFrame:
    """A row a trial of the sweep, by number.

    Columns: ``run_id, trial, state, reason, seed`` (missing where a trial failed before it had a config), ``duration_s`` (NaN
    until it ended), ``epochs`` (done); after ``trial``, with seeds, its ``configuration``; a column a searched parameter under
    its dotted name (missing where a conditional one is
    not active, or its value is null; a list stays JSON), and before what variants set, under the parameter's name, which it
    was; of a population's trials, whose parameters are those that they ended with, ``schedule`` (JSON); a column a metric under
    its name, the last value of each: ``best/``, ``test/``, ``val/``, ``train/``; and what
    comparability rests on: fingerprints, commit, threads, torch, planned epochs, patience, importance samples.

    Raises:
        UnknownSweep: with the nearest name.
        NoHome, StoreError: as ``open_store``.
    """
    with open_store(resolve_home(home, tracking_uri).tracking_uri) as store:
        parent = _find_sweep(store, sweep)
        runs = _trials_of(store, parent)
    frame = frame_of([_trial_row(run) for run in runs], _TRIAL_TYPES)
    if (seeds := _seeds(parent)) > 1 and CONFIGURATION not in _variants(parent):
        frame.insert(2, CONFIGURATION, frame["trial"] // seeds)
    if frame["seed"].notna().all():
        frame["seed"] = frame["seed"].astype("int64")
    searched = [name for name in _searched(parent) if name not in frame]
    provenance = [name for name in _PROVENANCE_PARAMETERS if name not in searched]
    columns: dict[str, pd.Series[Any]] = {name: variant_column(runs, name) for name in _variants(parent) if name not in frame}
    columns |= {name: parameter_column(runs, name) for name in searched}
    if any(SCHEDULE in run.data.tags for run in runs):
        columns[SCHEDULE] = pd.Series([run.data.tags.get(SCHEDULE) for run in runs], dtype="str")
    columns |= {name: metric_column(runs, name) for name in metric_names(runs)}
    columns |= {name: pd.Series([run.data.tags.get(name) for run in runs], dtype="str") for name in _PROVENANCE_TAGS}
    columns |= {name: parameter_column(runs, name) for name in provenance}
    frame = pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)
    return frame.sort_values("trial", kind="stable", ignore_index=True)


def load_curves(
    sweep: str | Sequence[str],
    *,
    metrics: Sequence[str] | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
) -> pd.DataFrame:
    """What the trials of a sweep, or the runs of the given ids, logged at each epoch, in long form; of all metrics, or of these.

    Columns: ``run_id, trial, epoch, step, metric, value``; ``step`` counts the optimiser's steps. Where an epoch was logged
    twice (a trial that went on from a checkpoint), the later value stands. ``best/`` and ``test/`` are no curves: they are in
    ``load_trials``.

    Raises:
        UnknownSweep, UnknownRun: with the nearest name.
        NoHome, StoreError: as ``open_store``.
    """
    with open_store(resolve_home(home, tracking_uri).tracking_uri) as store:
        runs = _trials_of(store, _find_sweep(store, sweep)) if isinstance(sweep, str) else _find_runs(store, sweep)
        names = [name for name in metric_names(runs) if not name.startswith(("best/", "test/"))]
        wanted = names if metrics is None else [name for name in names if name in metrics]
        asked = sorted({*wanted, *({_STEP} & set(names))})  # so that places stand in the order of the names
        runs.sort(key=lambda run: (_number(run), run.info.run_id))
        points = store.history([run.info.run_id for run in runs], asked)
    points = points.sort_values(["run", "metric", "epoch", "timestamp"], ignore_index=True)
    points = points.drop_duplicates(["run", "metric", "epoch"], keep="last", ignore_index=True)
    points["value"] = unclipped_values(points["value"])
    if _STEP in asked:
        steps = points[points["metric"] == asked.index(_STEP)].rename(columns={"value": "step"})[["run", "epoch", "step"]]
        points = points.merge(steps, on=["run", "epoch"], how="left")
    if _STEP in asked and _STEP not in wanted:
        points = points[points["metric"] != asked.index(_STEP)]
    return pd.DataFrame(
        {
            "run_id": _taken([run.info.run_id for run in runs], points["run"], "str"),
            "trial": _taken([_number(run) for run in runs], points["run"], "int64"),
            "epoch": points["epoch"].array,
            "step": (points["step"] if "step" in points else pd.Series(pd.NA, points.index)).astype("Int64").array,
            "metric": _taken(asked, points["metric"], "str"),
            "value": points["value"].array,
        }
    ).astype(_CURVE_TYPES)


def _taken(values: Sequence[Any], places: pd.Series[int], kind: str) -> pd.api.extensions.ExtensionArray:
    """The values at these places: a column of millions is made of few strings."""
    return pd.Series(values, dtype=kind).take(places.to_numpy()).array


def _find_sweep(store: Store, name: str) -> Run:
    """The sweep's run; the newest where there are several. Names are compared here: a filter string cannot quote all of them."""
    parents = store.runs("sweep")
    found = [parent for parent in parents if tag_of(parent, "sweep") == name]
    if not found:
        raise UnknownSweep(f"no sweep {name!r}: {nearest(name, {tag_of(parent, 'sweep') for parent in parents})}")
    return found[-1]


def _find_runs(store: Store, run_ids: Sequence[str]) -> list[Run]:
    runs = {run.info.run_id: run for run in store.runs("trial", run_ids=list(run_ids))}
    if missing := [run_id for run_id in run_ids if run_id not in runs]:
        known = [run.info.run_id for run in store.runs("trial", params=False)]
        raise UnknownRun(f"no trial has the run id {missing[0]!r}: {nearest(missing[0], known, shown=3)}")
    return [runs[run_id] for run_id in dict.fromkeys(run_ids)]


def _trials_of(store: Store, parent: Run) -> list[Run]:
    return store.runs("trial", parent=parent.info.run_id)


def _sweep_row(parent: Run, trials: list[Run]) -> dict[str, Any]:
    tags = parent.data.tags
    metric, goal = tag_of(parent, "metric.name"), tag_of(parent, "metric.goal")
    complete = [trial for trial in trials if _state(trial, "trial.state") == "COMPLETE"]
    state = _state(parent, "state")
    cap = tags.get("run_cap", "")
    return {
        "name": tag_of(parent, "sweep"),
        "state": state,
        "question": tags.get("question", ""),
        "trials": len(trials),
        "best": math.nan if "metrics" in tags else _best(_feasible(complete), metric, goal, _seeds(parent)),
        "started": pd.Timestamp(parent.info.start_time, unit="ms", tz="UTC"),
        "duration_s": _duration(parent, state),
        "metric": metric,
        "goal": goal,
        "method": tags.get("method", ""),
        "run_cap": int(cap) if cap.isdecimal() else None,
        "parameters": json.dumps(_searched(parent)),
        "variants": tags.get("variants", ""),
        "run_id": parent.info.run_id,
        "metrics": tags.get("metrics", ""),
        "outcome_constraints": tags.get("outcome_constraints", ""),
        "confirms": tags.get("confirms", ""),
        "confirms_plan": tags.get("confirms.plan", ""),
        "ended_by": tags.get("ended_by", ""),
        "budget_used": tags.get("budget.used", ""),
        "seeds": _seeds(parent),
    }


def _trial_row(run: Run) -> dict[str, Any]:
    state = _state(run, "trial.state")
    return {
        "run_id": run.info.run_id,
        "trial": _number(run),
        "state": state,
        "reason": run.data.tags.get("trial.reason", ""),
        "seed": int(run.data.tags["seed"]) if "seed" in run.data.tags else None,
        "duration_s": _duration(run, state),
        "epochs": run.data.steps.get(_STEP, 0),
    }


def _best(trials: list[Run], metric: str, goal: str, seeds: int) -> float:
    return best_mean([_number(trial) for trial in trials], metric_column(trials, selected_metric(metric)), seeds, goal)


def _seeds(parent: Run) -> int:
    """Of each configuration; 1 where the record is silent."""
    text = parent.data.tags.get("seeds", "1")
    if not text.isdecimal() or int(text) < 1:
        raise StoreError(f"the tag 'seeds' of the run {parent.info.run_id} is no number of seeds: {text[:80]!r}")
    return int(text)


def _feasible(trials: list[Run]) -> list[Run]:
    return [trial for trial in trials if not trial.data.metrics.get(VIOLATION, 0.0) > 0]


def _state(run: Run, tag: str) -> str:
    """The state that the tag tells; MLflow's own word where it is missing, which is none of ours and so shows."""
    return str(run.data.tags.get(tag) or run.info.status)


def _number(run: Run) -> int:
    return int(tag_of(run, "trial.number"))


def _searched(parent: Run) -> list[str]:
    text = tag_of(parent, "parameters")
    try:
        return [str(name) for name in json.loads(text)]
    except ValueError as error:
        raise StoreError(f"the tag 'parameters' of the run {parent.info.run_id} is no JSON list ({error}): {text[:80]}") from None


def _variants(parent: Run) -> dict[str, list[str]]:
    text = parent.data.tags.get("variants", "")
    try:
        return variant_columns(text)
    except (ValueError, AttributeError, TypeError) as error:
        raise StoreError(f"the tag 'variants' of the run {parent.info.run_id} is no JSON of names: {text[:80]}") from error


def _duration(run: Run, state: str) -> float:
    """Seconds that it took, NaN while it runs: the tag's, which leaves out the pauses between attempts, else end - start."""
    if state == "RUNNING":  # a run opened again keeps its old end
        return math.nan
    if (text := run.data.tags.get("duration_s")) is not None:
        try:
            return float(text)
        except ValueError:
            raise StoreError(f"the tag 'duration_s' of the run {run.info.run_id} is no number: {text[:80]!r}") from None
    return math.nan if run.info.end_time is None else (run.info.end_time - run.info.start_time) / 1000
