"""``seeds: N`` from a file to its report: real trainings in one process and under Ray, killed, and confirmed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from dashboards import load_sweeps, load_trials
from dashboards.home import resolve_home
from dashboards.replicates import grouped
from dashboards.trial import find_trial
from orchestration import load_sweep, run_sweep
from orchestration.cli import app
from orchestration.confirm import make_confirmation
from orchestration.errors import LaunchError
from orchestration.launch import resume_sweep
from orchestration.spec import parse_sweep
from orchestration.tracking.tracker import quiet_mlflow
from tests.conftest import TINY, comparable
from tests.faults.sweeps import assert_same, start, wait_for_epochs

SEEDY = TINY.replace("run_cap: 4", "run_cap: 6\nseeds: 2")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a sweep of three configurations under two seeds."""
    directory = tmp_path_factory.mktemp("seedy")
    (directory / "tiny.yaml").write_text(SEEDY)
    result = run_sweep(directory / "tiny.yaml", home=directory / "home", debug=True)
    assert (result.state, result.ended_by, len(result.trials)) == ("FINISHED", "run_cap", 6)
    assert result.best is not None
    assert result.best.number in (0, 2, 4)
    return directory / "home"


def test_the_record_knows_configurations(swept: Path) -> None:
    quiet_mlflow()
    sweep = load_sweeps(home=swept).iloc[0]
    trials = load_trials("tiny", home=swept)
    assert list(trials["seed"]) == [0, 1] * 3
    assert list(trials["configuration"]) == [0, 0, 1, 1, 2, 2]
    means = grouped(trials, sweep).set_index("trial")["best/val/neg_elbo"]
    assert sweep["best"] == means.min()
    client = MlflowClient(tracking_uri=f"sqlite:///{swept}/mlflow.db")
    assert {client.get_run(run).data.tags["configuration"] for run in trials["run_id"]} == {"0", "1", "2"}
    note = client.get_run(sweep["run_id"]).data.tags["mlflow.note.content"]
    [first] = [line for line in note.splitlines() if line.startswith("| 1&emsp;")]
    assert f"{means.idxmin():03d}" in first
    assert f"{means.min():.6g}" in first
    assert "mean best/val" in note
    assert "6 complete of 6" in note
    assert find_trial("tiny", home=swept).number // 2 == means.idxmin() // 2


def test_what_the_commands_say(swept: Path) -> None:
    told = CliRunner().invoke(app, ["report", "tiny", "--home", str(swept)]).output
    assert "3 configurations of 2 seeds: 3 complete" in " ".join(told.split())
    told = CliRunner().invoke(app, ["status", "tiny", "--home", str(swept)]).output
    assert "used: 6 of 6 trials" in told
    plan = CliRunner().invoke(app, ["plan", str(swept.parent / "tiny.yaml"), "--profile", "none"]).output
    assert "6 trials (3 configurations x 2 seeds) by random" in plan
    assert "first configurations, of 3" in plan


def test_a_cap_of_no_whole_configurations_is_refused(swept: Path) -> None:
    with pytest.raises(LaunchError, match="--run-cap 7: 'tiny' trains each configuration under 2 seeds: take 6 or 8"):
        resume_sweep("tiny", home=swept, run_cap=7, debug=True)


def test_a_confirmation_takes_configurations_and_fresh_seeds(swept: Path) -> None:
    made = make_confirmation("tiny", resolve_home(swept), top=2, seeds=3, name="c")
    means = grouped(load_trials("tiny", home=swept), load_sweeps(home=swept).iloc[0]).set_index("trial")["best/val/neg_elbo"]
    assert made.trials == list(means.sort_values().index[:2])
    assert made.seeds == [2, 3, 4], "the search had 0 and 1"
    assert made.spec.seeds == 1
    assert made.spec.run_cap == 6


def test_seeds_that_never_ran_are_not_fresh(swept: Path) -> None:
    """Of a search whose every second seed was given up."""
    from orchestration.confirm import _fresh_seeds

    spec = parse_sweep(SEEDY)
    trials = load_trials("tiny", home=swept)
    assert _fresh_seeds(spec, trials[trials["seed"] == 0], {}, 2) == [2, 3]


def test_more_configurations_after_the_end(swept: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SEEDY.replace("run_cap: 6", "run_cap: 4"))
    run_sweep(tmp_path / "tiny.yaml", home=tmp_path / "home", debug=True)
    result = resume_sweep("tiny", home=tmp_path / "home", run_cap=6, debug=True)
    assert result.worked == 2
    assert_same(tmp_path / "home", comparable("tiny", swept))


def test_a_warm_start_takes_means(swept: Path) -> None:
    import optuna

    text = TINY.replace("name: tiny", "name: next").replace("method: random", "method: tpe").replace("run_cap: 4", "run_cap: 1")
    spec = parse_sweep(text.replace("search: {seed: 1}", "search: {seed: 1, warm_start: {from: [tiny]}}"))
    run_sweep(spec, home=swept, debug=True)
    study = optuna.load_study(study_name="next", storage=f"sqlite:///{swept}/optuna.db")
    told = sorted(trial.value for trial in study.trials if "earlier" in trial.user_attrs)
    sweep = load_sweeps(home=swept).set_index("name", drop=False).loc["tiny"]
    assert told == sorted(grouped(load_trials("tiny", home=swept), sweep)["best/val/neg_elbo"])


@pytest.mark.xdist_group("ray")
def test_under_ray_with_two_workers_it_is_the_same(swept: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SEEDY)
    spec = load_sweep(tmp_path / "tiny.yaml", ["resources.max_concurrent_trials=2"])
    result = run_sweep(spec, home=tmp_path / "home")
    assert (result.state, result.ended_by) == ("FINISHED", "run_cap")
    assert_same(tmp_path / "home", comparable("tiny", swept))


@pytest.mark.slow
def test_a_kill_leaves_no_trace(tmp_path: Path) -> None:
    """SIGKILL in the first, and in the second seed of a configuration, with a sampler that learns of the means."""
    text = SEEDY.replace("method: random", "method: tpe").replace("search: {seed: 1}", "search: {seed: 1, startup_trials: 1}")
    (tmp_path / "tiny.yaml").write_text(text.replace("epochs: 3", "epochs: 12"))
    assert run_sweep(tmp_path / "tiny.yaml", home=tmp_path / "undisturbed", debug=True).state == "FINISHED"
    home = tmp_path / "home"
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug")
    for epochs in (5, 17, 30, 55):
        wait_for_epochs(process, home, epochs)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        process = start("resume", "tiny", "--home", home, "--debug")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert_same(home, comparable("tiny", tmp_path / "undisturbed"))
