"""How a sweep ends, and what its record says of that, whenever it is told to."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from typer.testing import CliRunner

from orchestration import run_sweep
from orchestration.cli import app
from orchestration.control import Orders, read, write
from orchestration.driver import Driver
from orchestration.errors import StudyRefused
from orchestration.messages import Message
from orchestration.spec import SweepSpec, load_sweep, spec_text
from orchestration.stored import open_storage
from orchestration.study import Search
from orchestration.watchdog import take_hang
from tests.orchestration.test_driver import Heard, driver_of, epoch

BEGUN = Message("start", facts={"data.fingerprint": "abc"})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def begun(spec: SweepSpec, url: str, tmp_path: Path, trials: int) -> Driver:
    """A driver whose first trials have started."""
    driver, _ = driver_of(spec, Search.create(spec, url, spec_text(spec)), tmp_path)
    for number in range(trials):
        assert driver.next_job() is not None
        assert driver.hear(number, BEGUN)
    return driver


def resumed(spec: SweepSpec, url: str, tmp_path: Path) -> tuple[Driver, Heard]:
    return driver_of(spec, Search.resume(spec, url), tmp_path)


def complete(driver: Driver, number: int, value: float = 5.0) -> None:
    driver.hear(number, Message("final", epoch=1, metrics={"best/val/neg_elbo": value}))
    driver.hear(number, Message("end", state="COMPLETE"))


TARGET = ["run_cap=4", "budget={target: 5.0}"]


def test_a_resume_that_ends_at_once_leaves_no_zombies(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, TARGET)
    driver = begun(spec, url, tmp_path, 3)
    assert driver.hear(2, epoch(1, 4.0))
    assert driver.hear(0, epoch(1, 4.5))
    complete(driver, 2)
    del driver  # as by kill -9: trials 0 and 1 are RUNNING in the record

    driver, heard = resumed(spec, url, tmp_path)
    assert driver.is_over, "no Ray is needed to find that out"
    assert driver.next_job() is None
    driver.close()
    assert heard.ended == [(0, "STOPPED"), (1, "STOPPED")]
    assert driver.state() == "FINISHED"


def test_one_that_was_stopped_in_good_order_is_left_as_it_is(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, TARGET)
    driver = begun(spec, url, tmp_path, 1)
    driver.stopping = True
    driver.close()
    driver, heard = resumed(spec, url, tmp_path)
    driver.stopping = True
    driver.close()
    assert heard.ended == [], "the record knows why and when"


@pytest.mark.parametrize("fate", ["failed", "killed"])
def test_a_target_is_kept_by_a_complete_trial_alone(tiny: Path, url: str, tmp_path: Path, fate: str) -> None:
    """One that failed is no winner; one whose driver was killed is trained to its end, and reaches it again on the way."""
    spec = load_sweep(tiny, [*TARGET, "trial.training.epochs=3"])
    driver = begun(spec, url, tmp_path, 1)
    assert driver.hear(0, epoch(1, 4.0))
    if fate == "failed":
        driver.lost(0, "out of memory")
    assert driver.next_job() is None
    assert driver.ended_by == "target: trial 0 reached val/neg_elbo 4 at epoch 1"
    driver, _ = resumed(spec, url, tmp_path)
    assert not driver.is_over
    job = driver.next_job()
    assert job is not None
    assert job.number == (1 if fate == "failed" else 0)
    assert driver.hear(job.number, epoch(1, 4.0)), "trained on"
    assert driver.next_job() is None
    assert driver.ended_by == f"target: trial {job.number} reached val/neg_elbo 4 at epoch 1"


def test_those_that_were_taken_up_again_end_by_themselves(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["run_cap=2"])
    begun(spec, url, tmp_path, 2)
    driver, heard = resumed(spec, url, tmp_path)
    driver.next_job()
    complete(driver, 0)
    driver.stopping = True
    driver.close()
    assert heard.ended == [(0, "COMPLETE"), (1, "STOPPED")]
    assert driver.state() == "INTERRUPTED"


@pytest.mark.parametrize("late", ["signal", "stop now", "stop after"])
@pytest.mark.parametrize("again", [False, True], ids=["at its end", "resumed"])
def test_what_is_finished_stays_finished(
    tiny: Path, url: str, tmp_path: Path, late: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.driver.LOOK_EVERY_S", 0.0)
    spec = load_sweep(tiny, ["run_cap=2"])
    driver = begun(spec, url, tmp_path, 2)
    complete(driver, 0)
    if again:
        complete(driver, 1)
        driver, _ = resumed(spec, url, tmp_path)
    control = tmp_path / "control.json"
    driver.orders = partial(read, control)
    if late == "stop after":
        write(control, Orders(stop="after"))
        driver.look()
    if not again:
        complete(driver, 1)
    if late == "stop now":
        write(control, Orders(stop="now"))
    driver.stopping = late == "signal"
    assert driver.next_job() is None
    driver.close()
    assert (driver.state(), driver.ended_by) == ("FINISHED", "run_cap")


def test_a_stop_with_trials_left_is_an_interruption(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, ["run_cap=3"])
    driver = begun(spec, url, tmp_path, 1)
    complete(driver, 0)
    control = tmp_path / "control.json"
    driver.orders = partial(read, control)
    write(control, Orders(stop="after"))
    driver._looked_s = -math.inf
    assert driver.next_job() is None
    driver.close()
    assert (driver.state(), driver.ended_by) == ("INTERRUPTED", "stopped")


def test_a_study_that_refuses_ends_the_sweep_and_loses_nothing(
    tiny: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = load_sweep(tiny, ["run_cap=2"])
    driver = begun(spec, url, tmp_path, 1)
    assert driver.hear(0, epoch(1, 9.0))

    def refuse(*_: Any, **__: Any) -> None:
        raise StudyRefused("the study's database refuses: password authentication failed")

    with monkeypatch.context() as patched:
        for method in ("report", "tell", "set_seconds"):
            patched.setattr(Search, method, refuse)
        assert not driver.hear(0, epoch(2, 8.0))
        assert driver.stopping
        assert driver.next_job() is None
        driver.close()
    assert driver.state() == "INTERRUPTED"
    assert driver.ended_by == "interrupted: the study's database refuses: password authentication failed"
    assert capsys.readouterr().err.count("password authentication failed") == 1
    driver, _ = resumed(spec, url, tmp_path)
    job = driver.next_job()
    assert job is not None
    assert job.number == 0


SEVERAL = [
    "metrics=[{name: val/neg_elbo}, {name: val/rate, goal: maximize}]",
    "method=tpe",
    "run_cap=4",
    "budget={target: 5.0}",
]


def test_the_target_of_several_metrics_is_remembered(tiny: Path, url: str, tmp_path: Path) -> None:
    text = tiny.read_text().replace("metric: {name: val/neg_elbo, goal: minimize}\n", "")
    tiny.write_text(text)
    spec = load_sweep(tiny, SEVERAL)
    driver = begun(spec, url, tmp_path, 2)
    assert driver.hear(0, epoch(1, 9.0))
    assert driver.hear(0, epoch(2, 4.0))
    assert driver.hear(1, epoch(1, 9.0))
    left_alone = driver.next_job(), driver.ended_by
    driver.hear(0, Message("final", epoch=2, metrics={"best/val/neg_elbo": 4.0, "best/val/rate": 1.0}))
    driver.hear(0, Message("end", state="COMPLETE"))
    driver, _ = resumed(spec, url, tmp_path)
    assert (driver.next_job(), driver.ended_by) == left_alone
    assert left_alone == (None, "target: trial 0 reached val/neg_elbo 4 at epoch 2")
    assert driver._search.heard == {0: 2, 1: 1}


def test_optuna_is_never_handed_nan(tiny: Path, url: str, tmp_path: Path) -> None:
    """A metric that is no number is the worst there is: in a rung it pushes nobody out, and it wins nothing."""
    changes = ["early_terminate={type: asha, min_epochs: 1, eta: 2}", "outcome_constraints=['val/rate > 1']", "run_cap=4"]
    spec = load_sweep(tiny, [*changes, "trial.training.epochs=8"])
    driver = begun(spec, url, tmp_path, 3)
    assert driver.hear(0, epoch(1, math.nan)), "alone at its rung"
    assert driver.hear(1, epoch(1, 7.0))
    assert driver.hear(2, epoch(1, 6.0)), "one of the two best of three"
    driver.hear(0, Message("final", epoch=2, metrics={"best/val/neg_elbo": math.nan, "best/val/rate": math.nan}))
    driver.hear(0, Message("end", state="COMPLETE"))
    assert (driver.trials[0].state, driver.trials[0].reason) == ("FAILED", "best/val/neg_elbo is nan")
    driver.hear(1, Message("final", epoch=2, metrics={"best/val/neg_elbo": 7.0, "best/val/rate": math.nan}))
    driver.hear(1, Message("end", state="COMPLETE"))
    assert driver.best() is None, "its constraint is violated"
    for trial in optuna.load_study(study_name="tiny", storage=open_storage(url)).trials:
        handed = [*(trial.values or ()), *trial.intermediate_values.values(), *trial.constraints.values()]
        assert not any(map(math.isnan, handed))


def test_a_hang_is_the_cause_of_one_end_only(tmp_path: Path) -> None:
    """The next worker may die of something else before it has taken a step."""
    pytest.importorskip("ray")
    from orchestration.launch_ray import DriverScheduler

    (tmp_path / "hang.txt").write_text(
        'Timeout (0:00:01)!\n\nThread 1:\n  File "a.py", line 3 in wait\n  File "w.py", line 9 in run_trial\n'
    )
    said: list[str] = []
    driver = SimpleNamespace(retried=lambda number, cause: said.append(cause), lost=lambda number, cause: said.append(cause))
    job = json.dumps({"number": 7, "directory": str(tmp_path)})
    errors = iter([RuntimeError("the actor died"), RuntimeError("out of memory")])
    trial = SimpleNamespace(config={"job": job}, status="ERROR", get_error=lambda: next(errors))
    scheduler = DriverScheduler(driver)  # type: ignore[arg-type]
    scheduler.on_trial_error(None, trial)  # type: ignore[arg-type]
    trial.status = "TERMINATED"
    trial.get_error = lambda: RuntimeError("out of memory")
    scheduler.on_trial_error(None, trial)  # type: ignore[arg-type]
    assert said == ["no message within budget.trial_timeout; it hung in wait (a.py:3)", "worker lost 3 times: out of memory"]
    assert take_hang(tmp_path) is None
    assert not (tmp_path / "artifacts").exists(), "no traceback of another end"


def test_a_used_up_budget_is_not_mended_by_more_trials(tiny: Path, home: Path) -> None:
    """What ended it is said; a larger run_cap is offered where that was used up."""
    run_sweep(tiny, home=home, debug=True, overrides=["budget={device_hours: 1e-9}"])
    told = CliRunner().invoke(app, ["resume", "tiny", "--debug", "--home", str(home)])
    assert told.exit_code == 0, told.output
    assert "nothing was left to do\nended by device_hours; 1 of 4 trials" in told.output
    run_sweep(tiny, home=home, debug=True, name="whole", overrides=["run_cap=1"])
    told = CliRunner().invoke(app, ["resume", "whole", "--debug", "--home", str(home)])
    assert f"nothing was left to do; more trials: vae-sweeps resume whole --run-cap N --home {home}" in told.output
