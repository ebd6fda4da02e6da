"""What one trial costs: plain values that cross processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Cost:
    """Of one trial, from what was measured of it; seconds on the machine that measured."""

    weights: int
    """Numbers that are trained."""
    steps_per_epoch: int
    annealing_end: int
    """The first step from which on epochs are candidates."""
    worker_s: float
    """Before a worker's first trial, imports left out."""
    start_s: float
    """Building the model, and loading the data where each trial loads its own."""
    step_s: float
    steps_measured: int
    validation_s: float
    """After each epoch: all of the validation split."""
    validation_measured: float
    """The share of the split that was scored."""
    checkpoint_s: float
    """After each epoch; not the way to the disk, for which training does not wait."""
    final_s: float
    """Scores of the test split, the importance-weighted bound among them, and artifacts."""
    importance_s: float
    """The part of it that is the importance-weighted bound."""
    importance_measured: int
    """Examples that it was computed on."""
    checkpoint_bytes: int
    """Of one state; a running trial has two."""
    artifact_bytes: int
    """Of a finished trial."""
    peak_bytes: int = 0
    """Resident at most, without the data that trials share; 0 where the system does not say."""
    gpu_peak_bytes: int = 0
    """That torch holds on the GPU at most; 0 on a CPU."""
    measured_s: float = 0.0
    core_share: float = 1.0
    """Of its time that the measured process had a core; below 1 where other work kept it from one."""

    @property
    def epoch_s(self) -> float:
        return self.steps_per_epoch * self.step_s + self.validation_s + self.checkpoint_s

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        return cls(**plain)
