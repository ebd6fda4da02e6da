"""A population from its file to its record: weights are taken over, whoever trains it, and all can be trained again."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from dashboards import load_curves, load_sweeps, load_trials
from dashboards.home import resolve_home
from dashboards.records import sweep_row
from dashboards.schedules import schedule_of
from dashboards.summary import summary
from orchestration.cli import app
from orchestration.confirm import make_confirmation
from orchestration.control import Orders
from orchestration.driver import Driver
from orchestration.errors import LaunchError
from orchestration.launch import run_sweep
from orchestration.lineage import handed_over
from orchestration.messages import Job, Message
from orchestration.reproduce import SPEEDS, reproduce
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.stored import open_storage
from orchestration.study import Search
from orchestration.worker import drop_checkpoint, run_trial
from tests.conftest import comparable
from tests.faults.sweeps import assert_same, command, start, wait_for_epochs
from tests.orchestration.test_population import POPULATION
from vae_core.checkpoint import load_state, read_state
from vae_core.trainer import Trainer

FIVE = POPULATION.replace("run_cap: 4", "run_cap: 5")
"""Barriers after epochs 2, 4 and 6 of 7."""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a population of five, trained one after the other."""
    directory = tmp_path_factory.mktemp("swept")
    (directory / "tiny.yaml").write_text(FIVE)
    assert run_sweep(directory / "tiny.yaml", home=directory / "home", debug=True).state == "FINISHED"
    return directory / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(FIVE)
    return tmp_path / "tiny.yaml"


class Silent:
    """A recorder that remembers the metrics."""

    def __init__(self) -> None:
        self.metrics: list[tuple[int, int, Mapping[str, float]]] = []

    def trial_started(self, *_: Any) -> None:
        pass

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        self.metrics.append((number, epoch, metrics))

    def pictures(self, *_: Any) -> None:
        pass

    def trial_ended(self, *_: Any) -> None:
        pass


def driver_of(spec: SweepSpec, directory: Path, search: Search) -> tuple[Driver, Silent]:
    recorder = Silent()
    return Driver(spec, search, recorder, lambda number: directory / "trials" / str(number), {}), recorder


def run_leg(driver: Driver, job: Job) -> list[Message]:
    """A job to its barrier or its end; all that was said."""
    said = []
    for message in run_trial(job, None):
        said.append(message)
        if not driver.hear(job.number, message):
            break
    return said


def test_weights_rates_and_history_are_taken_over(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file)
    driver, recorder = driver_of(spec, tmp_path, Search.create(spec, f"sqlite:///{tmp_path / 'optuna.db'}", spec_text(spec)))
    first = []
    for _ in range(5):
        job = driver.next_job()
        assert job is not None
        first.append(job)
        assert run_leg(driver, job)[-1].epoch == 2
        assert driver.trials[job.number].waiting
    assert driver.at_work == 0
    states = {job.number: load_state(Path(job.directory)) for job in first}

    legs = {}
    while (job := driver.next_job()) is not None and len(legs) < 5:
        legs[job.number] = job
    [taker] = [number for number, job in legs.items() if len(job.schedule) > 1]
    donor, own = (stint.number for stint in schedule_of(legs[taker].schedule))
    assert own == taker
    values = {number: driver.trials[number].value for number in range(5)}
    assert values[taker] == max(values.values())
    assert values[donor] == min(values.values())
    assert driver.trials[taker].assignment != driver.trials[donor].assignment

    handed = read_state(handed_over(Path(legs[taker].directory), 2))
    assert states[donor] is not None
    for name, weight in states[donor]["model"].items():
        assert torch.equal(handed["model"][name], weight)
    run_leg(driver, legs[donor])  # goes on, and must not disturb what is handed over
    [after] = [message for message in run_leg(driver, legs[taker]) if message.kind == "epoch" and message.epoch == 3]
    lr = driver.trials[taker].assignment["optimizer.lr"]
    assert after.metrics["train/lr"] == lr
    assert after.metrics["train/beta"] == pytest.approx(driver.trials[taker].assignment["objective.beta"])

    trainer = by_hand(first[donor], legs[taker], 2)
    assert next(trainer.run()).metrics["val/neg_elbo"] == after.metrics["val/neg_elbo"], "bitwise"
    marks = [(number, epoch, metrics) for number, epoch, metrics in recorder.metrics if "population/donor" in metrics]
    assert marks == [(taker, 2, {"population/donor": float(donor)})]


def by_hand(before: Job, after: Job, epochs: int) -> Trainer:
    """A trainer that was trained under one job's config, and goes on under another's."""
    from itertools import islice

    from vae_core.config import TrialConfig

    one, other = (TrialConfig.from_dict(job.config) for job in (before, after))
    data = one.data.load()
    first, second = Trainer(one, data), Trainer(other, data)
    list(islice(first.run(), epochs))
    second.take_over(first.state_dict(), one)
    return second


def test_a_state_that_is_gone_or_damaged_is_trained_again(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file)
    ends = []
    for harm in ("none", "gone", "damaged"):
        directory = tmp_path / harm
        search = Search.create(spec, f"sqlite:///{tmp_path / f'{harm}.db'}", spec_text(spec))
        driver, _ = driver_of(spec, directory, search)
        for _ in range(5):
            job = driver.next_job()
            assert job is not None
            run_leg(driver, job)
        said = []
        for _ in range(5):
            job = driver.next_job()
            assert job is not None
            path = handed_over(Path(job.directory), 2)
            if path.exists() and harm == "gone":
                path.unlink()
            elif path.exists() and harm == "damaged":
                path.write_bytes(path.read_bytes()[:2000])
            said += run_leg(driver, job)
        notices = [message.reason for message in said if message.kind == "notice"]
        assert len(notices) == (0 if harm == "none" else 1), notices
        ends.append({number: view.value for number, view in driver.trials.items()})
    assert ends[0] == ends[1] == ends[2]


def test_ancestors_are_trained_again_from_where_a_kill_left_them(file: Path, tmp_path: Path) -> None:
    """A chain of three stints whose state is lost: each of its epochs is trained once, whenever the worker is killed."""
    spec = load_sweep(file, ["early_terminate={type: pbt, interval: 1, quantile: 0.4}"])
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, "memory", spec_text(spec)))
    while (job := driver.next_job()) is not None and len(job.schedule) < 3:
        run_leg(driver, job)
    assert job is not None, "none took over from one that had taken over"
    at, lost = job.schedule[-1]["from_epoch"], replace(job, directory=str(tmp_path / "lost"))

    def first_own(job: Job) -> Mapping[str, float]:
        return next(said.metrics for said in run_trial(job, None) if said.kind == "epoch" and said.epoch == at + 1)

    epochs = []
    for _ in range(at):  # killed after each of them
        messages = run_trial(lost, None)
        epochs.append(next(said.epoch for said in messages if said.kind == "ancestor"))
        next(messages)
        messages.close()
    assert epochs == list(range(1, at + 1))
    again, undisturbed = first_own(lost), first_own(job)
    assert {name: at for name, at in again.items() if name not in SPEEDS} == {
        name: at for name, at in undisturbed.items() if name not in SPEEDS
    }
    drop_checkpoint(tmp_path / "lost")
    assert [path.name for path in (tmp_path / "lost").iterdir()] == ["pictures"]  # which wait to be sent


def test_members_that_collapse_or_fail_leave(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file, ["collapse={min_active_units: 1, min_rate: 0.1, action: stop}"])
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, "memory", spec_text(spec)))
    for _ in range(5):
        assert driver.next_job() is not None
    good = {"val/neg_elbo": 1.0, "val/active_units": 4.0, "val/rate": 3.0}

    def tell(number: int, epoch: int, **changes: float) -> bool:
        metrics = {**good, **{f"val/{name}": value for name, value in changes.items()}}
        return driver.hear(number, Message("epoch", epoch=epoch, metrics=metrics, annealed=True))

    for number in range(3):
        assert tell(number, 1)
        assert not tell(number, 2, neg_elbo=float(number))
    assert driver.next_job() is None
    assert driver.waits
    assert tell(3, 1)
    assert not tell(3, 2, rate=0.0)
    assert driver.trials[3].state == "COLLAPSED"
    assert driver.next_job() is None, "one is still on its way"
    driver.lost(4, "its worker died")
    jobs = [job for _ in range(3) if (job := driver.next_job()) is not None]
    assert [job.number for job in jobs] == [0, 1, 2]
    assert [len(job.schedule) for job in jobs] == [1, 1, 2]
    assert driver.next_job() is None
    for number in range(3):
        driver.lost(number, "its worker died")
    assert not driver.waits


def test_collapsed_ones_that_go_on_are_the_worst(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file, ["collapse={min_active_units: 1, min_rate: 0.1, action: report}", "run_cap=2"])
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, "memory", spec_text(spec)))
    for number, (value, rate) in enumerate([(1.0, 0.0), (9.0, 3.0)]):
        assert driver.next_job() is not None
        metrics = {"val/neg_elbo": value, "val/active_units": 4.0, "val/rate": rate}
        assert not driver.hear(number, Message("epoch", epoch=2, metrics=metrics, annealed=True))
    job = driver.next_job()
    assert job is not None
    assert [stint["number"] for stint in job.schedule] == [1, 0]


def test_no_barrier_while_annealing(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file)
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, "memory", spec_text(spec)))
    assert driver.next_job() is not None
    metrics = {"val/neg_elbo": 1.0}
    assert driver.hear(0, Message("epoch", epoch=2, metrics=metrics, annealed=False))
    assert driver.hear(0, Message("epoch", epoch=3, metrics=metrics, annealed=True))
    assert not driver.hear(0, Message("epoch", epoch=4, metrics=metrics, annealed=True))


def test_a_budget_lets_those_that_have_begun_go_on(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file, ["budget={target: 5.0}"])
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, "memory", spec_text(spec)))
    for number, value in enumerate([9.0, 4.0]):
        assert driver.next_job() is not None
        assert not driver.hear(number, Message("epoch", epoch=2, metrics={"val/neg_elbo": value}, annealed=True))
    jobs = [driver.next_job(), driver.next_job(), driver.next_job()]
    assert [job and job.number for job in jobs] == [0, 1, None]
    assert driver.ended_by is not None
    assert driver.ended_by.startswith("target: trial 1")


def at_barrier(driver: Driver, numbers: Sequence[int], epoch: int = 2) -> None:
    """Members in their order begin, or go on, and come to a barrier; lower numbers are better."""
    for number in numbers:
        job = driver.next_job()
        assert job is not None
        assert job.number == number
        assert not driver.hear(number, Message("epoch", epoch=epoch, metrics={"val/neg_elbo": float(number)}, annealed=True))


def test_a_budget_that_is_used_up_again_waits_for_those_that_had_begun(file: Path, tmp_path: Path) -> None:
    """Three of five had begun when the driver was killed; the target is reached while they are taken up one by one."""
    spec = load_sweep(file, ["budget={target: 0.0}"])
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, url, spec_text(spec)))
    for number in range(3):
        assert driver.next_job() is not None
        assert driver.hear(number, Message("epoch", epoch=1, metrics={"val/neg_elbo": 9.0}, annealed=True))
    driver, _ = driver_of(spec, tmp_path, Search.resume(spec, url))
    assert not driver.is_over
    at_barrier(driver, range(3))
    jobs = [driver.next_job() for _ in range(4)]
    assert [job and len(job.schedule) for job in jobs] == [1, 1, 2, None], "the barrier is decided by three"
    assert driver.ended_by is not None
    assert driver.ended_by.startswith("target: trial 0")


def test_device_hours_used_up_before_a_kill_leave_none_behind(file: Path, tmp_path: Path) -> None:
    spec = load_sweep(file, ["budget={device_hours: 0.001}"])
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, url, spec_text(spec)))
    for number in range(3):
        assert driver.next_job() is not None
        said = Message("epoch", epoch=1, seconds=1.5, metrics={"val/neg_elbo": 9.0}, annealed=True)
        assert driver.hear(number, said)
    assert driver.next_job() is None
    assert driver.ended_by == "device_hours"
    driver.close()
    driver, _ = driver_of(spec, tmp_path, Search.resume(spec, url))
    assert not driver.is_over
    at_barrier(driver, range(3))
    at_barrier(driver, range(3), epoch=4)
    assert driver.ended_by == "device_hours"


def test_none_joins_after_a_barrier(file: Path, tmp_path: Path) -> None:
    """Two of five had begun when their time was over: a resume, with a new allowance, goes on with them alone."""
    spec = load_sweep(file, ["budget={max_failures: 1}"])
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, url, spec_text(spec)))
    at_barrier(driver, [0, 1])
    assert driver.next_job() is not None
    driver.lost(2, "out of memory")
    assert [len(job.schedule) for job in (driver.next_job(), driver.next_job()) if job] == [1, 2]
    assert driver.ended_by == "max_failures: 1 trials have failed"
    driver.close()

    driver, _ = driver_of(spec, tmp_path, Search.resume(spec, url))
    assert not driver.is_over
    at_barrier(driver, [0, 1], epoch=4)
    assert [job and len(job.schedule) for job in (driver.next_job(), driver.next_job())] == [1, 2]
    assert driver.next_job() is None
    assert driver.ended_by == "population: none can join it after its first barrier"
    for number in range(2):
        driver.lost(number, "out of memory")
    driver, _ = driver_of(spec, tmp_path, Search.resume(spec, url))
    assert driver.is_over


@pytest.mark.parametrize("begun", [2, 5])
def test_an_ordered_stop_ends_at_the_barrier(file: Path, tmp_path: Path, begun: int) -> None:
    """None goes on from there, nor is anything decided without those that have not begun, until the sweep is gone on with."""
    spec = load_sweep(file)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    driver, _ = driver_of(spec, tmp_path, Search.create(spec, url, spec_text(spec)))
    for number in range(begun):
        assert driver.next_job() is not None
        assert driver.hear(number, Message("epoch", epoch=1, metrics={"val/neg_elbo": 9.0}, annealed=True))
    if begun == 5:
        assert driver.next_job() is None
        assert driver.ended_by == "run_cap"
    driver.orders = lambda: Orders(stop="after")
    driver._looked_s = -math.inf
    for number in range(begun):
        assert not driver.hear(number, Message("epoch", epoch=2, metrics={"val/neg_elbo": float(number)}, annealed=True))
    assert driver.next_job() is None
    assert not driver.waits
    driver.close()
    assert driver.state() == "INTERRUPTED"
    assert {view.state for view in driver.trials.values()} == {"STOPPED"}

    driver, _ = driver_of(spec, tmp_path, Search.resume(spec, url))
    for number in range(5):
        job = driver.next_job()
        assert job is not None
        assert job.number == number
        assert not driver.hear(number, Message("epoch", epoch=2, metrics={"val/neg_elbo": float(number)}, annealed=True))
    jobs = [job for _ in range(5) if (job := driver.next_job()) is not None]
    assert [len(job.schedule) for job in jobs] == [1, 1, 1, 1, 2]


def test_the_record_tells_the_schedule(swept: Path) -> None:
    trials = load_trials("tiny", home=swept)
    schedules = {row["trial"]: json.loads(row["schedule"]) for _, row in trials.iterrows()}
    took_over = {number: schedule for number, schedule in schedules.items() if len(schedule) > 1}
    assert took_over, "three barriers"
    curves = load_curves("tiny", home=swept)
    marks = curves[curves["metric"] == "population/donor"]
    for number, schedule in took_over.items():
        last = schedule[-1]
        row = trials.set_index("trial").loc[number]
        assert last["number"] == number
        assert row["optimizer.lr"] == last["parameters"]["optimizer.lr"], "the table has what it ended with"
        mark = marks[(marks["trial"] == number) & (marks["epoch"] == last["from_epoch"])]
        assert list(mark["value"]) == [float(schedule[-2]["number"])]
        rates = curves[(curves["trial"] == number) & (curves["metric"] == "train/lr")].set_index("epoch")["value"]
        assert rates[last["from_epoch"] + 1] == last["parameters"]["optimizer.lr"]
    told = " ".join(summary(trials, sweep_row("tiny", home=swept)))
    assert f"{len(took_over)} of 5 trials went on from another's weights" in told
    assert "vae-sweeps confirm" not in told


def test_the_study_keeps_first_points_and_schedules(swept: Path) -> None:
    import optuna

    study = optuna.load_study(study_name="tiny", storage=open_storage(f"sqlite:///{swept / 'optuna.db'}"))
    assert {name for name in study.user_attrs if name.startswith("barrier:")} == {"barrier:2", "barrier:4", "barrier:6"}
    kept = {trial.user_attrs["number"]: trial for trial in study.trials}
    changed = [trial for trial in kept.values() if "schedule" in trial.user_attrs]
    assert changed
    for trial in changed:
        chain = trial.user_attrs["schedule"]
        assert chain[0]["parameters"] == kept[chain[0]["number"]].params, "a chain begins with a first point"
        assert chain[-1]["parameters"] != trial.params


@pytest.mark.parametrize("number", range(5))
def test_every_trial_is_bitwise_the_same_again(swept: Path, number: int) -> None:
    result = reproduce(f"tiny/{number}", resolve_home(swept), lambda message: None)
    assert result.same, result.differences
    assert result.epochs == 7
    assert result.values >= 70


def test_commands_know_of_it(swept: Path, tmp_path: Path) -> None:
    def typed(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*words, "--home", str(swept)])
        return result.exit_code, result.output

    trials = load_trials("tiny", home=swept)
    number = next(row["trial"] for _, row in trials.iterrows() if len(json.loads(row["schedule"])) > 1)
    code, output = typed("show", f"tiny/{number}")
    assert code == 0
    assert f": trial {number}, lr " in output
    assert "epochs 1 to " in output
    with pytest.raises(LaunchError, match="a schedule, not a configuration"):
        make_confirmation("tiny", resolve_home(swept), top=None, seeds=None, name="confirmed")
    code, _ = typed("resume", "tiny", "--debug")
    assert code == 0
    pd.testing.assert_frame_equal(load_trials("tiny", home=swept), trials)


def test_the_plan_tells_the_barriers(file: Path) -> None:
    result = CliRunner().invoke(app, ["plan", str(file), "--profile", "none"])
    assert result.exit_code == 0
    assert "barriers after epochs 2, 4, 6" in result.output
    assert "1 of 5 may" in " ".join(result.output.split())


def test_it_is_no_warm_start_where_parameters_changed(swept: Path, tmp_path: Path) -> None:
    """A score of a schedule is told to nobody as that of its first point."""
    trials = load_trials("tiny", home=swept)
    unchanged = sum(len(json.loads(schedule)) == 1 for schedule in trials["schedule"])
    text = FIVE.replace("early_terminate: {type: pbt, interval: 2}\n", "").replace("name: tiny", "name: later")
    text = text.replace("method: random", "method: tpe").replace("{seed: 1}", "{seed: 1, warm_start: {from: [tiny]}}")
    (tmp_path / "later.yaml").write_text(text.replace("run_cap: 5", "run_cap: 1"))
    run_sweep(tmp_path / "later.yaml", home=swept, debug=True)
    import optuna

    later = optuna.load_study(study_name="later", storage=open_storage(f"sqlite:///{swept / 'optuna.db'}"))
    told = [trial for trial in later.trials if "earlier" in trial.user_attrs]
    assert len(told) == unchanged < 5


def test_another_seed_decides_otherwise(file: Path, tmp_path: Path, swept: Path) -> None:
    run_sweep(file, home=tmp_path / "home", debug=True, overrides=["search.seed=2"])
    assert set(load_trials("tiny", home=tmp_path / "home")["schedule"]) != set(load_trials("tiny", home=swept)["schedule"])


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_table(file: Path, tmp_path: Path, swept: Path, workers: int) -> None:
    home = tmp_path / "home"
    run_sweep(file, home=home, overrides=[f"resources.max_concurrent_trials={workers}"])
    assert_same(home, comparable("tiny", swept))


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(("launcher", "blows"), [(["--debug"], [3, 10, 19, 33]), ([], [10])], ids=["debug", "ray"])
def test_killed_at_many_moments(file: Path, tmp_path: Path, swept: Path, launcher: list[str], blows: list[int]) -> None:
    """SIGKILL, among other moments around barriers: the record is bitwise that of the undisturbed population."""
    home = tmp_path / "home"
    process = start("run", file, "--home", home, *launcher)
    for epochs in blows:
        wait_for_epochs(process, home, epochs)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=120)
        process = start("resume", "tiny", "--home", home, *launcher)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert_same(home, comparable("tiny", swept))
    assert not list(home.glob("trials/tiny/*/state*"))


@pytest.mark.slow
def test_stopped_and_gone_on_with(file: Path, tmp_path: Path, swept: Path) -> None:
    home = tmp_path / "home"
    process = start("run", file, "--home", home, "--debug")
    wait_for_epochs(process, home, 12)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert set(load_trials("tiny", home=home)["state"]) == {"STOPPED"}
    code, output = command("resume", "tiny", "--home", home, "--debug")
    assert code == 0, output
    assert_same(home, comparable("tiny", swept))
    assert load_sweeps(home=home)["state"].tolist() == ["FINISHED"]


def test_a_larger_population_cannot_be_made_of_it(swept: Path) -> None:
    from orchestration.launch import resume_sweep

    with pytest.raises(LaunchError, match="one population"):
        resume_sweep("tiny", home=swept, run_cap=7, debug=True)
