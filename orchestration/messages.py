"""What a worker is told and what it answers: plain values that cross processes as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

TrialState = Literal["COMPLETE", "PRUNED", "COLLAPSED", "FAILED", "STOPPED"]


@dataclass(frozen=True)
class Job:
    """One trial to train."""

    number: int
    config: dict[str, Any]
    """A ``TrialConfig`` as a plain dict."""
    directory: str
    """Where its checkpoints lie; fixed by sweep and number, so that a second attempt goes on from them."""
    device: str = "cpu"
    schedule: list[dict[str, Any]] = field(default_factory=list)
    """Of a member of a population: its ``dashboards.schedules.Stint`` as plain dicts; ``config`` is that of the last one."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Message:
    """One line of a trial's story: it starts, has trained an epoch, has been scored, ends; or what the user must know of it."""

    kind: Literal["start", "epoch", "final", "end", "notice", "ancestor"]
    """ancestor: an epoch of the training that the trial goes on from, trained again since its state is not there."""
    epoch: int = 0
    """The last trained epoch, from 1."""
    timestamp_ms: int = 0
    """When it was first said; a replay keeps it, so that records recognise what they have."""
    seconds: float = 0.0
    """What the trial has taken so far, over all its attempts, pauses left out."""
    metrics: dict[str, float] = field(default_factory=dict)
    annealed: bool = False
    """Whether annealing has ended."""
    state: TrialState | None = None
    """Of kind "end": how."""
    reason: str = ""
    """Of kind "end": why; of kind "notice": what."""
    facts: dict[str, str] = field(default_factory=dict)
    """Of kind "start": fingerprint of the data, versions, threads; under "dataset" as JSON what the data are."""
    pictures: str = ""
    """Of kind "epoch": the directory of its pictures; empty where it has none."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))
