"""The search on real sqlite storage: numbers, recovery, and draws that do not depend on interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from orchestration.errors import LaunchError
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.stored import open_storage, stored_names, stored_text
from orchestration.study import Search


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def make(spec: SweepSpec, url: str) -> Search:
    return Search.create(spec, url, spec_text(spec))


def run_all(search: Search) -> list[tuple[int, dict[str, Any]]]:
    asked = []
    while (job := search.ask()) is not None:
        number, _ = job
        search.report(number, 1, float(number), annealed=True)
        search.tell(number, "COMPLETE", "", float(number), 1.0)
        asked.append(job)
    return asked


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_draws_do_not_depend_on_interruptions(tiny: Path, tmp_path: Path, method: str) -> None:
    spec = load_sweep(tiny, [f"method={method}", "search={seed: 3, startup_trials: 2}", "run_cap=6"])
    whole = run_all(make(spec, f"sqlite:///{tmp_path / 'whole.db'}"))

    url = f"sqlite:///{tmp_path / 'cut.db'}"
    search = make(spec, url)
    asked = []
    while True:
        job = search.ask()
        if job is None:
            break
        number, _ = job
        search = Search.resume(spec, url)  # as after kill -9: the trial is RUNNING, and nobody trains it
        again = search.ask()
        assert again == job
        search.report(number, 1, float(number), annealed=True)
        search.tell(number, "COMPLETE", "", float(number), 1.0)
        asked.append(job)
    assert asked == whole
    assert [number for number, _ in whole] == list(range(6))


def test_a_stopped_trial_comes_back_and_a_failed_one_does_not(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny)
    search = make(spec, url)
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    search.tell(first[0], "STOPPED", "", None, 1.0)
    search.tell(second[0], "FAILED", "it diverged", None, 2.0)
    resumed = Search.resume(spec, url)
    assert [(past.outcome, past.reason, past.duration_s) for past in resumed.past] == [("FAILED", "it diverged", 2.0)]
    assert resumed.ask() == first
    assert [number for number, _ in run_all(resumed)] == [2, 3]


def test_resuming_twice_queues_once(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny)
    search = make(spec, url)
    job = search.ask()
    Search.resume(spec, url)
    last = Search.resume(spec, url)
    assert last.ask() == job
    assert last.ask() != job


def test_no_trial_is_left_running(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny)
    make(spec, url).ask()
    Search.resume(spec, url)
    study = optuna.load_study(study_name="tiny", storage=open_storage(url))
    assert not study.get_trials(states=[optuna.trial.TrialState.RUNNING])


def test_past_values_survive(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny)
    search = make(spec, url)
    job = search.ask()
    assert job
    for epoch, annealed in ((1, False), (2, True), (3, True)):
        search.report(0, epoch, 10.0 - epoch, annealed=annealed)
    search.tell(0, "PRUNED", "", None, 1.0)
    [past] = Search.resume(spec, url).past
    assert (past.outcome, past.values, past.annealed_from) == ("PRUNED", {1: 9.0, 2: 8.0, 3: 7.0}, 2)
    assert past.assignment == job[1]


def test_a_collapsed_trial_is_infeasible_and_not_failed(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny, ["collapse={min_active_units: 2, min_rate: 0.1, action: stop}"])
    search = make(spec, url)
    search.ask()
    search.report(0, 1, 5.0, annealed=True)
    search.tell(0, "COLLAPSED", "", None, 1.0)
    [trial] = optuna.load_study(study_name="tiny", storage=open_storage(url)).trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert max(trial.constraints.values()) > 0


def test_a_grid_is_walked_once(tiny: Path, url: str) -> None:
    spec = load_sweep(
        tiny,
        ["method=grid", "run_cap=50", "parameters={objective.beta: {values: [0.1, 0.5]}, seed: {values: [1, 2, 3]}}"],
    )
    points = [assignment for _, assignment in run_all(make(spec, url))]
    assert len(points) == 6
    assert len({tuple(sorted(point.items())) for point in points}) == 6


def test_the_cap_ends_a_grid(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny, ["method=grid", "run_cap=2", "parameters={objective.beta: {values: [0.1, 0.5, 0.7]}}"])
    assert len(run_all(make(spec, url))) == 2


@pytest.mark.parametrize(("metric", "goal"), [("val/neg_elbo", "minimize"), ("val/active_units", "maximize")])
def test_a_study_that_was_only_begun_counts_as_none(
    tiny: Path, url: str, metric: str, goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker was killed between making it and saying what for; the file may have changed since."""
    monkeypatch.setattr("orchestration.stored.PAUSE_S", 0.0)
    optuna.create_study(study_name="tiny", storage=open_storage(url), directions=["minimize"])
    assert stored_text(url, "tiny") is None
    assert stored_names(url) == []
    spec = load_sweep(tiny, [f"metric={{name: {metric}, goal: {goal}}}"])
    assert len(run_all(make(spec, url))) == 4
    assert stored_text(url, "tiny") == spec_text(spec)
    assert optuna.load_study(study_name="tiny", storage=open_storage(url)).direction.name.lower() == goal


def test_a_foreign_study_is_left_alone(tiny: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.stored.PAUSE_S", 0.0)
    optuna.create_study(study_name="tiny", storage=open_storage(url)).ask()
    assert stored_text(url, "tiny") == ""
    with pytest.raises(LaunchError, match="the name 'tiny' is taken in sqlite:///"):
        make(load_sweep(tiny), url)
    assert len(optuna.load_study(study_name="tiny", storage=open_storage(url)).trials) == 1
