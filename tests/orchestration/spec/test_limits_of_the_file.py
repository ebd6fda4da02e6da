"""Stopping rules and budgets in the sweep file: what begins after the last epoch, or is no time, is a fault with its place."""

from __future__ import annotations

import pytest

from orchestration.spec import Hyperband, Median, Patient, SweepFileError, parse_sweep
from orchestration.spec.budget import Budget
from orchestration.summary import summarise
from tests.conftest import TINY


def fault_of(section: str) -> str:
    with pytest.raises(SweepFileError) as raised:
        parse_sweep(f"{TINY}{section}\n", "tiny.yaml")
    [fault] = raised.value.faults
    return str(fault)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{type: asha, min_epochs: 4}", "early_terminate.min_epochs: must be at most the 3 epochs that a trial has"),
        ("{type: hyperband, min_epochs: 4}", "early_terminate.min_epochs: must be at most the 3 epochs"),
        (
            "{type: hyperband, brackets: 4, eta: 2}",
            "early_terminate.brackets: must be at most 2: the first rung of the last one is epoch 8, and a trial has 3",
        ),
        ("{type: median, warmup_epochs: 3}", "early_terminate.warmup_epochs: must be below the 3 epochs"),
        ("{type: patient, patience: 3}", "early_terminate.patience: must be below the 3 epochs"),
        ("{type: patient, patience: 1, min_delta: -1}", "early_terminate.min_delta: must be greater than or equal to 0"),
        ("{type: hyperbant}", "hyperband"),
    ],
)
def test_a_rule_that_cannot_be(rule: str, message: str) -> None:
    fault = fault_of(f"early_terminate: {rule}")
    assert message in fault
    assert "tiny.yaml:22:" in fault


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("{trial_timeout: 0s}", "must be longer than 0 s"),
        ("{trial_timeout: soon}", "must be a time such as"),
        ("{device_hours: 0}", "greater than 0"),
        ("{targets: 3.0}", "did you mean: target"),
    ],
)
def test_a_budget_that_cannot_be(budget: str, message: str) -> None:
    assert message in fault_of(f"budget: {budget}")


def test_what_is_right() -> None:
    rules = {
        "{type: hyperband, brackets: 2}": Hyperband(type="hyperband", min_epochs=1, eta=3, brackets=2),
        "{type: median}": Median(type="median", warmup_epochs=1, min_trials=4),
        "{type: patient, patience: 2}": Patient(type="patient", patience=2, min_delta=0.0),
    }
    for text, rule in rules.items():
        spec = parse_sweep(f"{TINY}early_terminate: {text}\n")
        assert spec.early_terminate == rule
        assert f"{rule.type} from epoch {rule.first_epoch} on" in summarise(spec)
    budget = parse_sweep(f"{TINY}budget: {{wall_time: 1h30m, trial_timeout: 1m30s, target: 4, device_hours: 2}}\n").budget
    assert (budget.wall_time_s, budget.trial_timeout_s, budget.target, budget.device_hours) == (5400.0, 90.0, 4.0, 2.0)
    assert (Budget().wall_time_s, Budget().trial_timeout_s) == (float("inf"), None)
