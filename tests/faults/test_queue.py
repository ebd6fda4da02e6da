"""A queue that is worked off: who goes first, what a kill leaves, and that no sweep's trouble is the next one's."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from dashboards import load_trials
from dashboards.home import resolve_home
from orchestration.sweep_queue import Entry, Queue
from tests.conftest import TINY, comparable
from tests.faults.sweeps import assert_same, command, start

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
DEBUG = ["--debug"]


def add(file: Path, home: Path, name: str, *words: str) -> None:
    code, said = command("queue", "add", file, "--home", home, "--name", name, *words)
    assert code == 0, said


def entry(home: Path, name: str) -> Entry:
    found = Queue(resolve_home(home)).entry(name)
    assert found is not None
    return found


def wait_for(process: subprocess.Popen[str], home: Path, name: str, line: str, seconds: float = 120.0) -> None:
    """Until the sweep's log has such a line."""
    log, deadline = home / "trials" / name / "driver.log", time.monotonic() + seconds
    while not (log.exists() and re.search(line, log.read_text())):
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            raise AssertionError(process.communicate()[0])
        time.sleep(0.1)


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with psutil.Process(process.pid).oneshot():
        return psutil.Process(process.pid).children()


def ended(process: subprocess.Popen[str], seconds: float = 300.0) -> str:
    try:
        return process.communicate(timeout=seconds)[0]
    finally:
        process.kill()


@pytest.mark.parametrize("launcher", [DEBUG, []], ids=["debug", "ray"])
def test_a_more_urgent_sweep_goes_first(longer: Path, home: Path, undisturbed: pd.DataFrame, launcher: list[str]) -> None:
    """At the end of a trial; both are then what they would have been alone."""
    add(longer, home, "low")
    add(longer, home, "equal")
    runner = start("queue", "run", "--home", home, *launcher)
    wait_for(runner, home, "low", "trial 0 started")
    add(longer, home, "urgent", "--priority", "3", "--set", "run_cap=1")
    code, said = command("queue", "run", "--home", home)
    assert (code, f"is being worked off by process {runner.pid} on " in said) == (2, True), said
    output = ended(runner)
    assert runner.returncode == 0, output
    turns = re.findall(r"queue: (\w+): (its turn|\w+)", output)
    assert turns == [
        ("low", "its turn"), ("low", "waiting"), ("urgent", "its turn"), ("urgent", "done"),
        ("low", "its turn"), ("low", "done"), ("equal", "its turn"), ("equal", "done"),
    ]  # fmt: skip
    assert "queue: low: waiting, urgent went first" in output
    log = (home / "trials" / "low" / "driver.log").read_text()
    first = log[: log.index("ended by stopped")]
    assert len(re.findall(r"trial \d complete", first)) == len(re.findall(r"trial \d started", first)) <= 2
    assert "started" not in first[first.index("ordered: stop after the running trials, for urgent of the queue goes first") :]
    assert list(load_trials("low", home=home)["state"]) == ["COMPLETE"] * 4
    assert_same(home, undisturbed, "low")
    assert_same(home, undisturbed, "equal")


def test_who_works_it_off_is_killed_at_any_moment(longer: Path, home: Path, undisturbed: pd.DataFrame) -> None:
    draw = random.Random(3)
    names = ["one", "two"]
    for name in names:
        add(longer, home, name)
    for attempt in range(7):
        runner = start("queue", "run", "--home", home, *DEBUG)
        time.sleep(draw.uniform(1.0, 12.0))
        driving = children(runner)
        os.kill(runner.pid, signal.SIGKILL)
        if attempt % 2:  # the machine, not the process alone
            for child in driving:
                child.kill()
        runner.wait()
        if attempt % 3 == 2:
            assert psutil.wait_procs(driving, timeout=60)[1] == [], "a sweep ends with who runs the queue"
    runner = start("queue", "run", "--home", home, *DEBUG)
    output = ended(runner)
    assert runner.returncode == 0, output
    assert [entry(home, name).state for name in names] == ["done", "done"]
    for name in names:
        assert_same(home, undisturbed, name)


def test_signals_and_stops(longer: Path, home: Path, undisturbed: pd.DataFrame) -> None:
    """Ctrl-C leaves the sweep in the queue; a stop takes it out of the turns until it is put in again."""
    add(longer, home, "mine")
    for number in (signal.SIGINT, signal.SIGTERM):
        runner = start("queue", "run", "--keep", "--home", home, *DEBUG)
        wait_for(runner, home, "mine", "trial \\d (started|taken up)")
        (home / "trials" / "mine" / "driver.log").rename(home / number.name)
        runner.send_signal(number)
        output = ended(runner)
        assert runner.returncode == 130, output
        assert "queue: mine: waiting, interrupted" in output
        assert f"in the queue: mine. Go on with: vae-sweeps queue run --home {home}" in output
        assert "Traceback" not in output
        assert entry(home, "mine").state == "waiting"
        assert not (load_trials("mine", home=home)["state"] == "RUNNING").any()
    runner = start("queue", "run", "--home", home, *DEBUG)
    wait_for(runner, home, "mine", "trial \\d (started|taken up)")
    assert command("stop", "mine", "--now", "--home", home)[0] == 0
    output = ended(runner)
    assert (runner.returncode, "queue: mine: stopped, by order" in output) == (0, True), output
    assert entry(home, "mine").state == "stopped"
    assert "the queue is empty" in command("queue", "run", "--home", home)[1]
    code, said = command("queue", "add", "--resume", "mine", "--home", home)
    assert code == 0, said
    assert command("queue", "run", "--home", home, *DEBUG, seconds=300)[0] == 0
    assert_same(home, undisturbed, "mine")


def test_trouble_of_one_is_not_the_next_ones(tmp_path: Path, home: Path) -> None:
    """A file that is gone when its turn comes, a driver that is killed, a sweep that somebody runs by hand."""
    words = tmp_path / "words.txt"
    words.write_text("one two three four five\n" * 200)
    data = f"{{kind: text_file, train: {words}, valid: {words}, test: {words}}}"
    text = TINY.replace("{kind: digits}", data).replace("{kind: mlp, hidden: [32]}", "{kind: lstm, hidden: 8}")
    (tmp_path / "words.yaml").write_text(text)
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "long.yaml").write_text(TINY.replace("epochs: 3", "epochs: 4000"))
    add(tmp_path / "words.yaml", home, "gone", "--priority", "9")
    add(tmp_path / "long.yaml", home, "hand", "--priority", "8")
    add(tmp_path / "long.yaml", home, "killed", "--priority", "7")
    add(tmp_path / "tiny.yaml", home, "good")
    words.unlink()
    by_hand = start("run", tmp_path / "long.yaml", "--name", "hand", "--home", home, *DEBUG)
    wait_for(by_hand, home, "hand", "trial 0 started")
    runner = start("queue", "run", "--home", home, *DEBUG)
    wait_for(runner, home, "killed", "trial 0 started")
    for child in children(runner):
        child.kill()
    output = ended(runner)
    assert runner.returncode == 1, output
    assert f"hand is being run by process {by_hand.pid} on " in output
    assert "it stays in the queue, which goes on with the next" in output
    assert "queue: killed: failed, its process was killed by SIGKILL" in output
    assert "queue: good: done" in output
    assert "queue: left in the queue: hand" in output
    assert "queue: failed: gone, killed" in output
    assert output.count("Traceback") == 0
    states = {name: entry(home, name).state for name in ("gone", "hand", "killed", "good")}
    assert states == {"gone": "failed", "hand": "waiting", "killed": "failed", "good": "done"}
    assert str(words) in entry(home, "gone").reason
    by_hand.send_signal(signal.SIGTERM)
    ended(by_hand)
    assert len(comparable("good", home)) == 4


def wait_until_done(home: Path, name: str) -> None:
    deadline = time.monotonic() + 120
    while entry(home, name).state != "done":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_further_sweeps_are_waited_for(tmp_path: Path, home: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 1"))
    runner = start("queue", "run", "--keep", "--home", home, *DEBUG)
    add(tmp_path / "tiny.yaml", home, "first")
    wait_until_done(home, "first")
    while psutil.Process(runner.pid).children():  # which has noted its end, and is not gone
        time.sleep(0.1)
    time.sleep(2.0)  # it finds that there is nothing
    add(tmp_path / "tiny.yaml", home, "second")
    wait_until_done(home, "second")
    runner.send_signal(signal.SIGINT)
    output = ended(runner)
    assert runner.returncode == 130, output
    assert "queue: the queue is empty; waiting for further sweeps" in output
