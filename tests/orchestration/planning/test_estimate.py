"""A plan against what it foretells: steps, first trials, core time, disk and memory of real trials."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestration import load_sweep, run_sweep
from orchestration.errors import LaunchError
from orchestration.messages import Job
from orchestration.planning.figures import EPOCH_S
from orchestration.planning.plan import Plan, concurrency, make_plan
from orchestration.spec import Resources, make_trial_config
from orchestration.worker import ARTIFACTS, run_trial
from tests.conftest import ROOT
from vae_core.checkpoint import STATE

SIZES = "parameters={objective.beta: {min: 0.1, max: 1.0}, training.batch_size: {values: [32, 64]}}"
TINY_TRIAL = (
    "trial={data: {kind: digits}, model: {encoder: {kind: mlp, hidden: [32]}, decoder: {kind: mlp, hidden: [32]}},"
    " training: {epochs: 3}, evaluation: {importance_samples: 3, importance_examples: 20, samples: 4}}"
)


def planned(tiny: Path, *changes: str) -> Plan:
    return make_plan(load_sweep(tiny, list(changes)), seconds=4.0)


def test_the_first_trials_and_their_steps_are_those_that_run_trains(tiny: Path, home: Path) -> None:
    from dashboards import load_curves

    changes = [TINY_TRIAL, SIZES]
    plan = planned(tiny, *changes)
    result = run_sweep(load_sweep(tiny, changes), home=home, debug=True)
    assert [one["parameters"] for one in plan.drawn] == [view.assignment for view in result.trials]
    assert all(one["known"] for one in plan.drawn)
    curves = load_curves("tiny", home=home)
    steps = curves[curves["metric"] == "train/step"].groupby("trial")["value"].max()
    assert plan.steps is not None
    assert plan.steps == (steps.min(), steps.max())
    estimate = plan.estimate
    assert estimate is not None
    assert estimate.data is not None
    assert {variant.label for variant in estimate.variants} == {"batch_size=32", "batch_size=64"}
    assert sum(variant.trials for variant in estimate.variants) == 4
    kept = sum(file.stat().st_size for file in (home / "artifacts").rglob("*") if file.is_file())
    assert kept == pytest.approx(estimate.disk_kept_bytes, rel=0.2)


@pytest.mark.long
@pytest.mark.parametrize("name", ["quickstart", "digits"])
def test_a_trial_takes_what_was_foretold(name: str, tmp_path: Path) -> None:
    """Core seconds, so that what else runs on the machine does not enter; a small trial, so that every part weighs."""
    spec = load_sweep(ROOT / "sweeps" / f"{name}.yaml", ["trial.training.epochs=6", "method=random", "run_cap=1"])
    plan = make_plan(spec, seconds=8.0)
    assert plan.estimate is not None
    [variant] = plan.estimate.variants
    assert variant.cost is not None
    assert variant.trial_s is not None

    config = make_trial_config(spec, plan.drawn[0]["parameters"])
    data = config.data.load()
    short = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 1})})
    list(run_trial(Job(1, short.to_dict(), str(tmp_path / "first")), data))  # what torch puts off until then
    directory, largest = tmp_path / "trial", 0
    started_s = time.process_time()
    state = None
    for message in run_trial(Job(0, config.to_dict(), str(directory)), data):
        state = message.state
        largest = max([largest, *(file.stat().st_size for file in directory.glob(STATE))])
    took_s = time.process_time() - started_s
    assert state == "COMPLETE"
    waits_s = 6 * EPOCH_S  # for the driver: no time of the core
    assert 0.5 < (variant.trial_s - waits_s) / took_s < 2.0
    assert variant.cost.checkpoint_bytes == pytest.approx(largest, rel=0.2)
    artifacts = sum(file.stat().st_size for file in (directory / ARTIFACTS).rglob("*") if file.is_file())
    assert variant.cost.artifact_bytes == pytest.approx(artifacts, rel=0.2)


@pytest.mark.long
@pytest.mark.xdist_group("ray")
def test_a_worker_holds_what_was_foretold(tiny: Path, home: Path) -> None:
    """A model large enough to weigh beside the worker's libraries."""
    wide = "trial.model={encoder: {kind: mlp, hidden: [2500, 2500]}, decoder: {kind: mlp, hidden: [2500, 2500]}}"
    changes = [wide, "run_cap=1"]
    estimate = planned(tiny, *changes).estimate
    assert estimate is not None
    assert estimate.variants[0].cost is not None
    assert estimate.variants[0].cost.weights > 12e6
    peaks, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if b"TrialTrainable" not in (process / "cmdline").read_bytes():
                        continue
                    found = dict(re.findall(r"^(VmHWM|RssShmem):\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE))
                except OSError:  # it has just ended
                    continue
                if "VmHWM" in found:
                    peaks.append(1024 * (int(found["VmHWM"]) - int(found["RssShmem"])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert run_sweep(load_sweep(tiny, changes), home=home).state == "FINISHED"
    finally:
        done.set()
        watcher.join()
    assert estimate.peak_bytes[1] == pytest.approx(max(peaks), rel=0.25)


def test_what_no_trial_can_be_is_told(tiny: Path) -> None:
    with pytest.raises(LaunchError, match="batch_size is 5000"):
        planned(tiny, TINY_TRIAL, "parameters={training.batch_size: {values: [64, 5000]}}")


def test_data_that_are_searched_are_loaded_by_each(tiny: Path) -> None:
    parameters = "parameters={size: {variants: {few: {data.split: {valid: 0.1}}, many: {data.split: {valid: 0.4}}}}}"
    plan = planned(tiny, TINY_TRIAL, parameters, "method=grid", "run_cap=2")
    assert plan.estimate is not None
    assert plan.estimate.data is None
    assert plan.steps_per_epoch is not None
    assert plan.steps_per_epoch[0] < plan.steps_per_epoch[1]


def test_more_structures_than_seconds_are_measured_in_part(tiny: Path) -> None:
    sizes = ", ".join(map(str, range(1, 9)))
    trial = TINY_TRIAL.replace("training: {epochs: 3}", "training: {epochs: 3, batch_size: 64}")
    spec = load_sweep(tiny, [trial, f"parameters={{model.latent.size: {{values: [{sizes}]}}}}", "method=grid", "run_cap=8"])
    estimate = make_plan(spec, seconds=4.0).estimate
    assert estimate is not None
    measured = [variant for variant in estimate.variants if variant.cost is not None]
    assert len(estimate.variants) == 8
    assert len(measured) == 2, "two seconds each, one at a time"
    assert any("2 of 8 variants were measured" in note for note in estimate.notes)
    assert estimate.whole_wall_s.low <= estimate.whole_wall_s.mean <= estimate.whole_wall_s.high


@pytest.mark.parametrize(
    ("resources", "trials", "expected"),
    [
        ({}, 99, (8, "the cores")),
        ({"cpu": 3}, 99, (2, "the cores")),
        ({"cpu": 0.5}, 99, (16, "the cores")),
        ({}, 3, (3, "the trials")),
        ({"max_concurrent_trials": 2}, 99, (2, "resources.max_concurrent_trials")),
        ({"max_concurrent_trials": 20}, 99, (20, "resources.max_concurrent_trials")),  # Ray is given as many CPUs
        ({"gpu": 0.25}, 99, (4, "the GPUs")),
    ],
)
def test_concurrency_is_what_ray_places(resources: dict[str, Any], trials: int, expected: tuple[int, str]) -> None:
    assert concurrency(Resources(**resources), trials, cores=8, gpus=1) == expected
