"""What a trial's scores amount to: what the search is told, whether it may win, and who has won."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from orchestration.spec import SweepSpec
from orchestration.spec.conditions import Condition

VIOLATION = "best/violation"
"""The metric that says by how much a trial violates the outcome constraints, all added."""
_SELECTED = "best/val/"


class _Scored(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


T = TypeVar("T", bound=_Scored)


class Outcome:
    """How the trials of one sweep are judged."""

    def __init__(self, spec: SweepSpec) -> None:
        self.objectives = spec.objectives
        self._signs = [metric.sign for metric in self.objectives]
        self._conditions = [Condition(text) for text in spec.outcome_constraints]

    def scores(self, metrics: Mapping[str, float]) -> list[float] | None:
        """What is searched on, in the file's order; None where no epoch was selected, or one is NaN."""
        found = [metrics.get(metric.column) for metric in self.objectives]
        scores = [score for score in found if score is not None and not math.isnan(score)]
        selected = any(name.startswith(_SELECTED) for name in metrics)
        return scores if selected and len(scores) == len(found) else None

    def violations(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """By how much each outcome constraint is violated, by its text."""
        selected = {f"val/{name.removeprefix(_SELECTED)}": at for name, at in metrics.items() if name.startswith(_SELECTED)}
        return {condition.text: condition.violation(selected) for condition in self._conditions}

    def with_violation(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The final metrics, and where there are outcome constraints how much they are violated."""
        return {**metrics, **({VIOLATION: sum(self.violations(metrics).values())} if self._conditions else {})}

    def kept(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Those metrics that later sweeps may want to know: of the selected epoch, and what is searched on."""
        columns = {metric.column for metric in self.objectives}
        return {name: at for name, at in metrics.items() if name.startswith(_SELECTED) or name in columns}

    def winners(self, trials: Sequence[T]) -> list[T]:
        """The best trial; of several metrics the Pareto set, best in the first metric first. Only complete and feasible ones."""
        able = [(trial, scores) for trial in trials if (scores := self._comparable(trial)) is not None]
        if not self._several:
            return [min(able, key=lambda pair: pair[1])[0]] if able else []
        best: list[tuple[T, list[float]]] = []
        for trial, scores in sorted(able, key=lambda pair: (pair[1], pair[0].number)):  # none is dominated by a later one
            if not any(_dominates(other, scores) for _, other in best):
                best.append((trial, scores))
        return [trial for trial, _ in best]

    @property
    def _several(self) -> bool:
        return len(self.objectives) > 1

    def _comparable(self, trial: _Scored) -> list[float] | None:
        """Its scores, lower is better; None where it cannot win."""
        known = trial.metrics.get(VIOLATION)  # of a configuration it is a mean, which its mean metrics may not violate
        if trial.state != "COMPLETE" or (any(self.violations(trial.metrics).values()) if known is None else known > 0.0):
            return None
        scores = self.scores(trial.metrics) if self._several else None if trial.value is None else [trial.value]
        if scores is None or any(map(math.isnan, scores)):
            return None
        return [sign * score for sign, score in zip(self._signs, scores, strict=True)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether one is nowhere worse and somewhere better, lower being better."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
