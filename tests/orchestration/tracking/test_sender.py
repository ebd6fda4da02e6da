"""The process that sends a sweep's records: it knows the spool alone, outlives no driver, and is replaced when it dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.patience import NOTICES
from orchestration.tracking.sender import SenderProcess
from orchestration.tracking.spool import is_held
from orchestration.tracking.tracker import Tracker
from tests.orchestration.tracking.recording import (
    DEAD_SERVER,
    assert_whole,
    opened,
    spool_of,
    start,
    train,
    until,
    uri_of,
)


def process_of(tracker: Tracker) -> subprocess.Popen[str]:
    sender = tracker._sender
    assert isinstance(sender, SenderProcess)
    until(lambda: sender._process is not None)
    assert sender._process is not None
    return sender._process


def tell(tracker: Tracker, trials: range) -> None:
    for number in trials:
        start(tracker, number)
        train(tracker, number, range(1, 4))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)


def test_it_sends_all_and_goes(store: Path) -> None:
    tracker = opened(store, "apart", sender=SenderProcess)
    process = process_of(tracker)
    assert os.getsid(process.pid) != os.getsid(0), "Ctrl-C is not for it"
    tell(tracker, range(3))
    assert tracker.close() == tracker.rejected == 0
    assert tracker.trouble is None
    assert process.returncode == 0
    assert_whole(store, "apart", trials=3, epochs=3)
    assert spool_of(store, "apart").read_bytes() == b""


def test_another_takes_the_place_of_one_that_is_killed(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger=NOTICES)
    tracker = opened(store, "killed", sender=SenderProcess)
    first = process_of(tracker)
    tell(tracker, range(2))
    first.send_signal(signal.SIGKILL)
    until(lambda: process_of(tracker) is not first)
    tell(tracker, range(2, 4))
    assert tracker.close() == 0
    assert_whole(store, "killed", trials=4, epochs=3)
    said = "the process that sends records to MLflow has ended (signal 9); it is begun again"
    assert said in [record.getMessage() for record in caplog.records]


def test_one_that_is_killed_at_the_end_is_replaced_too(store: Path) -> None:
    tracker = opened(store, "last", sender=SenderProcess)
    tell(tracker, range(2))
    os.kill(process_of(tracker).pid, signal.SIGKILL)
    assert tracker.close() == 0
    assert_whole(store, "last", trials=2, epochs=3)


def test_a_machine_that_has_no_process_to_give_is_asked_again(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=NOTICES)
    own, refused = subprocess.Popen, 0

    def begin(*arguments: Any, **options: Any) -> Any:
        nonlocal refused
        refused += 1
        if refused < 3:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return own(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", begin)
    tracker = opened(store, "crowded", sender=SenderProcess)
    tell(tracker, range(2))
    process_of(tracker)
    assert tracker.close() == 0
    assert_whole(store, "crowded", trials=2, epochs=3)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, "the same is said once"
    assert "none can be begun: [Errno 12]" in said[0]


def test_what_is_no_word_of_its_own_is_passed_over(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as of what an installation prints at Python's start."""
    own = subprocess.Popen

    def begin(arguments: list[str], **options: Any) -> Any:
        *python, code = arguments
        return own([*python, f"print('hello'); print(3); {code}"], **options)

    monkeypatch.setattr(subprocess, "Popen", begin)
    tracker = opened(store, "noisy", sender=SenderProcess)
    tell(tracker, range(1))
    assert tracker.close() == 0
    assert_whole(store, "noisy", trials=1, epochs=3)


def test_a_store_that_is_away_is_not_waited_for_longer_than_said(store: Path) -> None:
    tracker = opened(store, "away", DEAD_SERVER, sender=SenderProcess)
    tell(tracker, range(1))
    process = process_of(tracker)
    assert tracker.close(timeout=8.0) == 6
    assert "MLflow does not take records" in (tracker.trouble or "")
    assert process.poll() is not None


def test_it_goes_with_a_driver_that_is_killed(store: Path) -> None:
    """And lets the spool go only then: whoever goes on with the sweep sends the rest alone."""
    spool = spool_of(store, "orphan")
    script = f"""
import sys, time
from pathlib import Path
from orchestration.tracking.sender import SenderProcess
from tests.orchestration.tracking.recording import opened
tracker = opened(Path({str(store)!r}), "orphan", sender=SenderProcess)
while tracker._sender._process is None:
    time.sleep(0.01)
print(tracker._sender._process.pid, flush=True)
time.sleep(600)
"""
    driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    sender = int(driver.stdout.readline())
    assert is_held(spool)
    driver.kill()
    driver.wait()
    until(lambda: not Path(f"/proc/{sender}").exists())
    assert not is_held(spool)


def test_no_password_is_among_its_arguments(store: Path) -> None:
    tracker = opened(store, "secret", uri_of(store) + "?password=hunter2", sender=SenderProcess)
    command = Path(f"/proc/{process_of(tracker).pid}/cmdline").read_bytes()
    assert b"sender" in command
    assert b"hunter2" not in command
    tracker.close(timeout=0.1)
