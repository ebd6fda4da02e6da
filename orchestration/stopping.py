"""Early termination: decisions on the un-annealed, exact validation metric, never before annealing's end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping


class StoppingRule(ABC):
    """Sees every trial's values in the order they come and says which trial goes on.

    A rule is told an epoch again after a crash; hearing the same value twice changes nothing.
    """

    @abstractmethod
    def verdict(self, trial: int, epoch: int, value: float) -> str | None:
        """Why the trial is stopped, or None where it goes on; ``value`` is lower-is-better, from past annealing's end."""


class Never(StoppingRule):
    """Every trial has its whole budget."""

    def verdict(self, trial: int, epoch: int, value: float) -> str | None:
        return None


class Asha(StoppingRule):
    """Asynchronous successive halving (Li et al. 2020), the stopping variant.

    Rungs lie at min_epochs * eta^k. At a rung a trial goes on if it is among the best 1/eta of all that have
    reached the rung so far; the first eta - 1 always do, since of fewer than eta none can be cut fairly.
    A trial whose annealing ends later than a rung is not judged there, and counts for nobody at it.
    """

    def __init__(self, min_epochs: int, eta: int) -> None:
        self.min_epochs, self.eta = min_epochs, eta
        self.rungs: dict[int, dict[int, float]] = {}

    def verdict(self, trial: int, epoch: int, value: float) -> str | None:
        if not self._is_rung(epoch):
            return None
        rung = self.rungs.setdefault(epoch, {})
        rung[trial] = value
        kept = math.ceil(len(rung) / self.eta)
        if len(rung) < self.eta or value <= sorted(rung.values())[kept - 1]:
            return None
        return f"not among the best {kept} of {len(rung)} at epoch {epoch}"

    def _is_rung(self, epoch: int) -> bool:
        rung = self.min_epochs
        while rung < epoch:
            rung *= self.eta
        return rung == epoch


class CollapseRule:
    """Posterior collapse has one definition: after annealing, too few active units or too low a rate."""

    def __init__(self, min_active_units: int, min_rate: float) -> None:
        self.min_active_units = min_active_units
        self.min_rate = min_rate

    def verdict(self, metrics: Mapping[str, float], prefix: str = "val/") -> str | None:
        """Why the posterior counts as collapsed, or None where it does not."""
        units, rate = metrics.get(f"{prefix}active_units"), metrics.get(f"{prefix}rate")
        if units is not None and units < self.min_active_units:
            return f"{units:g} active units, fewer than {self.min_active_units}"
        if rate is not None and rate < self.min_rate:
            return f"rate {rate:.4g} nats, below {self.min_rate:g}"
        return None
