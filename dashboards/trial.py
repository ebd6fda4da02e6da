"""One trial as it was recorded: found by a name that a person types, with its parameters, scores and files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dashboards.analysis import ranked, selected_metric
from dashboards.errors import UnknownRun, UnknownSweep
from dashboards.home import resolve_home
from dashboards.pareto import several_metrics
from dashboards.records import load_trials, sweep_row
from dashboards.replicates import grouped, seeds_of
from dashboards.run_columns import unclipped
from dashboards.schedules import last_parameters
from dashboards.store import open_store, tag_of


@dataclass(frozen=True)
class TrialRecord:
    """What MLflow holds of one trial."""

    run_id: str
    sweep: str
    number: int
    parameters: dict[str, str]
    """The flat config, values as logged; those that a population changed as the trial ended with them."""
    metrics: dict[str, float]
    """The last value of each."""
    tags: dict[str, str]

    @property
    def knows_labels(self) -> bool:
        """Whether its model decodes, or draws codes, by a label."""
        conditional = any(name.startswith("model.condition") and at != "null" for name, at in self.parameters.items())
        return conditional or self.parameters.get("model.prior.kind") == "label"


def find_trial(run: str, *, home: str | Path | None = None, tracking_uri: str | None = None) -> TrialRecord:
    """Finds a trial by ``SWEEP/NUMBER``, by ``SWEEP``, or by MLflow's run id.

    A sweep stands for the first trial of its leaderboard, or with seeds for the best trial of the best configuration;
    where none is complete, for the best collapsed one.

    Raises:
        UnknownRun, UnknownSweep: nothing is so called; with the nearest name.
        NoHome, StoreError: as ``open_store``.
    """
    sweep, slash, number = run.partition("/")
    run_id = _by_number(sweep, number, home, tracking_uri) if slash else _best_or_id(run, home, tracking_uri)
    return trial_of(run_id, home=home, tracking_uri=tracking_uri)


def trial_of(run_id: str, *, home: str | Path | None = None, tracking_uri: str | None = None) -> TrialRecord:
    """The trial whose run has this id, which must be there.

    Raises:
        NoHome, StoreError: as ``open_store``.
    """
    with open_store(resolve_home(home, tracking_uri).tracking_uri) as store:
        found = store.client.get_run(run_id)
    return TrialRecord(
        run_id=run_id,
        sweep=tag_of(found, "sweep"),
        number=int(tag_of(found, "trial.number")),
        parameters=last_parameters(found.data.tags, found.data.params),
        metrics={name: unclipped(value) for name, value in found.data.metrics.items()},
        tags=dict(found.data.tags),
    )


def _by_number(sweep: str, number: str, home: str | Path | None, tracking_uri: str | None) -> str:
    trials = load_trials(sweep, home=home, tracking_uri=tracking_uri)
    found = trials[trials["trial"] == int(number)] if number.isdecimal() else trials.iloc[:0]
    if found.empty:
        has = f"its trials are {trials['trial'].min()} to {trials['trial'].max()}" if len(trials) else "it has none yet"
        raise UnknownRun(f"the sweep {sweep!r} has no trial {number!r}; {has}")
    return str(found["run_id"].iloc[-1])


def _best_or_id(run: str, home: str | Path | None, tracking_uri: str | None) -> str:
    try:
        sweep = sweep_row(run, home=home, tracking_uri=tracking_uri)
    except UnknownSweep as unknown:
        with open_store(resolve_home(home, tracking_uri).tracking_uri) as store:
            if store.runs("trial", run_ids=[run]):
                return run
        raise UnknownRun(f"no trial's run has the id {run!r}, and there is {unknown}") from None
    trials = load_trials(run, home=home, tracking_uri=tracking_uri)
    best = ranked(grouped(trials, sweep), sweep).query("rank == 1")
    if best.empty:  # a collapsed trial never wins, but it is scored, and worth a look
        trials = trials.replace({"state": {"COLLAPSED": "COMPLETE"}})
        best = ranked(grouped(trials, sweep), sweep).query("rank == 1")
    if best.empty:
        one = f"; name one by its number: {run}/{trials['trial'].iloc[0]}" if len(trials) else ", for it has none at all"
        raise UnknownRun(f"the sweep {run!r} has no complete trial with {selected_metric(sweep['metric'])} yet{one}")
    if len(best) > 1 and several_metrics(sweep):
        numbers = ", ".join(f"{run}/{number}" for number in best["trial"])
        raise UnknownRun(f"the sweep {run!r} searched on several metrics and has no one best trial; its Pareto set: {numbers}")
    configuration = trials["trial"] // seeds_of(sweep) == best["trial"].iloc[0] // seeds_of(sweep)
    return str(ranked(trials[configuration], sweep)["run_id"].iloc[0])


@contextmanager
def trial_artifacts(
    record: TrialRecord, path: str, *, home: str | Path | None = None, tracking_uri: str | None = None
) -> Iterator[Path]:
    """A trial's artifact or folder of artifacts as a local path, for as long as the context lasts.

    Raises:
        UnknownRun: the trial has no such artifact, as one that was pruned or failed.
        NoHome, StoreError: as ``open_store``.
    """
    with open_store(resolve_home(home, tracking_uri).tracking_uri) as store, tempfile.TemporaryDirectory() as scratch:
        parent = path.rpartition("/")[0]
        present = {file.path for file in store.client.list_artifacts(record.run_id, parent or None)}
        if path not in present:
            state = record.tags.get("trial.state", "unknown")
            raise UnknownRun(f"trial {record.sweep}/{record.number} ({state}) has no {path}: only a complete trial keeps it")
        yield Path(store.client.download_artifacts(record.run_id, path, scratch))
