"""A trial as the driver, the display and the budget see it, and who keeps the record of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from orchestration.messages import TrialState


class Recorder(Protocol):
    """Who keeps the record; returns at once, whatever the tracking server does."""

    def trial_started(
        self, number: int, params: Mapping[str, Any], fingerprint: str, seed: int | None, tags: Mapping[str, str]
    ) -> None: ...
    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], timestamp_ms: int) -> None: ...
    def pictures(self, number: int, directory: str) -> None: ...
    def trial_ended(self, number: int, state: TrialState, reason: str, artifacts: Path | None, seconds: float) -> None: ...


@dataclass
class TrialView:
    """A trial as the display and the leaderboard see it."""

    number: int
    assignment: dict[str, Any]
    epochs: int
    """Planned."""
    state: TrialState | Literal["RUNNING"] = "RUNNING"
    reason: str = ""
    epoch: int = 0
    value: float | None = None
    """The searched metric: the last epoch's while running, the selected epoch's at the end."""
    metrics: dict[str, float] = field(default_factory=dict)
    started_s: float = field(default_factory=time.time)
    duration_s: float = 0.0
    waiting: bool = False
    """Of a member of a population that runs: whether it is at a barrier, or has no worker yet to go on from there."""
