"""Orders from another process: a sweep is stopped, resumed with a larger cap, and given more trials at once, while it runs."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from dashboards import load_sweeps, load_trials
from tests.faults.sweeps import assert_same, command, start, wait_for_epochs

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]


@pytest.mark.parametrize("launcher", [[], ["--debug"]], ids=["ray", "debug"])
def test_stop_now(longer: Path, tmp_path: Path, undisturbed: pd.DataFrame, launcher: list[str]) -> None:
    home = tmp_path / "home"
    process = start("run", longer, "--home", home, *launcher)
    wait_for_epochs(process, home, 35)
    code, told = command("stop", "tiny", "--now", "--home", home)
    assert code == 0, told
    assert f"driven by process {process.pid} on " in told
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "stopped; its state is saved. Go on with: vae-sweeps resume tiny" in output
    trials = load_trials("tiny", home=home)
    assert list(trials["state"])[-1] == "STOPPED"
    assert list(load_sweeps(home=home)["ended_by"]) == ["stopped"]
    code, output = command("resume", "tiny", "--home", home, *launcher, seconds=300)
    assert code == 0, output
    assert "ended by run_cap" in output
    assert_same(home, undisturbed)


def test_stop_after_the_running_trials_then_a_larger_cap(longer: Path, tmp_path: Path, undisturbed: pd.DataFrame) -> None:
    home = tmp_path / "home"
    process = start("run", longer, "--home", home, "--debug", "--set", "run_cap=2")
    wait_for_epochs(process, home, 5)
    assert command("stop", "tiny", "--home", home)[0] == 0
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert list(load_trials("tiny", home=home)["state"]) == ["COMPLETE"], "the one that ran, and no other"
    code, status = command("status", "tiny", "--home", home)
    assert code == 0
    assert "tiny: INTERRUPTED, ended by stopped" in status
    assert "used: 1 of 2 trials" in status
    code, told = command("stop", "tiny", "--home", home)
    assert (code, "no driver is running 'tiny'" in told) == (2, True)

    assert command("resume", "tiny", "--home", home, "--debug")[0] == 0
    code, output = command("resume", "tiny", "--home", home)
    assert code == 0
    assert "nothing was left to do" in output
    code, output = command("resume", "tiny", "--home", home, "--run-cap", "1")
    assert code == 2
    assert "--run-cap 1: the sweep 'tiny' has 2 trials already" in output
    assert command("resume", "tiny", "--home", home, "--run-cap", "4", "--debug", seconds=300)[0] == 0
    assert list(load_sweeps(home=home)["run_cap"]) == [4]
    assert "run_cap: 4" in (home / "trials" / "tiny" / "sweep.yaml").read_text()
    assert_same(home, undisturbed)


def test_more_trials_at_once(longer: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start("run", longer, "--home", home, "--set", "trial.training.epochs=400")
    wait_for_epochs(process, home, 3)
    assert command("set", "tiny", "concurrency=0", "--home", home)[0] == 2
    assert command("set", "tiny", "parallel=2", "--home", home)[0] == 2
    code, told = command("set", "tiny", "concurrency=2", "--home", home)
    assert code == 0, told
    deadline, log = time.monotonic() + 90, home / "trials" / "tiny" / "driver.log"
    while "trial 1 started" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.5)
    started = re.findall(r"trial \d (?:started|complete)|ordered: at most 2", log.read_text())
    assert started == ["trial 0 started", "ordered: at most 2", "trial 1 started"], process.poll()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 130
