"""``seeds: N``: which trials are one configuration, under which seed each is trained, and how the configuration stands.

Trial number = configuration * N + replicate, and replicate k has the seed ``trial.seed + k``: of any number both are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from dashboards.standing import reason_of, standing
from orchestration.outcome import Outcome
from orchestration.trial_state import TrialView


def by_configuration(views: Iterable[TrialView], seeds: int) -> dict[int, list[TrialView]]:
    """The trials of each configuration, in order."""
    groups: dict[int, list[TrialView]] = {}
    for view in sorted(views, key=lambda view: view.number):
        groups.setdefault(view.number // seeds, []).append(view)
    return groups


def configurations(views: Iterable[TrialView], seeds: int, outcome: Outcome) -> list[TrialView]:
    """One view a configuration, under the number of its first trial, with the means over its complete trials.

    How much outcome constraints are violated is a mean too, so that one trial that violates them bars the configuration.
    """
    if seeds == 1:
        return list(views)
    found = []
    for number, trials in by_configuration(views, seeds).items():
        means = mean_of([outcome.with_violation(trial.metrics) for trial in trials if trial.state == "COMPLETE"])
        values = [trial.value for trial in trials if trial.state == "COMPLETE" and trial.value is not None]
        endings = [(trial.state, trial.reason) for trial in trials]
        stands = standing(endings, seeds)
        found.append(
            TrialView(
                number * seeds,
                {name: value for name, value in trials[0].assignment.items() if name != "seed"},
                epochs=trials[0].epochs,
                state=stands,
                reason=reason_of(endings, stands),
                epoch=max(trial.epoch for trial in trials),
                value=math.fsum(values) / len(values) if values else None,
                metrics=means,
                started_s=trials[0].started_s,
                duration_s=math.fsum(trial.duration_s for trial in trials),
            )
        )
    return found


def mean_of(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric that all have."""
    if not several:
        return {}
    shared = [name for name in several[0] if all(name in metrics for metrics in several)]
    return {name: math.fsum(metrics[name] for metrics in several) / len(several) for name in shared}


def trials_of(configuration: int, seeds: int) -> range:
    """The numbers of a configuration's trials."""
    return range(configuration * seeds, (configuration + 1) * seeds)


def tags_of(number: int, seeds: int) -> dict[str, str]:
    """What a trial's record says of its configuration; nothing where each trial is one of its own."""
    return {"configuration": str(number // seeds)} if seeds > 1 else {}
