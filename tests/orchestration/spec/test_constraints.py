"""Conditions on parameters, as they are asked of one assignment after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.spec import constraints, load_sweep
from orchestration.spec.constraints import Constraints
from orchestration.spec.search_space import make_trial_config


def test_an_impossible_trial_says_nothing_of_the_next_one(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the condition names is the same in both; the first has a fault elsewhere."""
    asked = Constraints(load_sweep(tiny, ["constraints=['objective.beta <= 0.5']"]))
    calls: list[Any] = []

    def once_impossible(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise ValueError("of no trial")
        return make_trial_config(*arguments)

    monkeypatch.setattr(constraints, "make_trial_config", once_impossible)
    assignment = {"optimizer.lr": 1e-3, "objective.beta": 0.9, "objective.annealing.kind": "constant"}
    assert asked.violation(assignment) == 0.0, "its own fault is told when it is to be trained"
    assert asked.violation(assignment) > 0.0
    assert asked.violation(assignment) > 0.0
    assert len(calls) == 2, "what is known is not asked again"
