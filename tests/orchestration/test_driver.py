"""The driver's decisions, message by message, on a real study; the record is a list."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestration.control import Orders, read, write
from orchestration.driver import Driver
from orchestration.messages import Message
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.study import Search


class Heard:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.started: dict[int, Mapping[str, Any]] = {}
        self.ended: list[tuple[int, str]] = []

    def trial_started(
        self, number: int, params: Mapping[str, Any], fingerprint: str, seed: int | None, tags: Mapping[str, str]
    ) -> None:
        self.started[number] = params

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        pass

    def pictures(self, number: int, directory: str) -> None:
        pass

    def trial_ended(self, number: int, state: str, reason: str, artifacts: Path | None, seconds: float) -> None:
        self.ended.append((number, state))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def driver_of(spec: SweepSpec, search: Search, tmp_path: Path) -> tuple[Driver, Heard]:
    heard = Heard()
    return Driver(spec, search, heard, lambda number: tmp_path / "trials" / str(number), {}), heard


def epoch(number: int, value: float, annealed: bool = True) -> Message:
    return Message("epoch", epoch=number, metrics={"val/neg_elbo": value}, annealed=annealed)


ASHA = ["early_terminate={type: asha, min_epochs: 2, eta: 2}", "trial.training.epochs=8", "run_cap=6"]


def test_a_resumed_trial_is_not_judged_again_at_rungs_that_it_passed(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ASHA)
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    first, second = driver.next_job(), driver.next_job()
    assert first is not None
    assert second is not None
    assert all(driver.hear(0, epoch(number, 9.0)) for number in (1, 2, 3))  # alone at its rung: passes
    assert all(driver.hear(1, epoch(number, 5.0)) for number in (1, 2))  # better
    del driver  # as by kill -9

    driver, heard = driver_of(spec, Search.resume(spec, url), tmp_path)
    assert driver.next_job() == first
    assert driver.next_job() == second
    assert all(driver.hear(1, epoch(number, 5.0)) for number in (1, 2, 3, 4))
    assert driver.hear(0, epoch(1, 9.0))
    assert driver.hear(0, epoch(2, 9.0)), "an earlier driver let it pass"
    assert driver.hear(0, epoch(3, 9.0))
    assert not driver.hear(0, epoch(4, 9.0)), "the next rung judges it"
    assert heard.ended == [(0, "PRUNED")]


def test_a_worker_that_says_an_epoch_again_changes_nothing(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ASHA)
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    driver.next_job()
    driver.next_job()
    assert all(driver.hear(0, epoch(number, 9.0)) for number in (1, 2))
    assert all(driver.hear(1, epoch(number, 5.0)) for number in (1, 2))
    assert all(driver.hear(0, epoch(number, 9.0)) for number in (1, 2, 3))
    assert heard.ended == []


def test_what_ends_before_its_worker_has_a_word_is_known_by_its_parameters(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny)
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    driver.next_job()
    driver.next_job()
    driver.lost(0, "worker lost 3 times")
    driver.close()
    assert heard.ended == [(0, "FAILED"), (1, "STOPPED")]
    for number, view in driver.trials.items():
        assert heard.started[number]["optimizer.lr"] == view.assignment["optimizer.lr"]


def test_no_decision_while_annealing(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, [*ASHA, "collapse={min_active_units: 4, min_rate: 0.1, action: stop}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number in range(3):
        driver.next_job()
        collapsed = {"val/neg_elbo": float(number), "val/active_units": 0.0, "val/rate": 0.0}
        assert driver.hear(number, Message("epoch", epoch=2, metrics=collapsed, annealed=False))
    assert not driver.hear(0, Message("epoch", epoch=3, metrics=collapsed, annealed=True))
    assert driver.trials[0].state == "COLLAPSED"


def with_posterior(number: int, value: float, rate: float) -> Message:
    metrics = {"val/neg_elbo": value, "val/active_units": 4.0, "val/rate": rate}
    return Message("epoch", epoch=number, metrics=metrics, annealed=True)


@pytest.mark.parametrize("action", ["stop", "report"])
@pytest.mark.parametrize("again", [False, True], ids=["at once", "resumed"])
def test_a_collapsed_trial_pushes_no_healthy_one_out(tiny: Path, url: str, tmp_path: Path, action: str, again: bool) -> None:
    """A collapsed posterior can have the better ELBO; its values are in no rung, nor after a kill."""
    spec = load_sweep(tiny, [*ASHA, f"collapse={{min_active_units: 1, min_rate: 0.1, action: {action}}}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for _ in range(3):
        driver.next_job()
    for number in range(2):
        assert driver.hear(number, with_posterior(1, 1.0, rate=1.0))
        assert driver.hear(number, with_posterior(2, 1.0, rate=0.0)) == (action == "report")
    if again:
        del driver  # as by kill -9
        driver, _ = driver_of(spec, Search.resume(spec, url), tmp_path)
        while driver.next_job() is not None and 2 not in driver.trials:
            pass
    assert driver.hear(2, with_posterior(2, 9.0, rate=1.0)), "alone at its rung"
    assert driver.trials[2].state == "RUNNING"


def test_the_last_epoch_counts_at_its_rung(tiny: Path, url: str, tmp_path: Path) -> None:
    """Also for a driver that has only read of it: trials of unequal length are judged alike before and after a kill."""
    changes = ["early_terminate={type: asha, min_epochs: 2, eta: 2}", "method=grid", "run_cap=9", "trial.training={}"]
    spec = load_sweep(tiny, [*changes, "parameters={training.epochs: {values: [2, 8]}}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    epochs = {}
    for _ in range(2):
        job = driver.next_job()
        assert job is not None
        epochs[job.config["training"]["epochs"]] = job.number
    short, long = epochs[2], epochs[8]
    assert all(driver.hear(short, epoch(number, 1.0)) for number in (1, 2))
    assert driver.hear(long, epoch(1, 9.0))
    assert not driver.hear(long, epoch(2, 9.0))
    assert driver.trials[long].reason == "not among the best 1 of 2 at epoch 2"


def test_a_grid_point_half_asked_is_asked_again(tiny: Path, url: str, tmp_path: Path) -> None:
    """Killed inside ``ask``, a trial of the grid has only some of its parameters."""
    import optuna

    from orchestration.stored import open_storage

    changes = ["method=grid", "run_cap=9", "parameters={objective.beta: {values: [0.1, 0.5]}, seed: {values: [7, 8]}}"]
    spec = load_sweep(tiny, changes)
    Search.create(spec, url, spec_text(spec))
    study = optuna.load_study(study_name="tiny", storage=open_storage(url))
    study.enqueue_trial({"objective.beta": 0.5, "seed": 8}, user_attrs={"number": 0})
    study.ask().suggest_categorical("objective.beta", [0.1, 0.5])
    assert Search.resume(spec, url).ask() == (0, {"objective.beta": 0.5, "seed": 8})


def test_failures_end_the_sweep(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["budget={max_failures: 2}"])
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number in range(2):
        assert driver.next_job() is not None
        driver.lost(number, "the worker died")
    assert driver.next_job() is None
    assert driver.state() == "FAILED"
    assert driver.ended_by == "max_failures: 2 trials have failed"
    assert heard.ended == [(0, "FAILED"), (1, "FAILED")]


def test_the_wall_time_ends_the_sweep(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["budget={wall_time: 0s}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    assert driver.next_job() is None
    assert driver.ended_by == "wall_time"


def test_an_interruption_leaves_no_trial_running(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny)
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    driver.next_job()
    driver.stopping = True
    assert not driver.hear(0, epoch(1, 1.0))
    assert driver.next_job() is None
    driver.close()
    assert driver.running == []
    assert heard.ended == [(0, "STOPPED")]
    assert driver.state() == "INTERRUPTED"


def test_a_bug_in_every_trial_is_noticed_after_three(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["run_cap=12"])
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number in range(3):
        assert driver.next_job() is not None
        assert driver.hear(number, epoch(1, 9.0 + number))
        driver.lost(number, f"RuntimeError: cannot allocate {number + 2}.5 GiB at step {number}")
    assert driver.next_job() is None
    assert driver.ended_by == ("same_failure: the first 3 trials failed alike: RuntimeError: cannot allocate 2.5 GiB at step 0")
    assert driver.state() == "FAILED"
    assert heard.ended == [(number, "FAILED") for number in range(3)]

    resumed, _ = driver_of(spec, Search.resume(spec, url), tmp_path)
    for number in range(3, 5):
        assert resumed.next_job() is not None, "a resume starts anew"
        resumed.lost(number, "RuntimeError: cannot allocate 9.5 GiB at step 9")
    assert resumed.next_job() is not None


@pytest.mark.parametrize("evidence", ["another cause", "one that is complete", "one that has got further"])
def test_failures_that_are_not_all_alike_end_nothing(tiny: Path, url: str, tmp_path: Path, evidence: str) -> None:
    spec = load_sweep(tiny, ["run_cap=12"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number in range(4):
        assert driver.next_job() is not None
        assert driver.hear(number, epoch(1, 9.0))
    if evidence == "one that is complete":
        driver.trials[0].metrics["best/val/neg_elbo"] = 9.0
        driver.hear(0, Message("end", state="COMPLETE"))
    if evidence == "one that has got further":
        driver.hear(0, epoch(2, 9.0))
    for number in range(1, 4):
        driver.lost(number, "KeyError: 'x'" if number == 3 and evidence == "another cause" else "ValueError: no")
    assert driver.next_job() is not None


def test_the_target_ends_the_asking_and_no_training(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["run_cap=12", "budget={target: 5.0}", "trial.training.epochs=8"])
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    driver.next_job()
    assert driver.hear(0, epoch(1, 4.0, annealed=False)), "not yet annealed: counts for nothing"
    assert driver.next_job() is not None
    assert driver.hear(1, epoch(1, 5.01))
    assert driver.hear(0, epoch(2, 5.0)), "the trial that reached it is trained to its end"
    assert driver.next_job() is None
    assert driver.ended_by == "target: trial 0 reached val/neg_elbo 5 at epoch 2"
    assert driver.hear(1, epoch(2, 6.0)), "and so are the others"
    for number in range(2):
        driver.trials[number].metrics["best/val/neg_elbo"] = 5.0
        driver.hear(number, Message("end", state="COMPLETE"))
    assert driver.state() == "FINISHED"
    assert heard.ended == [(0, "COMPLETE"), (1, "COMPLETE")]

    resumed, _ = driver_of(spec, Search.resume(spec, url), tmp_path)
    assert resumed.next_job() is None, "the target stays reached"
    assert resumed.ended_by == "target: trial 0 reached val/neg_elbo 5 at epoch 2"


def test_a_collapsed_trial_reaches_no_target(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["budget={target: 5.0}", "collapse={min_active_units: 2, action: report}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    driver.next_job()
    metrics = {"val/neg_elbo": 1.0, "val/active_units": 0.0, "val/rate": 0.0}
    driver.hear(0, Message("epoch", epoch=1, metrics=metrics, annealed=True))
    assert driver.next_job() is not None


def test_a_target_of_what_is_maximised(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["budget={target: 3.0}", "metric={name: val/active_units, goal: maximize}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number, units in enumerate((2.0, 3.0)):
        assert driver.next_job() is not None
        driver.hear(number, Message("epoch", epoch=1, metrics={"val/active_units": units}, annealed=True))
    assert driver.next_job() is None
    assert driver.ended_by == "target: trial 1 reached val/active_units 3 at epoch 1"


def test_device_hours_are_the_whole_sweeps(tiny: Path, url: str, tmp_path: Path) -> None:
    """A trial takes two cores: 900 s of it and 899 s of another are just below an hour."""
    spec = load_sweep(tiny, ["run_cap=12", "budget={device_hours: 1}", "resources={cpu: 2}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number, seconds in enumerate((900.0, 899.0)):
        assert driver.next_job() is not None
        driver.hear(number, Message("epoch", epoch=1, metrics={"val/neg_elbo": 9.0}, seconds=seconds))
    assert driver.next_job() is not None
    driver.close()

    resumed, _ = driver_of(spec, Search.resume(spec, url), tmp_path)
    assert resumed.budget_used == "0 of 12 trials, 0.999 of 1 device hours"
    assert resumed.next_job() is not None, "those that wait count, and leave two seconds"
    resumed.hear(0, Message("epoch", epoch=2, metrics={"val/neg_elbo": 9.0}, seconds=901.0))
    assert resumed.next_job() is None
    assert resumed.ended_by == "device_hours"


def test_orders_are_obeyed(tiny: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.driver.LOOK_EVERY_S", 0.0)
    spec = load_sweep(tiny)
    driver, heard = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    control = tmp_path / "control.json"
    lines: list[str] = []
    driver.orders, driver.log = partial(read, control), lines.append
    assert driver.next_job() is not None
    write(control, Orders(max_concurrent_trials=3))
    assert driver.hear(0, epoch(1, 9.0))
    assert driver.at_once == 3
    write(control, Orders(stop="after", max_concurrent_trials=3))
    assert driver.hear(0, epoch(2, 9.0)), "it is trained to its end"
    assert driver.next_job() is None
    assert (driver.ended_by, driver.at_once) == ("stopped", 3)
    write(control, Orders(stop="now", max_concurrent_trials=3))
    assert not driver.hear(0, epoch(3, 9.0))
    assert driver.stopping
    driver.close()
    assert (driver.state(), driver.ended_by, heard.ended) == ("INTERRUPTED", "stopped", [(0, "STOPPED")])
    assert sum("ordered" in line for line in lines) == 3
    assert any("trial 0 stopped" in line for line in lines)


def test_the_rule_knows_unfinished_trials_after_a_crash(tiny: Path, url: str, tmp_path: Path) -> None:
    """What two running trials had told counts before either is taken up again."""
    spec = load_sweep(tiny, ASHA)
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for _ in range(2):
        driver.next_job()
    assert all(driver.hear(1, epoch(number, 5.0)) for number in (1, 2, 3, 4))
    assert driver.hear(0, epoch(1, 9.0))
    del driver

    driver, heard = driver_of(spec, Search.resume(spec, url), tmp_path)
    driver.next_job()
    assert driver.hear(0, epoch(1, 9.0))
    assert not driver.hear(0, epoch(2, 9.0)), "trial 1 was at that rung before the crash"
    assert heard.ended == [(0, "PRUNED")]
