"""The trials that a plan foretells are those that the sweep then draws, whatever their results."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestration.planning.draws import draw, known_trials
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.study import Search

DISCRETE = "parameters={objective.beta: {values: [0.1, 0.5, 1.0]}, optimizer.lr: {values: [1e-3, 1e-2]}, seed: {values: [1, 2]}}"
CONTINUOUS = "parameters={objective.beta: {min: 0.1, max: 1.0}, optimizer.lr: {min: 1e-3, max: 1e-2}, seed: {min: 1, max: 99}}"


def told(spec: SweepSpec, url: str, seed: int) -> list[dict[str, object]]:
    """What a sweep draws that is told results drawn by ``seed``."""
    search, results = Search.create(spec, url, spec_text(spec)), random.Random(seed)
    found = []
    while (asked := search.ask()) is not None:
        number, assignment = asked
        value = results.random()
        search.report(number, 1, value, annealed=True)
        search.tell(number, "COMPLETE", "", value, 1.0)
        found.append(assignment)
    return found


@pytest.mark.parametrize(
    ("method", "space", "known"),
    [
        ("random", CONTINUOUS, 9),
        ("grid", DISCRETE, 9),
        ("qmc", CONTINUOUS, 9),
        ("tpe", CONTINUOUS, 4),
        ("gp", CONTINUOUS, 4),
        ("cmaes", CONTINUOUS, 1),
        ("nsga2", CONTINUOUS, 5),
    ],
)
def test_known_trials_are_drawn_whatever_the_results(tiny: Path, tmp_path: Path, method: str, space: str, known: int) -> None:
    search = "search={seed: 5, startup_trials: 4, population: 5}" if method == "nsga2" else "search={seed: 5, startup_trials: 4}"
    if method in ("random", "grid", "qmc"):
        search = "search={seed: 5}"
    spec = load_sweep(tiny, [f"method={method}", search, space, "run_cap=9"])
    planned = draw(spec)
    assert known_trials(spec) == sum(one.known for one in planned) == known
    for seed in (1, 2):
        drawn = told(spec, f"sqlite:///{tmp_path / f'{seed}.db'}", seed)
        assert len(drawn) == len(planned) == 9
        assert [one.assignment for one in planned if one.known] == drawn[:known]


def test_start_points_come_first(tiny: Path, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["search={seed: 5, enqueue: [{objective.beta: 0.25}]}", CONTINUOUS, "run_cap=3"])
    planned = [one.assignment for one in draw(spec)]
    assert planned[0]["objective.beta"] == 0.25
    assert planned == told(spec, f"sqlite:///{tmp_path / 'x.db'}", 1)


def test_an_assignment_that_makes_no_trial_is_said(tiny: Path) -> None:
    spec = load_sweep(tiny, ["run_cap=30"])
    assert all(one.config is not None for one in draw(spec))
    assert len(draw(spec, at_most=7)) == 7
