"""Orders are lost neither to one another nor to a driver that begins; what is said to the user is said once and kept."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dashboards.home import Home, resolve_home
from orchestration import launch, run_sweep
from orchestration.control import CONTROL_FILE, Orders, clear, read, write
from orchestration.driver_lock import holder, only_driver, order, require_undriven
from orchestration.driver_log import LOG_FILE
from orchestration.errors import DriverBusy, LaunchError
from orchestration.notices import TrialNotices, notices_kept
from orchestration.patience import notice
from orchestration.tracking import sweep_record
from orchestration.tracking.spool import SPOOL_FILE, Spool
from orchestration.tracking.sweep_record import send_waiting


@pytest.fixture
def where(home: Path) -> Home:
    where = resolve_home(home)
    where.sweep_dir("tiny").mkdir(parents=True)
    return where


def test_two_orders_at_once(where: Home) -> None:
    control = where.sweep_dir("tiny") / CONTROL_FILE
    with only_driver("tiny", where):
        for _ in range(100):
            clear(control)
            both = threading.Barrier(2)

            def say(both: threading.Barrier = both, **orders: Any) -> None:
                both.wait()
                order("tiny", where, **orders)

            told = [threading.Thread(target=say, kwargs=orders) for orders in ({"stop": "after"}, {"max_concurrent_trials": 3})]
            for thread in told:
                thread.start()
            for thread in told:
                thread.join()
            orders = read(control)
            assert (orders.stop, orders.max_concurrent_trials) == ("after", 3)


def test_an_order_as_soon_as_there_is_a_driver(where: Home) -> None:
    """What is given to one that begins is obeyed by it; what was given to the one before is forgotten."""
    control = where.sweep_dir("tiny") / CONTROL_FILE
    for _ in range(50):
        write(control, Orders(stop="now"))
        told = threading.Thread(target=keep_ordering, args=(where,))
        told.start()
        with only_driver("tiny", where):
            told.join()
            assert read(control).stop is None
            assert read(control).max_concurrent_trials == 3
        assert order("tiny", where, stop="now") is None, "there is nobody to hear it"


def keep_ordering(where: Home) -> None:
    while order("tiny", where, max_concurrent_trials=3) is None:
        pass


def test_an_order_before_the_driver_looks(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the lock and the first trial, while the study and the record are opened."""
    record = launch.SweepRecord

    def told_meanwhile(*arguments: Any, **options: Any) -> Any:
        assert order("tiny", resolve_home(home), stop="after") is not None
        return record(*arguments, **options)

    monkeypatch.setattr(launch, "SweepRecord", told_meanwhile)
    result = run_sweep(tiny, home=home, debug=True)
    assert (result.ended_by, result.trials) == ("stopped", [])


def test_the_second_driver_is_told_who_the_first_is(where: Home) -> None:
    with only_driver("tiny", where):
        first = holder("tiny", where)
        with pytest.raises(DriverBusy, match=f"is being run by {first}"), only_driver("tiny", where):
            raise AssertionError("there are two")
        with pytest.raises(DriverBusy, match=f"is being run by {first}: give this one another name"):
            require_undriven("tiny", where)
    assert holder("tiny", where) is None
    require_undriven("tiny", where)


def test_a_driver_that_begins_keeps_its_trials(where: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command has just sent what an earlier driver left, and would clear its trials' directories."""
    directory = where.sweep_dir("tiny")
    trial = directory / "0000"
    trial.mkdir()
    spool = Spool(directory / SPOOL_FILE)
    spool.append({"op": "note"})
    spool.close()
    with ExitStack() as driving:

        def begins_meanwhile(*arguments: Any, **options: Any) -> int:
            driving.enter_context(only_driver("tiny", where))
            return 0

        monkeypatch.setattr(sweep_record, "replay_spool", begins_meanwhile)
        assert send_waiting(where) == []
        assert trial.exists()
    monkeypatch.setattr(sweep_record, "replay_spool", lambda *arguments, **options: 0)
    assert send_waiting(where) == []
    assert not trial.exists()


def test_a_driver_waits_for_who_sends_its_records(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sending = Spool(home / "trials" / "tiny" / SPOOL_FILE)
    monkeypatch.setattr(sweep_record, "_SENDING_S", 0.5)
    changes = ["run_cap=1", "trial.training.epochs=1"]
    with pytest.raises(LaunchError, match="another command is still sending records of 'tiny'"):
        run_sweep(tiny, home=home, overrides=changes, debug=True)
    monkeypatch.undo()
    threading.Timer(2.0, sending.close).start()
    began_s = time.monotonic()
    from orchestration import resume_sweep

    result = resume_sweep("tiny", home=home, debug=True)
    assert result.state == "FINISHED"
    assert time.monotonic() - began_s >= 2.0


def test_a_notice_once_until_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    trials = TrialNotices()
    with notices_kept(lines.append):
        for _ in range(3):
            trials.say(0, "no room")
            trials.say(1, "no room")
        trials.say(0, "no GPU")
        trials.went_on(0)
        trials.say(0, "no GPU")
        elsewhere = threading.Thread(target=notice, args=("the database is away",))
        elsewhere.start()
        elsewhere.join()
    notice("not of this sweep")
    said = ["trial 0: no room", "trial 1: no room", "trial 0: no GPU", "trial 0: no GPU", "the database is away"]
    assert lines == [f"notice: {text}" for text in said]
    assert capsys.readouterr().err.splitlines() == [f"vae-sweeps: {text}" for text in [*said, "not of this sweep"]]


def test_a_sweeps_notices_are_in_its_log(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_sweep(
        tiny,
        home=home,
        overrides=["run_cap=1", "trial.training.epochs=1", "budget.trial_timeout=1h"],
        debug=True,
    )
    assert "notice: budget.trial_timeout does not hold with --debug" in (home / "trials" / "tiny" / LOG_FILE).read_text()
