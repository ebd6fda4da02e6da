"""The only writer of MLflow: one run a sweep, below it one run a trial, found again by their tags and never doubled.

Takes the entries of the spool one by one. Each may come again: runs are looked for before they are made, parameters
that are there are left alone, and a metric point that is there is not written twice.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.pictures import FOLDER as PICTURES
from orchestration.pictures import TAG as HAS_PICTURES
from orchestration.tracking.datasets import DATASET, dataset_inputs
from orchestration.tracking.making import alone, make_whole
from orchestration.tracking.mlflow_limits import MAX_PARAM, MAX_TAG, as_text, chunks, cut, cut_all
from orchestration.tracking.model_files import FOLDER, write_model_files
from orchestration.tracking.note import NOTE, fill_in
from orchestration.tracking.outage import is_outage, quiet_mlflow
from orchestration.tracking.view import quoted, view_tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "vae-sweeps"
_TRIAL_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "COLLAPSED": "FINISHED", "FAILED": "FAILED", "STOPPED": "KILLED"}
_SWEEP_STATUS = {"FINISHED": "FINISHED", "INTERRUPTED": "KILLED", "FAILED": "FAILED"}


@dataclass
class _Known:
    """What the store is known to hold of one sweep."""

    name: str
    experiment: str
    parent: str | None = None
    trials: dict[tuple[int, int | None], str] = field(default_factory=dict)
    """Run by trial number and seed."""

    def trial(self, number: int, seed: int | None) -> str | None:
        if seed is not None:
            return self.trials.get((number, seed)) or self.trials.get((number, None))
        return next((run for (known, _), run in reversed(self.trials.items()) if known == number), None)


class Records:
    """Writes the entries of one spool.

    Args:
        uri: of MLflow's store: a database or a server.
        artifact_root: where a database's experiment keeps its artifacts; a server decides that itself.
    """

    def __init__(self, uri: str, artifact_root: Path) -> None:
        self._uri = uri
        self._artifact_root = artifact_root
        self._client: MlflowClient | None = None
        self._known: _Known | None = None
        self._points: dict[str, set[tuple[str, int, float]]] = {}
        """Of each reopened run: (name, step, value) of every metric point."""

    def write(self, entry: Mapping[str, Any]) -> None:
        """Writes one entry.

        Raises:
            Exception: whatever went wrong; ``is_outage`` tells whether to come again with it. Nothing that was
                found in the store before is believed after that.
        """
        write = _WRITERS[entry["op"]]
        try:
            write(self, entry)
        except Exception as error:
            from mlflow.exceptions import MlflowException

            self._known = None
            if not isinstance(error, MlflowException) or is_outage(error):
                raise
            write(self, entry)  # refused, perhaps only since its run was deleted by hand meanwhile

    @property
    def _store(self) -> MlflowClient:
        if self._client is None:
            quiet_mlflow()
            from mlflow import MlflowClient

            with alone(self._uri):
                make_whole(self._uri)
                client = MlflowClient(tracking_uri=self._uri)
                client.get_experiment_by_name(EXPERIMENT)  # the first request makes the tables
            self._client = client
        return self._client

    def _sweep(self, name: str) -> _Known:
        """The sweep's runs, read from the store once."""
        if self._known is None or self._known.name != name:
            known = _Known(name, self._experiment())
            runs = _all_runs(self._store, known.experiment, f"tags.sweep = {quoted(name)}")
            for run in sorted(runs, key=lambda run: run.info.start_time):
                tags = run.data.tags
                if tags.get("kind") == "sweep":
                    known.parent = known.parent or run.info.run_id
                elif tags.get("kind") == "trial" and tags.get("trial.number", "").isdigit():
                    seed = int(tags["seed"]) if tags.get("seed", "").isdigit() else None
                    known.trials.setdefault((int(tags["trial.number"]), seed), run.info.run_id)
            self._known = known
        return self._known

    def _experiment(self) -> str:
        experiment = self._store.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            database = self._uri.split(":")[0].split("+")[0] in ("sqlite", "postgresql", "mysql", "mssql")
            location = str(self._artifact_root.absolute()) if database else None
            return str(self._store.create_experiment(EXPERIMENT, artifact_location=location))
        if experiment.lifecycle_stage == "deleted":
            self._store.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _parent(self, name: str, tags: Mapping[str, str], at: int) -> str:
        known = self._sweep(name)
        if known.parent is None:
            own = {"kind": "sweep", "sweep": name, **tags}
            run = self._store.create_run(known.experiment, start_time=at, tags=own, run_name=name)
            known.parent = run.info.run_id
        return known.parent

    def _trial(self, entry: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[str, bool]:
        """The trial's run, and whether it was there before."""
        name, number, seed = entry["sweep"], entry["trial"], entry["seed"]
        known = self._sweep(name)
        run_id = known.trial(number, seed)
        if run_id is not None:
            return run_id, True
        own = {
            "kind": "trial",
            "mlflow.parentRunId": self._parent(name, {}, entry["at"]),
            "sweep": name,
            "trial.number": str(number),
            "trial.state": "RUNNING",
        }
        if seed is not None:
            own["seed"] = str(seed)
        run = self._store.create_run(
            known.experiment, start_time=entry["at"], tags={**tags, **own}, run_name=f"{name}/{number:03d}"
        )
        known.trials[number, seed] = run.info.run_id
        return str(run.info.run_id), False

    def _write_open(self, entry: Mapping[str, Any]) -> None:
        tags = cut_all(entry["tags"], MAX_TAG)
        known = self._sweep(entry["sweep"])
        found = known.parent is not None
        run_id = self._parent(entry["sweep"], tags, entry["at"])
        if found:
            self._store.update_run(run_id, status="RUNNING")
            self._set_tags(run_id, tags)
        self._store.log_text(run_id, entry["source"], "sweep.yaml")
        self._store.set_experiment_tag(known.experiment, *view_tag(entry["sweep"], entry["tags"], entry["at"]))

    def _write_started(self, entry: Mapping[str, Any]) -> None:
        tags = cut_all(entry["tags"], MAX_TAG)
        run_id, found = self._trial(entry, tags)
        logged: Mapping[str, str] = {}
        if found:
            run = self._store.get_run(run_id)
            logged = run.data.params
            self._points[run_id] = self._history(run)
            self._store.update_run(run_id, status="RUNNING")
            self._set_tags(run_id, {**tags, "trial.state": "RUNNING", "trial.reason": ""})
        params = cut_all({name: as_text(value) for name, value in entry["params"].items()}, MAX_PARAM)
        changed = sorted(name for name in params if name in logged and logged[name] != params[name])
        if changed:  # a parameter cannot be overwritten, and a differing one would have its whole batch refused
            self._set_tags(run_id, {"params.changed": cut(", ".join(changed), MAX_TAG)})
        self._log_params(run_id, {name: value for name, value in params.items() if name not in logged})
        if entry["config"] is not None:
            self._store.log_text(run_id, entry["config"], "config.yaml")
        if entry.get("schedule") is not None:  # its tag may have been cut
            self._store.log_text(run_id, entry["schedule"], "schedule.json")
        if entry.get(DATASET) is not None:  # known by name and digest: the same again adds nothing
            self._store.log_inputs(run_id, datasets=dataset_inputs(json.loads(entry[DATASET])))

    def _write_epoch(self, entry: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, RunTag

        run_id, _ = self._trial(entry, {})
        epoch, at = entry["epoch"], entry["at"]
        written = self._points.get(run_id, set())
        metrics, tags = [], []
        for name, value in entry["metrics"].items():
            if not math.isfinite(value):  # MLflow would store inf as 1.8e308
                tags.append(RunTag(f"nonfinite.{name}", f"{value} at epoch {epoch}"))
            elif (name, epoch, value) not in written:
                metrics.append(Metric(name, value, at, epoch))
        if metrics or tags:
            self._store.log_batch(run_id, metrics=metrics, tags=tags)

    def _write_pictures(self, entry: Mapping[str, Any]) -> None:
        _require_directory(entry)
        run_id, _ = self._trial(entry, {})
        self._store.log_artifacts(run_id, entry["directory"], PICTURES)
        self._set_tags(run_id, {HAS_PICTURES: "True"})

    def _write_artifacts(self, entry: Mapping[str, Any]) -> None:
        _require_directory(entry)
        run_id, _ = self._trial(entry, {})
        self._store.log_artifacts(run_id, entry["directory"])
        with tempfile.TemporaryDirectory() as scratch:
            model = write_model_files(Path(entry["directory"]) / FOLDER, run_id, Path(scratch))
            if model is not None:
                self._store.log_artifacts(run_id, scratch, FOLDER)

    def _write_ended(self, entry: Mapping[str, Any]) -> None:
        run_id, _ = self._trial(entry, {})
        took = {"duration_s": f"{entry['seconds']:.3f}"}
        self._set_tags(run_id, {"trial.state": entry["state"], "trial.reason": cut(entry["reason"], MAX_TAG), **took})
        self._store.set_terminated(run_id, _TRIAL_STATUS[entry["state"]], end_time=entry["at"])

    def _write_note(self, entry: Mapping[str, Any]) -> None:
        run_id = self._parent(entry["sweep"], {}, entry["at"])
        known = self._sweep(entry["sweep"])
        runs = {number: run for (number, _), run in known.trials.items()}
        note = cut(fill_in(entry["markdown"], known.experiment, runs), MAX_TAG)
        self._set_tags(run_id, {NOTE: note, "budget.used": entry.get("budget_used", "")})

    def _write_closed(self, entry: Mapping[str, Any]) -> None:
        run_id = self._parent(entry["sweep"], {}, entry["at"])
        ended_by = cut(entry.get("ended_by", ""), MAX_TAG)  # a spool of an earlier version has none
        self._set_tags(run_id, {"state": entry["state"], "duration_s": f"{entry['seconds']:.3f}", "ended_by": ended_by})
        self._store.set_terminated(run_id, _SWEEP_STATUS[entry["state"]], end_time=entry["at"])

    def _history(self, run: Run) -> set[tuple[str, int, float]]:
        histories = (self._store.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
        return {(point.key, point.step, point.value) for history in histories for point in history}

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for chunk in chunks(list(tags.items())):
            self._store.log_batch(run_id, tags=[RunTag(name, value) for name, value in chunk])

    def _log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        for chunk in chunks(list(params.items())):
            self._store.log_batch(run_id, params=[Param(name, value) for name, value in chunk])


_WRITERS: Mapping[str, Callable[[Records, Mapping[str, Any]], None]] = {
    "open": Records._write_open,
    "started": Records._write_started,
    "epoch": Records._write_epoch,
    "pictures": Records._write_pictures,
    "artifacts": Records._write_artifacts,
    "ended": Records._write_ended,
    "note": Records._write_note,
    "closed": Records._write_closed,
}


def _require_directory(entry: Mapping[str, Any]) -> None:
    if not Path(entry["directory"]).is_dir():  # MLflow would pass over it in silence
        raise FileNotFoundError(f"the artifacts to be kept are gone: {entry['directory']}")


def _all_runs(client: MlflowClient, experiment: str, filter_string: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], filter_string, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs
