"""What a sweep file asks for, in a sentence."""

from __future__ import annotations

from orchestration.spec import SweepSpec, planned_trials
from orchestration.spec.constraints import left_out
from orchestration.spec.early_terminate import Pbt, Stopping, Wilcoxon


def summarise(spec: SweepSpec) -> str:
    """Trials, method, parameters, metric and stopping rule on one line."""
    rule = spec.early_terminate
    if isinstance(rule, Pbt):
        stopping = f"pbt, a population with barriers every {rule.interval} epochs"
    elif isinstance(rule, Stopping):
        stopping = f"{rule.type} from epoch {rule.first_epoch} on"
    elif isinstance(rule, Wilcoxon):
        stopping = f"wilcoxon from seed {rule.first_seeds} on"
    else:
        stopping = "no early termination"
    searched = ", ".join(spec.parameters) or "nothing"
    metrics = " and ".join(f"{metric.goal} {metric.name}" for metric in spec.objectives)
    apart = left_out(spec)
    limits = (
        f" under {' and '.join([*spec.constraints, *spec.outcome_constraints])}"
        if spec.constraints + spec.outcome_constraints
        else ""
    )
    limits += f" ({apart} points of the grid are left out)" if apart else ""
    trials = planned_trials(spec)
    each = f" ({trials // spec.seeds} configurations x {spec.seeds} seeds)" if spec.seeds > 1 else ""
    return f"{trials} trials{each} by {spec.method} over {searched}; {metrics}{limits}; {stopping}."
