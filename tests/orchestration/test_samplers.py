"""Every method of search on a real study: its draws, its constraints, its start points; and an interruption changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

from orchestration.points import SEQUENCES, TRIES
from orchestration.samplers import MAKERS
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.stored import open_storage
from orchestration.study import Search
from orchestration.summary import summarise

FLAT = "parameters={objective.beta: {min: 0.1, max: 1.0}, model.latent.size: {min: 2, max: 12}}"
GRID = "parameters={objective.beta: {min: 0.1, max: 1.0, q: 0.3}, model.latent.size: {values: [2, 4, 12]}}"
CONSTRAINT = "model.latent.size <= 10 * objective.beta + 1"


def spec_of(tiny: Path, method: str, *changes: str) -> SweepSpec:
    text = tiny.read_text().replace("metric: {name: val/neg_elbo, goal: minimize}\n", "")
    tiny.write_text(text.replace("latent: {kind: gaussian, size: 4}", "latent: {kind: gaussian}"))
    grid = method == "grid"
    population = "" if grid or method not in ("cmaes", "nsga2", "nsga3") else ", population: 3"
    search = f"search={{seed: 3, startup_trials: 2{population}}}"
    return load_sweep(tiny, [f"method={method}", GRID if grid else FLAT, search, "run_cap=9", *changes])


def score(assignment: dict[str, Any]) -> float:
    return float((assignment["objective.beta"] - 0.4) ** 2 + (assignment["model.latent.size"] - 6) ** 2 / 100)


def finish(search: Search, job: tuple[int, dict[str, Any]]) -> None:
    number, assignment = job
    metrics = {"best/val/neg_elbo": score(assignment), "best/val/distortion": score(assignment), "best/val/rate": number % 3}
    search.tell(number, "COMPLETE", "", score(assignment), 1.0, metrics)


def run_all(search: Search) -> list[tuple[int, dict[str, Any]]]:
    asked = []
    while (job := search.ask()) is not None:
        finish(search, job)
        asked.append(job)
    return asked


def url_of(directory: Path, name: str) -> str:
    return f"sqlite:///{directory / name}.db"


def test_every_method_has_a_maker() -> None:
    assert set(get_args(SweepSpec.model_fields["method"].annotation)) == set(MAKERS)


@pytest.mark.parametrize("method", MAKERS)
def test_draws_do_not_depend_on_interruptions(tiny: Path, tmp_path: Path, method: str) -> None:
    """Killed after each draw; with constraints, so that some draws are in vain."""
    spec = spec_of(tiny, method, f"constraints=['{CONSTRAINT}']", "run_cap=7")
    whole = run_all(Search.create(spec, url_of(tmp_path, "whole"), spec_text(spec)))
    url = url_of(tmp_path, "cut")
    search = Search.create(spec, url, spec_text(spec))
    asked = []
    while (job := search.ask()) is not None:
        search = Search.resume(spec, url)
        assert search.ask() == job
        finish(search, job)
        asked.append(job)
    assert asked == whole
    assert [number for number, _ in whole] == list(range(7))
    assert all(at["model.latent.size"] <= 10 * at["objective.beta"] + 1 for _, at in whole)
    if method not in SEQUENCES:  # the constraint takes a good third of the space
        assert optuna.load_study(study_name="tiny", storage=open_storage(url)).trials[-1].number > len(whole)


@pytest.mark.parametrize("method", ["tpe", "gp"])
def test_models_do_better_than_chance(tiny: Path, tmp_path: Path, method: str) -> None:
    spec = spec_of(tiny, method, "run_cap=24")
    learnt = [score(at) for _, at in run_all(Search.create(spec, url_of(tmp_path, "model"), spec_text(spec)))]
    assert sorted(learnt[12:])[6] < 0.6 * sorted(learnt[:6])[3], learnt


@pytest.mark.parametrize("method", sorted(set(MAKERS) - {"grid", "qmc"}))
def test_constraints_that_leave_nothing_end_the_search(tiny: Path, tmp_path: Path, method: str) -> None:
    if method == "gp":
        pytest.skip("its 200 draws take minutes; the loop is the same")
    spec = spec_of(tiny, method, "constraints=['objective.beta > 2']")
    search = Search.create(spec, url_of(tmp_path, "none"), spec_text(spec))
    assert search.ask() is None
    assert search.exhausted == f"constraints: {TRIES} points drawn for trial 0 in a row violate them"
    study = optuna.load_study(study_name="tiny", storage=open_storage(url_of(tmp_path, "none")))
    assert not study.get_trials(states=[optuna.trial.TrialState.RUNNING])


def test_a_sequence_that_the_constraints_leave_nothing_of_ends(tiny: Path, tmp_path: Path) -> None:
    spec = spec_of(tiny, "qmc", "constraints=['objective.beta > 2']")
    search = Search.create(spec, url_of(tmp_path, "none"), spec_text(spec))
    assert search.ask() is None
    assert search.exhausted == f"constraints: {TRIES} points of the sequence in a row violate them"


def test_a_grid_leaves_points_out(tiny: Path, tmp_path: Path) -> None:
    spec = spec_of(tiny, "grid", f"constraints=['{CONSTRAINT}']", "run_cap=50")
    search = Search.create(spec, url_of(tmp_path, "grid"), spec_text(spec))
    kept = sorted((at["model.latent.size"], at["objective.beta"]) for _, at in run_all(search))
    assert kept == [(2, 0.1), (2, 0.4), (2, 0.7), (2, 1.0), (4, 0.4), (4, 0.7), (4, 1.0)]
    assert search.total == 7
    assert "5 points of the grid are left out" in summarise(spec)


def test_qmc_covers_choices_and_their_parameters_evenly(tiny: Path, tmp_path: Path) -> None:
    """Of 16 points each half of a coordinate has 8: the first property of a scrambled Sobol sequence."""
    spec = load_sweep(tiny, ["method=qmc", "run_cap=16"])
    points = [at for _, at in run_all_plain(Search.create(spec, url_of(tmp_path, "qmc"), spec_text(spec)))]
    assert sum(at["objective.beta"] < 0.55 for at in points) == 8
    assert sum(at["objective.annealing.kind"] == "linear" for at in points) == 8
    assert sum(at["optimizer.lr"] < 10**-2.5 for at in points) == 8
    assert all(("objective.annealing.warmup" in at) == (at["objective.annealing.kind"] == "linear") for at in points)


def run_all_plain(search: Search) -> list[tuple[int, dict[str, Any]]]:
    asked = []
    while (job := search.ask()) is not None:
        search.tell(job[0], "COMPLETE", "", 1.0, 1.0)
        asked.append(job)
    return asked


@pytest.mark.parametrize("method", ["tpe", "qmc", "cmaes"])
def test_start_points_come_first_and_are_completed(tiny: Path, tmp_path: Path, method: str) -> None:
    search = "search={seed: 3, enqueue: [{objective.beta: 0.7, model.latent.size: 5}, {model.latent.size: 6}]}"
    spec = spec_of(tiny, method, search, f"constraints=['{CONSTRAINT}']")
    (first, one), (second, two), *_ = run_all(Search.create(spec, url_of(tmp_path, "start"), spec_text(spec)))
    assert (first, one) == (0, {"objective.beta": 0.7, "model.latent.size": 5})
    assert (second, two["model.latent.size"]) == (1, 6)
    assert 10 * two["objective.beta"] + 1 >= 6


@pytest.mark.parametrize("method", ["random", "tpe", "gp", "nsga2", "nsga3"])
def test_several_metrics(tiny: Path, tmp_path: Path, method: str) -> None:
    spec = spec_of(tiny, method, "metrics=[{name: val/distortion}, {name: val/rate, goal: maximize}]")
    asked = run_all(Search.create(spec, url_of(tmp_path, "several"), spec_text(spec)))
    assert len(asked) == 9
    study = optuna.load_study(study_name="tiny", storage=open_storage(url_of(tmp_path, "several")))
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.trials[4].values == [score(asked[4][1]), 1.0]
    past = Search.resume(spec, url_of(tmp_path, "several")).past
    assert [trial.metrics["best/val/rate"] for trial in past] == [number % 3 for number in range(9)]
