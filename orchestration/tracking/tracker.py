"""The tracker: says nothing twice, loses nothing, and never keeps its caller waiting.

What is said goes to the spool, a file, at once; one thread carries it from there to MLflow, of each trial in order, for
as long as that takes. An outage of the server is therefore only a longer spool, and what a killed process leaves is sent later.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from dashboards.home import hide_passwords
from orchestration.messages import TrialState
from orchestration.patience import notice
from orchestration.refusals import refusal
from orchestration.tracking.config_text import config_text
from orchestration.tracking.datasets import DATASET
from orchestration.tracking.mlflow_limits import as_text
from orchestration.tracking.outage import is_outage, quiet_mlflow
from orchestration.tracking.records import Records
from orchestration.tracking.spool import Line, Spool, SpoolBusy
from orchestration.tracking.story import Entry, entry_of, together

__all__ = ["SpoolBusy", "SweepHeader", "Tracker", "quiet_mlflow", "replay_spool"]
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_GATHER_S = 0.3
"""After something is said: what follows so soon is sent with it."""
_WINDOW = 100
"""Lines that are sent before it is noted that they were."""
_Outcome = Literal[True] | Exception
"""Whether entries are in the store, or why they never will be."""


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
    """

    def __init__(self, uri: str, artifact_root: Path, spool_path: Path, sweep: SweepHeader) -> None:
        self._sweep = sweep
        self._seeds: dict[int, int] = {}
        self._spool_path = spool_path
        self._delivery = _Delivery(Records(uri, artifact_root))
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Finds the sweep's run again or makes it, and starts to send; first of all what an earlier process left.

        Raises:
            SpoolBusy: the sweep is running in another process.
        """
        assert self._thread is None, "a tracker is opened once"
        self._spool = Spool(self._spool_path)
        self._say("open", tags={**self._sweep.tags(), "state": "RUNNING", "ended_by": ""}, source=self._sweep.source)
        self._thread = threading.Thread(target=self._delivery.run, args=(self._spool,), name="mlflow-sender", daemon=True)
        self._thread.start()

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

    def close(self, timeout: float = 30.0) -> int:
        """Sends what is left for at most so many seconds; returns how many entries stay in the spool.

        A request under way when the time is over may take its own timeout longer.
        """
        assert self._thread is not None
        self._delivery.finish(timeout)
        self._thread.join(timeout + 15.0)
        return self.pending

    @property
    def pending(self) -> int:
        """Entries not yet sent."""
        return self._spool.pending if self._spool else 0

    @property
    def trouble(self) -> str | None:
        """Why nothing is sent at present; None while all goes well."""
        return self._delivery.trouble

    @property
    def rejected(self) -> int:
        """Entries that MLflow refused for good; they lie beside the spool with their errors."""
        return self._delivery.rejected

    def _say(self, op: str, at: int | None = None, sync: bool = False, **details: Any) -> None:
        assert self._spool is not None, "open the tracker first"
        at = time.time_ns() // 1_000_000 if at is None else at
        self._spool.append({"op": op, "sweep": self._sweep.name, "at": at, **details}, sync)
        self._delivery.wake()

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
    delivery = _Delivery(Records(uri, artifact_root))
    delivery.finish(timeout)
    delivery.run(spool)
    return spool.pending


class _Delivery:
    """Carries a spool to the records, until told to finish and nothing is left or the time is over."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._news = threading.Event()
        self._finishing = threading.Event()
        self._deadline = math.inf
        self.trouble: str | None = None
        self.rejected = 0
        self._refused = False

    def wake(self) -> None:
        self._news.set()

    def finish(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._finishing.set()
        self._news.set()

    def run(self, spool: Spool) -> None:
        try:
            self._run(spool)
        except Exception as error:  # such as of a disk that cannot be read
            self.trouble = f"nothing is sent to MLflow any more: {_first_line(error)}"
            notice(f"{self.trouble}; training goes on, and the records wait")
            self._finishing.wait()  # until then the spool is spoken to
        finally:
            spool.close()
            self._records.close()

    def _run(self, spool: Spool) -> None:
        while True:
            self._news.clear()
            lines = spool.read()
            for start in range(0, len(lines), _WINDOW):
                if not self._deliver(spool, lines[start : start + _WINDOW]):
                    return
            if not lines:
                if self._finishing.is_set():
                    return
                self._news.wait()
                self._finishing.wait(_GATHER_S)

    def _deliver(self, spool: Spool, lines: Sequence[Line]) -> bool:
        """Sends the lines, however long the store is away; False: the time is over. What is sent by then, from the first line on
        without a gap, is noted, so that whoever goes on gets further."""
        entries: dict[int, Entry] = {}
        done: dict[int, _Outcome] = {}
        for at, line in enumerate(lines):
            try:
                entries[at] = entry_of(line.text)
            except ValueError as error:
                done[at] = error
        done |= self._send_all(entries)
        sent = list(takewhile(done.__contains__, range(len(lines))))
        if not sent or self._outlast(self._records.settle, _of_the_disk) is None:
            return False
        for at in sent:  # not before: what is sent again would be refused again
            if isinstance(refused := done[at], Exception):
                spool.reject(lines[at], refused)
                self.rejected += 1
        spool.delivered(lines[: len(sent)])
        return len(sent) == len(lines)

    def _send_all(self, entries: Mapping[int, Entry]) -> dict[int, _Outcome]:
        """What became of each until the time was over."""
        done: dict[int, _Outcome] = {}
        positions = list(entries)
        for group in together(list(entries.values())):
            due = [[positions[at] for at in group]]
            while due:
                part = due.pop(0)
                sent = self._send([entries[at] for at in part])
                if sent is None:
                    return done
                if isinstance(sent, Exception) and len(part) > 1:  # find out which of them it is
                    due = [[at] for at in part]
                else:
                    done.update(dict.fromkeys(part, sent))
        return done

    def _send(self, entries: Sequence[Entry]) -> _Outcome | None:
        """None: the time is over."""
        return None if time.monotonic() >= self._deadline else self._outlast(lambda: self._records.write(entries), is_outage)

    def _outlast(self, act: Callable[[], None], passes: Callable[[Exception], bool]) -> _Outcome | None:
        """Does it, again and again while it fails for a reason that passes; None: the time is over."""
        pause = _FIRST_PAUSE_S
        while True:
            done: _Outcome = True
            try:
                act()
            except Exception as error:  # the thread must outlive whatever one entry does
                if passes(error):
                    self._say(error)
                    self._rest(pause)
                    if time.monotonic() >= self._deadline:
                        return None
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
                    continue
                done = error
            if self._refused:
                self._refused = False
                notice("MLflow takes records again")
            self.trouble = None
            return done

    def _say(self, error: Exception) -> None:
        """An outage is told at the end, if it lasts so long; that nobody is let in, at once."""
        why = refusal(error)
        self.trouble = f"MLflow {'does not take' if why is None else 'refuses'} records: {why or _first_line(error)}"
        if why is not None and not self._refused:
            self._refused = True
            notice(f"{self.trouble}; training goes on, and they wait")

    def _rest(self, seconds: float) -> None:
        if self._finishing.is_set():
            time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
        else:
            self._finishing.wait(seconds)


def _of_the_disk(error: Exception) -> bool:
    return isinstance(error, OSError)


def _first_line(error: Exception) -> str:
    return hide_passwords(f"{type(error).__name__}: {error}".splitlines()[0])
