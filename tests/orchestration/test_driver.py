"""The driver's decisions, message by message, on a real study; the record is a list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.driver import Driver
from orchestration.messages import Message
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.study import Search


class Heard:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, str]] = []

    def trial_started(
        self, number: int, params: Mapping[str, Any], fingerprint: str, seed: int | None, tags: Mapping[str, str]
    ) -> None:
        pass

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
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


def test_no_decision_while_annealing(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, [*ASHA, "collapse={min_active_units: 4, min_rate: 0.1, action: stop}"])
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number in range(3):
        driver.next_job()
        collapsed = {"val/neg_elbo": float(number), "val/active_units": 0.0, "val/rate": 0.0}
        assert driver.hear(number, Message("epoch", epoch=2, metrics=collapsed, annealed=False))
    assert not driver.hear(0, Message("epoch", epoch=3, metrics=collapsed, annealed=True))
    assert driver.trials[0].state == "COLLAPSED"


def test_a_grid_point_half_asked_is_asked_again(tiny: Path, url: str, tmp_path: Path) -> None:
    """Killed inside ``ask``, a trial of the grid has only some of its parameters."""
    import optuna

    from orchestration.study import open_storage

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
    driver.interrupt()
    assert driver.running == []
    assert heard.ended == [(0, "STOPPED")]
    assert driver.state() == "INTERRUPTED"
