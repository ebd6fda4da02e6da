"""Whole sweeps on real digits: each method, several metrics, constraints, warm starts; and what is left after an interruption."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dashboards import load_sweeps, load_trials
from dashboards.errors import UnknownRun
from dashboards.status import report_sweep
from dashboards.trial import find_trial
from orchestration import load_sweep, run_sweep
from orchestration.errors import LaunchError
from orchestration.launch import resume_sweep
from orchestration.reproduce import reproduce
from orchestration.samplers import MAKERS
from orchestration.spec import SweepSpec
from tests.conftest import TINY

METRICS = ("metric: {name: val/neg_elbo, goal: minimize}", "metrics: [{name: val/distortion}, {name: val/rate}]")
SPACE = "parameters={objective.beta: {min: 0.1, max: 2.0, q: 0.1}, model.latent.size: {min: 2, max: 4}}"
TEXT = TINY.replace("latent: {kind: gaussian, size: 4}", "latent: {kind: gaussian}").replace("epochs: 3", "epochs: 1")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TEXT)
    return path


def spec_of(path: Path, *changes: str) -> SweepSpec:
    return load_sweep(path, [SPACE, *changes])


@pytest.mark.parametrize("method", MAKERS)
def test_every_method_runs(small: Path, home: Path, method: str) -> None:
    population = ", population: 2" if method in ("cmaes", "nsga2", "nsga3") else ""
    search = f"search={{seed: 1, startup_trials: 2{population}}}"
    spec = spec_of(small, f"method={method}", search, "run_cap=4", "constraints=['model.latent.size <= 2 + objective.beta']")
    result = run_sweep(spec, home=home, debug=True)
    assert [view.state for view in result.trials] == ["COMPLETE"] * 4
    trials = load_trials("tiny", home=home)
    assert (trials["model.latent.size"] <= 2 + trials["objective.beta"]).all()
    assert result.best is not None
    assert result.best.value == trials["best/val/neg_elbo"].min()


def test_a_pareto_set_under_an_outcome_constraint(small: Path, home: Path) -> None:
    small.write_text(TEXT.replace(*METRICS))
    start = (
        "search={seed: 1, enqueue: [{objective.beta: 0.1, model.latent.size: 4}, {objective.beta: 2.0, model.latent.size: 2}]}"
    )
    spec = spec_of(small, "method=tpe", "run_cap=5", "trial.training.epochs=3", start, "outcome_constraints=['val/rate >= 1']")
    result = run_sweep(spec, home=home, debug=True)
    trials = load_trials("tiny", home=home).set_index("trial")
    feasible = trials[trials["best/violation"] == 0]
    assert 0 < len(feasible) < 5, "beta 0.1 keeps its rate, and beta 2 does not"
    assert (feasible["best/val/rate"] >= 1).all()
    points = feasible[["best/val/distortion", "best/val/rate"]]
    front = [
        number for number, point in points.iterrows() if not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
    ]
    assert sorted(view.number for view in result.winners) == sorted(front)
    report = str(report_sweep("tiny", home=home))
    assert report.count("★") == len(front)
    assert "val/rate >= 1 at the selected epoch, and cannot win" in report
    assert load_sweeps(home=home)["best"].isna().all()
    if len(front) > 1:
        with pytest.raises(UnknownRun, match="Pareto set: tiny/"):
            find_trial("tiny", home=home)
    from dashboards.home import resolve_home

    assert reproduce(f"tiny/{front[0]}", resolve_home(home), lambda message: None).same


def test_a_warm_start_uses_what_is_comparable(small: Path, home: Path) -> None:
    run_sweep(spec_of(small, "name=first", "run_cap=3"), home=home, debug=True)
    run_sweep(spec_of(small, "name=longer", "run_cap=1", "trial.training.epochs=2"), home=home, debug=True)
    said = io.StringIO()
    warm = "search={startup_trials: 3, warm_start: {from: [first, longer]}}"
    spec = spec_of(small, "method=tpe", warm, "run_cap=2")
    result = run_sweep(spec, home=home, debug=True, console=Console(file=said, width=500))
    assert [view.number for view in result.trials] == [0, 1]
    assert "warm start from first: 3 of 3 complete trials used\n" in said.getvalue()
    assert "longer: 0 of 1 complete trials used; 1 not: training.epochs is 2 there, and 1 here" in said.getvalue()
    again = io.StringIO()
    resume_sweep("tiny", home=home, run_cap=3, debug=True, console=Console(file=again, width=500))
    assert "warm start" not in again.getvalue(), "told once"
    assert list(load_trials("tiny", home=home)["trial"]) == [0, 1, 2]
    with pytest.raises(LaunchError, match="there is no sweep 'frist'"):
        run_sweep(spec_of(small, "name=next", "method=tpe", "search={warm_start: {from: [frist]}}"), home=home, debug=True)


def test_what_lies_outside_is_told_and_not_used(small: Path, home: Path) -> None:
    run_sweep(spec_of(small, "name=first", "run_cap=3"), home=home, debug=True)
    betas = load_trials("first", home=home)["objective.beta"]
    cut = sorted(betas)[1]
    inside = int((betas <= cut).sum())
    narrow = f"parameters={{objective.beta: {{min: 0.1, max: {cut}, q: 0.1}}, model.latent.size: {{min: 2, max: 4}}}}"
    said = io.StringIO()
    spec = load_sweep(small, [narrow, "method=tpe", "search={warm_start: {from: [first]}}", "run_cap=1"])
    run_sweep(spec, home=home, debug=True, console=Console(file=said, width=500))
    assert f"{inside} of 3 complete trials used; {3 - inside} not: objective.beta is outside" in said.getvalue()


def test_constraints_that_leave_nothing_end_the_sweep_with_the_reason(small: Path, home: Path) -> None:
    spec = spec_of(small, "constraints=['objective.beta > 3']")
    result = run_sweep(spec, home=home, debug=True)
    assert result.trials == []
    assert result.ended_by == "constraints: 200 points drawn for trial 0 in a row violate them"


@pytest.mark.xdist_group("ray")
def test_ray_and_debug_give_the_same(small: Path, tmp_path: Path) -> None:
    from tests.conftest import comparable

    small.write_text(TEXT.replace(*METRICS))
    spec = spec_of(small, "method=gp", "search={startup_trials: 2}", "run_cap=4", "outcome_constraints=['val/rate >= 1']")
    run_sweep(spec, home=tmp_path / "ray")
    run_sweep(spec, home=tmp_path / "debug", debug=True)
    pd.testing.assert_frame_equal(comparable("tiny", tmp_path / "ray"), comparable("tiny", tmp_path / "debug"), check_exact=True)
