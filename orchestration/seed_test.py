"""``early_terminate: {type: wilcoxon}``: no further seeds for a configuration that is significantly worse than the best.

Wilcoxon's signed-rank test (1945), one-sided, of its scores against those of the best configuration under the same seeds, as
Optuna's ``WilcoxonPruner`` has it. Scores are those of trials that have ended: of the selected epoch, exact, at beta 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dashboards.standing import NO_FURTHER, is_cut
from orchestration.configurations import by_configuration, configurations
from orchestration.outcome import Outcome
from orchestration.spec import SweepSpec
from orchestration.spec.early_terminate import Wilcoxon
from orchestration.trial_state import TrialView


@dataclass(frozen=True)
class SeedTest:
    """The rule of one sweep; a pure function of the trials that have ended, and so the same after a kill."""

    options: Wilcoxon
    seeds: int
    sign: float
    """1 where lower is better, else -1."""
    outcome: Outcome

    def verdict(self, views: Iterable[TrialView], number: int) -> str | None:
        """Why the configuration of a trial that is now complete gets no further seeds; None where it goes on.

        It is compared with the best of the configurations that are complete. That one itself is never stopped, nor any whose
        mean over the same seeds is as good.
        """
        views = list(views)
        groups = by_configuration(views, self.seeds)
        trials = groups[number // self.seeds]
        own = self._scores(trials)
        all_begun = len(trials) == self.seeds
        if all_begun or len(own) < self.options.min_seeds or is_cut((trial.state, trial.reason) for trial in trials):
            return None
        best = next(iter(self.outcome.winners(configurations(views, self.seeds, self.outcome))), None)
        if best is None:
            return None
        other = self._scores(groups[best.number // self.seeds])
        differences = [self.sign * (value - other[place]) for place, value in own.items()]
        p = worse(differences)
        if p >= self.options.p_threshold:
            return None
        return f"{NO_FURTHER}: worse than configuration {best.number // self.seeds}, p = {p:.3g} over {len(own)} seeds"

    def _scores(self, trials: list[TrialView]) -> dict[int, float]:
        """Of the complete ones, by replicate."""
        return {view.number % self.seeds: view.value for view in trials if view.state == "COMPLETE" and view.value is not None}


def seed_test(spec: SweepSpec, outcome: Outcome) -> SeedTest | None:
    """The sweep's rule; None where it has none."""
    if not isinstance(spec.early_terminate, Wilcoxon):
        return None
    return SeedTest(spec.early_terminate, spec.seeds, spec.metric.sign, outcome)


def worse(differences: list[float]) -> float:
    """The probability of differences so much above zero if their signs were chance; 1 where they are not above it on average."""
    from scipy.stats import wilcoxon

    if math.fsum(differences) <= 0.0:
        return 1.0
    return float(wilcoxon(differences, alternative="greater", zero_method="zsplit").pvalue)
