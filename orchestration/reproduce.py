"""Trains a recorded trial again from its record alone, and compares every number."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.errors import StoreError
from dashboards.home import Home
from dashboards.records import load_curves, load_trials
from dashboards.schedules import DONOR, Schedule, schedule_of
from dashboards.schedules import TAG as SCHEDULE
from dashboards.trial import TrialRecord, find_trial, trial_artifacts
from orchestration.environment import git_commit
from orchestration.errors import LaunchError
from orchestration.lineage import owners
from orchestration.messages import Job, Message
from orchestration.outcome import VIOLATION
from orchestration.worker import run_trial

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

SPEEDS = ("train/examples_per_s", "train/tokens_per_s")
"""Metrics that tell of the machine, not of the trial."""
_FINAL = ("best/", "test/")


@dataclass(frozen=True)
class Difference:
    """A metric that came out otherwise."""

    metric: str
    epochs: tuple[int, ...]
    """Where it differs; empty for a final score."""
    recorded: float
    """At the first of them."""
    again: float

    @property
    def relative(self) -> float:
        """|again - recorded| by the larger of the two."""
        scale = max(abs(self.recorded), abs(self.again))
        return abs(self.again - self.recorded) / scale if scale else 0.0


@dataclass
class Reproduction:
    """What training again has shown."""

    record: TrialRecord
    surroundings: dict[str, tuple[str, str]]
    """What is not as it was, by tag: then and now. With any of them the numbers may differ."""
    epochs: int = 0
    """Trained again."""
    values: int = 0
    """Numbers compared."""
    differences: list[Difference] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether all were there and equal to the last bit."""
        return not self.differences and self.values > 0


def reproduce(run: str, where: Home, heard: Callable[[Message], None]) -> Reproduction:
    """Trains a trial again, in this process and in one thread, for as many epochs as are recorded.

    Args:
        run: ``SWEEP/NUMBER``, ``SWEEP`` or a run's id.
        heard: told of each message.

    Raises:
        UnknownRun, UnknownSweep: there is no such trial, or it kept no configuration.
        LaunchError: the configuration or the data are not those of the record.
        DataError: the data cannot be read.
    """
    record = find_trial(run, tracking_uri=where.tracking_uri)
    config = recorded_config(record, where)
    data = recorded_data(record, config)
    schedule = recorded_schedule(record, where)
    recorded = chain_curves(record, schedule, where) if len(schedule) > 1 else _curves(record, where)
    if not recorded:
        raise LaunchError(f"trial {record.sweep}/{record.number} has no epoch in its record: there is nothing to compare with")
    result, again = _train(record, config, schedule, data, max(epoch for _, epoch in recorded), heard)
    _compare(result, recorded, again)
    return result


def recorded_config(record: TrialRecord, where: Home) -> TrialConfig:
    """The trial's config.yaml, which must have the recorded fingerprint.

    Raises:
        UnknownRun: the trial has no config.
        LaunchError: it is not the one that was trained, or not one that this version knows.
    """
    from ruamel.yaml import YAML

    from vae_core.config import TrialConfig

    with trial_artifacts(record, "config.yaml", tracking_uri=where.tracking_uri) as path:
        plain = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    name = f"{record.sweep}/{record.number}"
    try:
        config = TrialConfig.from_dict(plain)
    except ValueError as error:
        raise LaunchError(f"the recorded config of trial {name} is none that this version knows: {error}") from error
    if (then := record.tags.get("config.fingerprint")) != config.fingerprint():
        raise LaunchError(
            f"the config of trial {name} has the fingerprint {config.fingerprint()}, and its record says {then}: config.yaml was "
            "changed, or an option has another default in this version"
        )
    return config


def recorded_schedule(record: TrialRecord, where: Home) -> Schedule:
    """What a member of a population descends from; empty for any other trial.

    Raises:
        UnknownRun: it is missing from the record.
    """
    if SCHEDULE not in record.tags:
        return ()
    with trial_artifacts(record, "schedule.json", tracking_uri=where.tracking_uri) as path:
        return schedule_of(json.loads(Path(path).read_text(encoding="utf-8")))


def chain_curves(record: TrialRecord, schedule: Schedule, where: Home) -> dict[tuple[str, int], float]:
    """What is recorded of the epochs that a trial descends from, each in the run of the trial that trained it.

    Raises:
        LaunchError: the record of one of them is gone.
    """
    runs = load_trials(record.sweep, tracking_uri=where.tracking_uri).set_index("trial")["run_id"].to_dict()
    own = _curves(record, where)
    trained_by = owners(schedule, max((epoch for _, epoch in own), default=0))
    if gone := sorted(set(trained_by.values()) - set(runs)):
        raise LaunchError(f"trial {record.sweep}/{record.number} descends from trial {gone[0]}, whose record is gone")
    curves = {record.number: own}
    for number in set(trained_by.values()) - {record.number}:
        ancestor = find_trial(str(runs[number]), tracking_uri=where.tracking_uri)
        curves[number] = {place: at for place, at in _curves(ancestor, where).items() if not place[0].startswith(_FINAL)}
    return {
        place: value for number, curve in curves.items() for place, value in curve.items() if trained_by.get(place[1]) == number
    }


def recorded_data(record: TrialRecord, config: TrialConfig) -> TextData | ImageData:
    """The trial's data, which must have the recorded fingerprint.

    Raises:
        DataError: they cannot be read.
        LaunchError: they are not those that the trial was trained on.
    """
    data = config.data.load()
    then = record.tags.get("data.fingerprint")
    if data.fingerprint != then:
        raise LaunchError(
            f"the data of trial {record.sweep}/{record.number} had the fingerprint {then}, and what lies there now has "
            f"{data.fingerprint}: other files, or prepared by another version"
        )
    return data


def _train(
    record: TrialRecord,
    config: TrialConfig,
    schedule: Schedule,
    data: TextData | ImageData,
    epochs: int,
    heard: Callable[[Message], None],
) -> tuple[Reproduction, dict[tuple[str, int], float]]:
    """By the worker's own hands, in a directory that nobody keeps."""
    result, found = Reproduction(record, {}), dict[tuple[str, int], float]()
    scored = any(name.startswith(_FINAL) for name in record.metrics)
    with tempfile.TemporaryDirectory(prefix="vae-sweeps-") as directory:
        stints = [stint.to_dict() for stint in schedule]
        messages = run_trial(Job(record.number, config.to_dict(), directory, _device(record, heard), stints), data)
        for message in messages:
            heard(message)
            found |= {(name, message.epoch): value for name, value in message.metrics.items()}
            if message.kind == "start":
                result.surroundings = _changed(record, {**message.facts, "git.commit": git_commit()})
            elif message.kind in ("ancestor", "epoch"):
                result.epochs = message.epoch
                if message.epoch >= epochs and not scored:  # the trial was stopped here
                    break
            elif message.kind == "end" and message.state == "FAILED" and record.tags.get("trial.state") != "FAILED":
                raise LaunchError(f"trial {record.sweep}/{record.number} failed this time: {message.reason}")
        messages.close()
    return result, found


def _device(record: TrialRecord, heard: Callable[[Message], None]) -> str:
    """The kind of device that the trial was trained on; the CPU where there is none here, and that is told."""
    import torch

    then = record.tags.get("device", "cpu")
    if then != "cpu" and not torch.cuda.is_available():
        reason = f"trained on {then}, and torch sees no GPU here: this is on the CPU, where the numbers differ"
        heard(Message("notice", timestamp_ms=time.time_ns() // 1_000_000, reason=reason))
        return "cpu"
    return "cpu" if then == "cpu" else "cuda"


def _changed(record: TrialRecord, now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    absent = {"plugins": "none"}  # a trial without any says nothing of them
    found = {}
    for name in ("torch", "threads", "device", "git.commit", "plugins"):
        before, after = (facts.get(name, absent.get(name, "unknown")) for facts in (record.tags, now))
        if before != after:
            found[name] = before, after
    return found


def _curves(record: TrialRecord, where: Home) -> dict[tuple[str, int], float]:
    """Every recorded number but the speeds, by metric and epoch; final scores at the last epoch."""
    frame = load_curves([record.run_id], tracking_uri=where.tracking_uri)
    rows = zip(frame["metric"], frame["epoch"], frame["value"], strict=True)
    values = {(str(name), int(epoch)): float(value) for name, epoch, value in rows}
    last = max((epoch for _, epoch in values), default=0)
    values |= {(name, last): value for name, value in record.metrics.items() if name.startswith(_FINAL)}
    return {place: value for place, value in values.items() if place[0] not in (*SPEEDS, VIOLATION, DONOR)}


def _compare(result: Reproduction, recorded: Mapping[tuple[str, int], float], again: Mapping[tuple[str, int], float]) -> None:
    result.values = len(recorded)
    missing = [name for name in recorded if name not in again]
    if missing:
        metric, epoch = missing[0]
        raise StoreError(f"{len(missing)} recorded numbers have no counterpart, such as {metric} at epoch {epoch}")
    for metric in dict.fromkeys(name for name, _ in recorded):
        places = sorted(place for place in recorded if place[0] == metric)
        wrong = [place for place in places if not _equal(recorded[place], again[place])]
        if wrong:
            epochs = () if metric.startswith(_FINAL) else tuple(epoch for _, epoch in wrong)
            result.differences.append(Difference(metric, epochs, recorded[wrong[0]], again[wrong[0]]))


def _equal(recorded: float, again: float) -> bool:
    return recorded == again or (math.isnan(recorded) and math.isnan(again))


def lines(result: Reproduction) -> Iterator[str]:
    """The result in words, for the terminal."""
    for name, (then, now) in result.surroundings.items():
        yield f"not as it was: {name} {then}, now {now}"
    name = f"{result.record.sweep}/{result.record.number}"
    if result.same:
        yield f"{name}: bitwise the same: {result.values} numbers over {result.epochs} epochs"
        return
    yield f"{name}: {len(result.differences)} metrics differ, of {result.values} numbers over {result.epochs} epochs"
    width = max(len(difference.metric) for difference in result.differences)
    for difference in result.differences:
        at = f"from epoch {difference.epochs[0]}" if difference.epochs else "final"
        yield (
            f"  {difference.metric:<{width}}  {at:<14}  recorded {difference.recorded!r}  again {difference.again!r}"
            f"  relative {difference.relative:.1e}"
        )


def summary(message: Message) -> str | None:
    """An epoch, or the end, in a line, and what the worker has to say; None for what has neither."""
    if message.kind == "notice":
        return f"note: {message.reason}"
    shown = ("val/neg_elbo", "best/val/neg_elbo", "test/neg_elbo", "test/iw_nll")
    scores = "  ".join(f"{name} {message.metrics[name]:.6g}" for name in shown if name in message.metrics)
    return f"epoch {message.epoch}{' (end)' if message.kind == 'final' else ''}  {scores}" if scores else None
