"""The only writer of MLflow: one run a sweep, below it one run a trial, found again by their tags and never doubled.

Takes the entries of the spool, those of one trial that wait together as one. Each may come again: runs are looked for before
they are made, parameters that are there are left alone, and a metric point that is there is not written twice.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.patience import no_room
from orchestration.pictures import FOLDER as PICTURES
from orchestration.pictures import TAG as HAS_PICTURES
from orchestration.tracking.datasets import DATASET, dataset_inputs
from orchestration.tracking.making import alone, make_whole, write_ahead
from orchestration.tracking.mlflow_limits import MAX_PARAM, MAX_TAG, as_text, batches, cut, cut_all
from orchestration.tracking.model_files import FOLDER, write_model_files
from orchestration.tracking.note import NOTE, fill_in, with_links_of
from orchestration.tracking.outage import is_outage, quiet_mlflow
from orchestration.tracking.story import OF_TRIALS, Entry, Point, Story, story_of
from orchestration.tracking.view import quoted, view_tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

EXPERIMENT = "vae-sweeps"
NO_MODEL = "model.undescribed"
"""The tag of a run whose checkpoint MLflow cannot load, with the reason."""
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
        self._roots: dict[str, str] = {}
        """Where each run that is under way keeps its artifacts."""
        self._log: Path | None = None
        """The write-ahead log of an SQLite database that has one."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes one entry, or several of one trial that ``story.together`` has put together.

        Raises:
            Exception: whatever went wrong; ``is_outage`` tells whether to come again with it. Nothing that was
                found in the store before is believed after that.
        """
        try:
            self._write(entries)
        except Exception as error:
            from mlflow.exceptions import MlflowException

            self._known = None
            if not isinstance(error, MlflowException) or is_outage(error):
                raise
            self._write(entries)  # refused, perhaps only since its run was deleted by hand meanwhile

    def _write(self, entries: Sequence[Entry]) -> None:
        if entries[0]["op"] in OF_TRIALS:
            self._write_story(story_of(entries))
        else:
            _WRITERS[entries[0]["op"]](self, entries[0])

    def settle(self) -> None:
        """What was written survives a power cut from here on; of a server that is its own affair."""
        if self._log is not None and self._log.exists():
            with self._log.open("rb") as log:
                os.fdatasync(log.fileno())

    def close(self) -> None:
        """Closes the connections to a database, which are made again where they are needed."""
        from dashboards.store import let_go

        if self._client is not None:
            let_go(self._uri)

    @property
    def _store(self) -> MlflowClient:
        if self._client is None:
            quiet_mlflow()
            from mlflow import MlflowClient

            with alone(self._uri):
                make_whole(self._uri)
                client = MlflowClient(tracking_uri=self._uri)
                client.get_experiment_by_name(EXPERIMENT)  # the first request makes the tables
                self._log = write_ahead(self._uri, client)
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

    def _trial(self, entry: Entry, tags: Mapping[str, str]) -> tuple[str, bool]:
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
        }
        if seed is not None:
            own["seed"] = str(seed)
        run = self._store.create_run(
            known.experiment,
            start_time=entry["at"],
            tags={"trial.state": "RUNNING", **tags, **own},
            run_name=f"{name}/{number:03d}",
        )
        known.trials[number, seed] = run.info.run_id
        self._roots[run.info.run_id] = run.info.artifact_uri
        return str(run.info.run_id), False

    def _write_open(self, entry: Entry) -> None:
        tags = cut_all(entry["tags"], MAX_TAG)
        known = self._sweep(entry["sweep"])
        found = known.parent is not None
        run_id = self._parent(entry["sweep"], tags, entry["at"])
        if found:
            self._store.update_run(run_id, status="RUNNING")
            self._set_tags(run_id, tags)
        self._store.log_text(run_id, entry["source"], "sweep.yaml")
        self._store.set_experiment_tag(known.experiment, *view_tag(entry["sweep"], entry["tags"], entry["at"]))

    def _write_story(self, story: Story) -> None:
        started, ended = story.started, story.ended
        tags = cut_all(dict(started["tags"]), MAX_TAG) if started is not None else {}
        pictured = {HAS_PICTURES: "True"} if story.pictures else {}
        run_id, found = self._trial(story.first, {**tags, **story.tags, **pictured})
        params = {name: as_text(value) for name, value in started["params"].items()} if started is not None else {}
        params = cut_all(params, MAX_PARAM)
        due = {**story.tags, **pictured} if found else {}
        if found and started is not None:
            params = self._reopen(run_id, tags, params)
        if started is not None:
            self._keep_origins(run_id, started)
        for directory in story.pictures:
            self._keep_files(run_id, directory, PICTURES)
        for directory in story.artifacts:
            self._keep_files(run_id, directory)
            due |= self._keep_model(run_id, Path(directory) / FOLDER)
        if ended is not None:
            due |= self._last_tags(ended)
        written = self._points.get(run_id, set())
        points = [point for point in story.points if (point.name, point.epoch, point.value) not in written]
        self._log_batches(run_id, params, points, due)  # last: whoever reads the state finds what comes with it
        if ended is not None:
            self._store.set_terminated(run_id, _TRIAL_STATUS[ended["state"]], end_time=ended["at"])
            self._roots.pop(run_id, None)

    def _keep_model(self, run_id: str, checkpoint: Path) -> dict[str, str]:
        """Makes the files that are there a model of MLflow; the tag that says why not, for they are worth keeping without."""
        with tempfile.TemporaryDirectory(prefix="vae-sweeps-") as scratch:
            try:
                described = write_model_files(checkpoint, run_id, Path(scratch))
            except Exception as error:  # whatever a damaged file leads to
                if no_room(error):
                    raise
                return {NO_MODEL: cut(f"{type(error).__name__}: {error}", MAX_TAG)}
            if described is not None:
                self._keep_files(run_id, scratch, FOLDER)
        return {}

    @staticmethod
    def _last_tags(ended: Entry) -> dict[str, str]:
        took = f"{ended['seconds']:.3f}"
        return {"trial.state": ended["state"], "trial.reason": cut(ended["reason"], MAX_TAG), "duration_s": took}

    def _reopen(self, run_id: str, tags: Mapping[str, str], params: Mapping[str, str]) -> dict[str, str]:
        """Lets a run that was there before be RUNNING again; returns those of the parameters that it has not."""
        run = self._store.get_run(run_id)
        logged = run.data.params
        self._points[run_id] = self._history(run)
        self._roots[run_id] = run.info.artifact_uri
        self._store.update_run(run_id, status="RUNNING")
        changed = sorted(name for name in params if name in logged and logged[name] != params[name])
        # A parameter cannot be overwritten, and a differing one would have its whole batch refused.
        named = {"params.changed": cut(", ".join(changed), MAX_TAG)} if changed else {}
        self._set_tags(run_id, {**tags, "trial.state": "RUNNING", "trial.reason": "", **named})
        return {name: value for name, value in params.items() if name not in logged}

    def _log_batches(self, run_id: str, params: Mapping[str, str], points: list[Point], tags: Mapping[str, str]) -> None:
        """In as many requests as the limits want."""
        from mlflow.entities import Metric, Param, RunTag

        for some_params, some_points, some_tags in batches(list(params.items()), points, list(tags.items())):
            self._store.log_batch(
                run_id,
                metrics=[Metric(point.name, point.value, point.timestamp_ms, point.epoch) for point in some_points],
                params=[Param(name, value) for name, value in some_params],
                tags=[RunTag(name, value) for name, value in some_tags],
            )

    def _keep_files(self, run_id: str, directory: str, folder: str | None = None) -> None:
        if not Path(directory).is_dir():  # MLflow would pass over it in silence
            raise FileNotFoundError(f"the artifacts to be kept are gone: {directory}")
        self._artifacts(run_id).log_artifacts(directory, folder)

    def _keep_origins(self, run_id: str, started: Entry) -> None:
        texts = {"config.yaml": started["config"], "schedule.json": started.get("schedule")}  # whose tag may have been cut
        with tempfile.TemporaryDirectory(prefix="vae-sweeps-") as scratch:
            for name, text in texts.items():
                if text is not None:
                    (Path(scratch) / name).write_text(text, encoding="utf-8")
                    self._artifacts(run_id).log_artifact(str(Path(scratch) / name))
        if started.get(DATASET) is not None:  # known by name and digest: the same again adds nothing
            self._store.log_inputs(run_id, datasets=dataset_inputs(json.loads(started[DATASET])))

    def _artifacts(self, run_id: str) -> ArtifactRepository:
        """Where a run keeps its files; MLflow's client would ask for the run first, each time."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if run_id not in self._roots:
            self._roots[run_id] = self._store.get_run(run_id).info.artifact_uri
        return get_artifact_repository(self._roots[run_id], tracking_uri=self._uri)

    def _write_note(self, entry: Entry) -> None:
        run_id = self._parent(entry["sweep"], {}, entry["at"])
        known = self._sweep(entry["sweep"])
        runs = {number: run for (number, _), run in known.trials.items()}
        before = self._store.get_run(run_id).data.tags.get(NOTE, "")
        note = cut(with_links_of(before, fill_in(entry["markdown"], known.experiment, runs)), MAX_TAG)
        self._set_tags(run_id, {NOTE: note, "budget.used": entry.get("budget_used", "")})

    def _write_closed(self, entry: Entry) -> None:
        run_id = self._parent(entry["sweep"], {}, entry["at"])
        ended_by = cut(entry.get("ended_by", ""), MAX_TAG)  # a spool of an earlier version has none
        self._set_tags(run_id, {"state": entry["state"], "duration_s": f"{entry['seconds']:.3f}", "ended_by": ended_by})
        self._store.set_terminated(run_id, _SWEEP_STATUS[entry["state"]], end_time=entry["at"])

    def _history(self, run: Run) -> set[tuple[str, int, float]]:
        histories = (self._store.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
        return {(point.key, point.step, point.value) for history in histories for point in history}

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._log_batches(run_id, {}, [], tags)


_WRITERS: Mapping[str, Callable[[Records, Entry], None]] = {
    "open": Records._write_open,
    "note": Records._write_note,
    "closed": Records._write_closed,
}


def _all_runs(client: MlflowClient, experiment: str, filter_string: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], filter_string, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs
