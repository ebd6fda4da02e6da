"""What a plan says of costs: plain values, from which text and JSON are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestration.planning.cost import Cost

EPOCH_S = 0.015
"""Until an epoch's report is through Tune and the study, in which the worker waits."""


@dataclass(frozen=True)
class Span:
    """A figure that is not known to the point."""

    low: float
    mean: float
    high: float

    def map(self, change: Callable[[float], float]) -> Span:
        """Each of the three changed."""
        return Span(change(self.low), change(self.mean), change(self.high))


@dataclass(frozen=True)
class Variant:
    """Trials of one structure."""

    label: str
    trials: int
    """Of those that were drawn."""
    epochs: int
    """Of the first of them."""
    cost: Cost | None
    """None where it was not measured."""
    fault: str = ""
    """Why not, where it was tried."""

    @property
    def trial_s(self) -> float | None:
        """To its last epoch, scored."""
        cost = self.cost
        return None if cost is None else cost.start_s + self.epochs * (cost.epoch_s + EPOCH_S) + cost.final_s


@dataclass
class Estimate:
    """What the sweep will cost on this machine, as far as a short profile can tell."""

    data: dict[str, Any] | None
    """name, examples by split, vocabulary, bytes; None where each trial loads its own."""
    loading_s: float | None
    variants: list[Variant]
    start_s: float
    """Until the first trial begins: Ray, the data, a worker's imports."""
    wall_s: Span
    whole_wall_s: Span
    """Without early termination, and without the budget's end."""
    trial_s: Span
    """Of all trials together."""
    device: str
    """GPU or cores: what the hours are of."""
    device_hours: Span
    """As ``budget.device_hours`` counts them."""
    whole_device_hours: Span
    started: float
    """Trials until the budget ends the sweep; a mean."""
    ended_by: str
    """The part of the budget that does; empty where it ends none of the plays."""
    finished: float
    """Of them trained to the end and scored; a mean."""
    peak_bytes: tuple[int, int]
    """A trial's, least and most."""
    gpu_peak_bytes: int
    memory_bytes: int
    """That are free here."""
    fit: dict[str, int]
    """How many trials this machine holds at once, by what they need."""
    disk_peak_bytes: float
    """Artifacts of the finished trials, and the checkpoints of as many as run at once."""
    disk_kept_bytes: float
    """When the sweep is over."""
    measured_s: float
    notes: list[str] = field(default_factory=list)
