"""The tracker: says nothing twice, loses nothing, and never keeps its caller waiting.

What is said goes to the spool, a file, at once; a sender carries it from there to MLflow. An outage of the server is therefore
only a longer spool, and what a killed process leaves is sent later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.messages import TrialState
from orchestration.tracking.config_text import config_text
from orchestration.tracking.datasets import DATASET
from orchestration.tracking.delivery import Delivery
from orchestration.tracking.mlflow_limits import as_text
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.records import Records
from orchestration.tracking.sender import Sender, SenderThread
from orchestration.tracking.spool import Spool, SpoolBusy, SpoolReader, pending_lines, rejected_lines

__all__ = ["SpoolBusy", "SweepHeader", "Tracker", "quiet_mlflow", "replay_spool"]


@dataclass(frozen=True)
class SweepHeader:
    """What the record of a sweep says of the sweep itself."""

    name: str
    question: str
    metric_name: str
    goal: str
    method: str
    run_cap: int | None
    parameters: list[str] = field(default_factory=list)
    """Dotted names of what is searched."""
    source: str = ""
    """The sweep file's text."""
    confirms: Mapping[str, str] = field(default_factory=dict)
    """Tags of a confirmation: which sweep, and its plan."""

    metrics: list[dict[str, str]] = field(default_factory=list)
    """Where several are searched on: name and goal of each; ``metric_name`` is then the first."""
    outcome_constraints: list[str] = field(default_factory=list)
    seeds: int = 1
    """Of each configuration."""
    variants: Mapping[str, list[str]] = field(default_factory=dict)
    """Of parameters with variants, by their names: the dotted names that they set."""

    def tags(self) -> dict[str, str]:
        """The tags of the sweep's run, but for those by which it is found."""
        return {
            "question": self.question,
            "metric.name": self.metric_name,
            "metric.goal": self.goal,
            "method": self.method,
            "run_cap": as_text(self.run_cap),
            "parameters": json.dumps(self.parameters),
            **({"variants": json.dumps(self.variants)} if self.variants else {}),
            **({"metrics": json.dumps(self.metrics)} if self.metrics else {}),
            **({"outcome_constraints": json.dumps(self.outcome_constraints)} if self.outcome_constraints else {}),
            **({"seeds": str(self.seeds)} if self.seeds > 1 else {}),
            **self.confirms,
        }


class Tracker:
    """Keeps the record of one sweep. Every method but ``close`` returns at once, whatever MLflow does.

    Args:
        uri: MLflow's store, a database or a server.
        artifact_root: where the artifacts of a database's experiment go.
        spool_path: the file that holds what is not yet sent; one a sweep.
        sweep: what is said of the sweep itself.
        sender: what carries the spool to MLflow.
    """

    def __init__(
        self,
        uri: str,
        artifact_root: Path,
        spool_path: Path,
        sweep: SweepHeader,
        sender: Callable[[str, Path], Sender] = SenderThread,
    ) -> None:
        self._sweep = sweep
        self._seeds: dict[int, int] = {}
        self._spool_path = spool_path
        self._sender = sender(uri, artifact_root)
        self._spool: Spool | None = None
        self.finishing = False
        """Whether the last has been said."""
        self._rejected = 0
        """Entries that were refused before."""

    def open(self) -> None:
        """Finds the sweep's run again or makes it, and starts to send; first of all what an earlier process left.

        Raises:
            SpoolBusy: the sweep is running in another process.
        """
        assert self._spool is None, "a tracker is opened once"
        self._spool = Spool(self._spool_path)
        self._rejected = rejected_lines(self._spool_path)
        self._say("open", tags={**self._sweep.tags(), "state": "RUNNING", "ended_by": ""}, source=self._sweep.source)
        self._sender.start(self._spool)

    def trial_started(
        self, number: int, params: Mapping[str, Any], fingerprint: str, seed: int | None, tags: Mapping[str, str]
    ) -> None:
        """A trial begins, or begins again: its run, found by number and seed, is then RUNNING anew.

        Args:
            params: the flat config of the trial.
            fingerprint: of the config; empty where no valid one came about, and then no config.yaml is kept.
            seed: None where no valid config came about.
            tags: among them, as JSON, what the data are, which become dataset inputs and no tag.
        """
        own = {"config.fingerprint": fingerprint}
        if seed is not None:
            self._seeds[number] = seed
            own["seed"] = str(seed)
        if "training.epochs" in params:
            own["epochs"] = as_text(params["training.epochs"])
        config = config_text(params) if fingerprint else None
        said = {**own, **{name: value for name, value in tags.items() if name != DATASET}}
        schedule, dataset = tags.get("schedule"), tags.get(DATASET)
        self._say_of(number, "started", params=dict(params), tags=said, config=config, schedule=schedule, dataset=dataset)

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        """Metrics of one epoch, whose number is their step. Saying the same again changes nothing."""
        values = {name: float(value) for name, value in metrics.items()}
        self._say_of(number, "epoch", at=timestamp_ms, epoch=epoch, metrics=values)

    def pictures(self, number: int, directory: str) -> None:
        """The files in ``directory`` are an epoch's pictures; see ``orchestration.pictures``. Saying it again changes nothing."""
        self._say_of(number, "pictures", directory=directory)

    def trial_ended(self, number: int, state: TrialState, reason: str, artifacts: Path | None, seconds: float) -> None:
        """A trial has ended; the files below ``artifacts``, if there are any, become its artifacts.

        A power cut cannot take it back: the study is told next, and then nobody would say it again.

        Args:
            seconds: what it took, pauses left out; a run that was opened again keeps its first start.
        """
        if artifacts is not None and artifacts.is_dir():
            self._say_of(number, "artifacts", directory=str(artifacts.absolute()))
        self._say_of(number, "ended", sync=True, state=state, reason=reason, seconds=seconds)

    def note(self, markdown: str, budget_used: str = "") -> None:
        """The text that the UI shows with the sweep's run; the marks of ``orchestration.tracking.note`` are filled in.

        Args:
            budget_used: how much of the sweep's budget is used, in words.
        """
        self._say("note", markdown=markdown, budget_used=budget_used)

    def closed(self, state: str, seconds: float, ended_by: str = "") -> None:
        """The sweep has ended: FINISHED, INTERRUPTED or FAILED, and by what.

        Args:
            seconds: what it took, pauses left out.
        """
        self._say("closed", sync=True, state=state, seconds=seconds, ended_by=ended_by)

    def finish(self, timeout: float = 30.0) -> None:
        """Nothing more will be said: the rest is sent, for at most so many seconds. Returns at once."""
        self.finishing = True
        self._sender.finish(timeout)

    def close(self, timeout: float = 30.0) -> int:
        """Waits until all is sent, as ``finish`` says; returns how many entries stay in the spool.

        A request under way when the time is over may take its own timeout longer.
        """
        assert self._spool is not None
        if not self.finishing:
            self.finish(timeout)
        if self._sender.wait():  # else it is held as long as this process lives: none other may send meanwhile
            self._spool.close()
        return self.pending

    @property
    def pending(self) -> int:
        """Entries not yet sent."""
        return pending_lines(self._spool_path)

    @property
    def trouble(self) -> str | None:
        """Why nothing is sent at present; None while all goes well."""
        return self._sender.trouble

    @property
    def rejected(self) -> int:
        """Entries that MLflow refused for good since this was opened; they lie beside the spool with their errors."""
        return max(0, rejected_lines(self._spool_path) - self._rejected)

    def _say(self, op: str, at: int | None = None, sync: bool = False, **details: Any) -> None:
        assert self._spool is not None, "open the tracker first"
        at = time.time_ns() // 1_000_000 if at is None else at
        self._spool.append({"op": op, "sweep": self._sweep.name, "at": at, **details}, sync)

    def _say_of(self, number: int, op: str, at: int | None = None, sync: bool = False, **details: Any) -> None:
        self._say(op, at, sync, trial=number, seed=self._seeds.get(number), **details)


def replay_spool(uri: str, artifact_root: Path, spool_path: Path, timeout: float = 30.0) -> int:
    """Sends what an earlier process left in its spool; how many entries are left after ``timeout`` seconds.

    Raises:
        SpoolBusy: that process is still at it.
    """
    if not spool_path.exists():
        return 0
    spool = Spool(spool_path)
    try:
        delivery = Delivery(Records(uri, artifact_root))
        delivery.finish(timeout)
        delivery.run(SpoolReader(spool_path))
    finally:
        spool.close()
    return pending_lines(spool_path)
