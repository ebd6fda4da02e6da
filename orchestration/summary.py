"""What a sweep file asks for, in a sentence."""

from __future__ import annotations

from orchestration.spec import SweepSpec, planned_trials


def summarise(spec: SweepSpec) -> str:
    """Trials, method, parameters, metric and stopping rule on one line."""
    rule = spec.early_terminate
    stopping = "no early termination" if rule is None or rule.type == "none" else f"{rule.type} from epoch {rule.min_epochs} on"
    searched = ", ".join(spec.parameters) or "nothing"
    return f"{planned_trials(spec)} trials by {spec.method} over {searched}; {spec.metric.goal} {spec.metric.name}; {stopping}."
