"""The same sweep through real Ray, Optuna and MLflow, and through the debug launcher."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dashboards import load_curves, load_sweeps, load_trials
from dashboards.home import resolve_home
from dashboards.status import report_sweep
from orchestration import load_sweep, run_sweep
from orchestration.confirm import make_confirmation
from orchestration.tracking.publish import publish_report
from tests.conftest import ROOT, comparable

pytestmark = pytest.mark.xdist_group("ray")


def test_ray_and_debug_give_the_same_trials_and_metrics(tiny: Path, tmp_path: Path) -> None:
    through_ray = run_sweep(tiny, home=tmp_path / "ray")
    debugged = run_sweep(tiny, home=tmp_path / "debug", debug=True)
    assert through_ray.state == debugged.state == "FINISHED"
    assert [view.state for view in through_ray.trials] == ["COMPLETE"] * 4
    pd.testing.assert_frame_equal(comparable("tiny", tmp_path / "ray"), comparable("tiny", tmp_path / "debug"), check_exact=True)


def test_what_is_written_can_be_read(tiny: Path, home: Path) -> None:
    result = run_sweep(tiny, home=home, debug=True)
    trials = load_trials("tiny", home=home)
    assert len(trials) == 4
    assert list(trials["state"]) == ["COMPLETE"] * 4
    assert {"optimizer.lr", "objective.beta", "objective.annealing.kind", "objective.annealing.warmup"} <= set(trials.columns)
    assert trials["objective.annealing.warmup"].isna().equals(trials["objective.annealing.kind"] == "constant")
    assert result.best is not None
    assert result.best.value == trials["best/val/neg_elbo"].min()
    assert (trials["test/iw_nll_se"] > 0).all()

    curves = load_curves("tiny", home=home)
    beta = curves[curves["metric"] == "train/beta"]
    assert sorted(beta["epoch"].unique()) == [1, 2, 3]
    step = curves[(curves["metric"] == "val/neg_elbo") & (curves["trial"] == 0)].set_index("epoch")["step"]
    assert step.is_monotonic_increasing
    assert step[3] == 3 * step[1]

    sweeps = load_sweeps(home=home)
    assert sweeps.loc[0, ["name", "state", "trials"]].tolist() == ["tiny", "FINISHED", 4]
    assert sweeps.loc[0, "best"] == trials["best/val/neg_elbo"].min()
    assert not list((home / "trials" / "tiny").glob("0*")), "what the record has need not stay in the home"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are seen on Linux only")
def test_nothing_of_a_home_stays_open(tiny: Path, home: Path) -> None:
    """A copy of an open SQLite file, by the process that has it open, would free the file for others while it is in use."""
    run_sweep(tiny, home=home, debug=True, overrides=["run_cap=1"])
    load_trials("tiny", home=home)
    make_confirmation("tiny", resolve_home(home), top=1, seeds=1, name="again")
    report_sweep("tiny", format="html", home=home)
    assert publish_report("tiny", resolve_home(home)) is None
    assert [name for name in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if str(home) in name] == []


def test_asha_prunes_and_says_so(tiny: Path, home: Path) -> None:
    changes = ["run_cap=8", "early_terminate={type: asha, min_epochs: 2, eta: 2}", "trial.training.epochs=4"]
    spec = load_sweep(tiny, changes)
    result = run_sweep(spec, home=home, debug=True)
    pruned = [view for view in result.trials if view.state == "PRUNED"]
    assert pruned
    assert all(view.epoch == 2 for view in pruned)
    trials = load_trials("tiny", home=home).set_index("trial")
    assert trials.loc[[view.number for view in pruned], "state"].eq("PRUNED").all()
    assert trials.loc[[view.number for view in pruned], "test/neg_elbo"].isna().all()


def test_no_pruning_before_annealings_end(tiny: Path, home: Path) -> None:
    """With a warm-up over the whole training no trial may be cut, however bad."""
    text = tiny.read_text().replace("warmup: {min: 0.1, max: 0.5}", "warmup: {value: 1.0}").replace("      constant: {}\n", "")
    tiny.write_text(text + "early_terminate: {type: asha, min_epochs: 1, eta: 2}\n")
    result = run_sweep(tiny, home=home, debug=True)
    assert [view.state for view in result.trials] == ["COMPLETE"] * 4


def test_a_collapsed_trial_is_an_outcome_not_a_failure(tiny: Path, home: Path) -> None:
    text = tiny.read_text() + "collapse: {min_active_units: 5, min_rate: 0.1, action: stop}\n"  # of 4 dimensions: all collapse
    tiny.write_text(text)
    result = run_sweep(tiny, home=home, debug=True)
    assert {view.state for view in result.trials} == {"COLLAPSED"}
    assert result.best is None
    assert all("fewer than 5" in view.reason for view in result.trials)
    assert set(load_trials("tiny", home=home)["state"]) == {"COLLAPSED"}


def test_a_failing_trial_is_recorded_and_the_others_go_on(tiny: Path, home: Path) -> None:
    text = tiny.read_text()
    for old, new in (
        ("{distribution: log_uniform_values, min: 1e-3, max: 1e-2}", "{values: [1e+30, 1e-3]}"),
        ("method: random", "method: grid"),
        ("objective.beta: {min: 0.1, max: 1.0}", "objective.beta: {value: 1.0}"),
        ("linear: {warmup: {min: 0.1, max: 0.5}}", "linear: {warmup: {value: 0.5}}"),
    ):
        assert old in text
        text = text.replace(old, new)
    tiny.write_text(text)
    result = run_sweep(tiny, home=home, debug=True)
    states = [view.state for view in result.trials]
    assert states.count("FAILED") == 2
    assert states.count("COMPLETE") == 2
    assert all(view.reason for view in result.trials if view.state == "FAILED")
    assert result.state == "FINISHED"


def test_two_runs_with_one_worker_are_identical(tiny: Path, tmp_path: Path) -> None:
    text = (
        tiny.read_text()
        .replace("method: random", "method: tpe")
        .replace("search: {seed: 1}", "search: {seed: 1, startup_trials: 2}")
    )
    tiny.write_text(text)
    for place in ("first", "second"):
        run_sweep(tiny, home=tmp_path / place, debug=True)
    pd.testing.assert_frame_equal(
        comparable("tiny", tmp_path / "first"), comparable("tiny", tmp_path / "second"), check_exact=True
    )


@pytest.mark.slow
def test_ray_imported_before_by_the_user(tiny: Path, home: Path) -> None:
    """Ray reads its authentication's mode once, at import: setting it later locks this process out of its own cluster."""
    call = f"run_sweep({str(tiny)!r}, home={str(home)!r})"
    code = f"import ray; from orchestration import run_sweep; assert {call}.state == 'FINISHED'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_workers_share_the_data_without_a_copy() -> None:
    """What lies in Ray's store is mapped, not copied: the arrays that a worker gets do not own their memory."""
    import ray

    from vae_core.data import PythonDocs

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        data = ray.get(ray.put(PythonDocs().load()))
    finally:
        ray.shutdown()
    arrays = [array for split in data.splits.values() for array in (split.tokens, split.offsets)]
    assert not any(array.flags.owndata or array.flags.writeable for array in arrays)
