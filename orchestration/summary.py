"""What a sweep file asks for, in a sentence."""

from __future__ import annotations

from orchestration.spec import SweepSpec, planned_trials
from orchestration.spec.constraints import left_out


def summarise(spec: SweepSpec) -> str:
    """Trials, method, parameters, metric and stopping rule on one line."""
    rule = spec.early_terminate
    stopping = "no early termination" if rule is None or rule.type == "none" else f"{rule.type} from epoch {rule.first_epoch} on"
    searched = ", ".join(spec.parameters) or "nothing"
    metrics = " and ".join(f"{metric.goal} {metric.name}" for metric in spec.objectives)
    apart = left_out(spec)
    limits = (
        f" under {' and '.join([*spec.constraints, *spec.outcome_constraints])}"
        if spec.constraints + spec.outcome_constraints
        else ""
    )
    limits += f" ({apart} points of the grid are left out)" if apart else ""
    return f"{planned_trials(spec)} trials by {spec.method} over {searched}; {metrics}{limits}; {stopping}."
