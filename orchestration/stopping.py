"""Early termination: decisions on the un-annealed, exact validation metric, never before annealing's end.

A rule is handed values only from past a trial's annealing; what it remembers is a function of them alone, so that it is
the same again when a resumed sweep tells it the study's values anew. The best trial is never stopped.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping

from orchestration.spec import early_terminate as options


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


class Hyperband(StoppingRule):
    """Hyperband (Li et al. 2018) with asynchronous brackets: bracket b is an ``Asha`` whose first rung is min_epochs * eta^b.

    Where B brackets share the trials, n(b) = ceil(B / (B - b) * eta^(B - 1 - b)) of each sum(n) trials are in bracket b, as in
    the paper, evenly spread over the numbers. A trial's number alone decides, so that a resumed sweep puts it where it was.
    """

    def __init__(self, min_epochs: int, eta: int, brackets: int) -> None:
        self.brackets = [Asha(min_epochs * eta**bracket, eta) for bracket in range(brackets)]
        shares = [math.ceil(brackets / (brackets - b) * eta ** (brackets - 1 - b)) for b in range(brackets)]
        places = [((k + 0.5) / share, bracket) for bracket, share in enumerate(shares) for k in range(share)]
        self.cycle = [bracket for _, bracket in sorted(places)]
        """The brackets of as many trials in a row as it is long."""

    def verdict(self, trial: int, epoch: int, value: float) -> str | None:
        bracket = self.bracket_of(trial)
        reason = self.brackets[bracket].verdict(trial, epoch, value)
        return reason and f"{reason} in bracket {bracket}"

    def bracket_of(self, trial: int) -> int:
        """The trial's bracket, a pure function of its number."""
        return self.cycle[trial % len(self.cycle)]


class Median(StoppingRule):
    """The median stopping rule of Vizier (Golovin et al. 2017).

    At epoch e a trial is stopped if its best value up to e is worse than the median of the others' running averages up to e.
    The others have come to e or further and are at least ``min_trials``; values from before annealing's end are in no average.
    """

    def __init__(self, warmup_epochs: int, min_trials: int) -> None:
        self.warmup_epochs, self.min_trials = warmup_epochs, min_trials
        self._values: dict[int, dict[int, float]] = {}
        self._averages: dict[int, dict[int, float]] = {}
        """Running averages by epoch and trial; also at epochs that a trial has passed without a value."""

    def verdict(self, trial: int, epoch: int, value: float) -> str | None:
        own = self._values.setdefault(trial, {})
        if own.get(epoch) != value:
            own[epoch] = value
            self._average(trial, epoch)
        if epoch <= self.warmup_epochs:
            return None
        averages = [average for other, average in self._averages[epoch].items() if other != trial]
        best = min(at for past, at in own.items() if past <= epoch)
        if len(averages) < self.min_trials or best <= statistics.median(averages):
            return None
        return f"its best is worse than the median of {len(averages)} running averages at epoch {epoch}"

    def _average(self, trial: int, epoch: int) -> None:
        """Brings the trial's averages up to date from ``epoch`` on, and where it had no value before, from its last one on."""
        story = self._values[trial]
        begin = max((past for past in story if past < epoch), default=epoch)
        for at in range(begin, max(story) + 1):
            self._averages.setdefault(at, {})[trial] = _mean([value for past, value in story.items() if past <= at])


class Patient(StoppingRule):
    """Stops a trial whose value has not fallen by more than ``min_delta`` for ``patience`` epochs, unless it leads.

    It leads while no other trial's best up to that epoch is below its own; a leader that stands still is left to the
    trainer's own patience, which scores it and lets it win.
    """

    def __init__(self, patience: int, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self._values: dict[int, dict[int, float]] = {}
        self._best: dict[int, float] = {}
        """Of all trials, by epoch."""

    def verdict(self, trial: int, epoch: int, value: float) -> str | None:
        self._values.setdefault(trial, {})[epoch] = value
        self._best[epoch] = min(value, self._best.get(epoch, math.inf))
        best, since = math.inf, epoch
        for past, at in sorted(self._values[trial].items()):
            if past <= epoch and at < best - (self.min_delta if best < math.inf else 0.0):
                best, since = at, past
        leading = min(at for past, at in self._best.items() if past <= epoch)
        own = min(at for past, at in self._values[trial].items() if past <= epoch)
        if epoch - since < self.patience or own <= leading:
            return None
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        count = epoch - since
        return f"not better{by} since epoch {since}, for {count} epoch{'s' if count > 1 else ''}"


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


def stopping_rule(rule: options.AnyStopping | None) -> StoppingRule:
    """The rule that the options describe; the family's table."""
    match rule:
        case options.Asha():
            return Asha(rule.min_epochs, rule.eta)
        case options.Hyperband():
            return Hyperband(rule.min_epochs, rule.eta, rule.brackets)
        case options.Median():
            return Median(rule.warmup_epochs, rule.min_trials)
        case options.Patient():
            return Patient(rule.patience, rule.min_delta)
        # These two judge no single epochs: orchestration.seed_test, orchestration.population.
        case options.NoStopping() | options.Wilcoxon() | options.Pbt() | None:
            return Never()


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
