"""Two sweeps in one home, two drivers of one sweep, and signals that come at any moment, twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from dashboards import load_trials
from tests.conftest import TINY
from tests.faults.sweeps import assert_same, command, left_alone, start, wait_for_epochs

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

LONGER = TINY.replace("epochs: 3", "epochs: 20")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return left_alone(tmp_path_factory.mktemp("undisturbed"), LONGER)


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(LONGER)
    return path


def test_three_sweeps_begin_at_once_in_a_new_home(longer: Path, home: Path, undisturbed: pd.DataFrame) -> None:
    """They race to make the databases, and share them afterwards."""
    names = ["one", "two", "three"]
    processes = [start("run", longer, "--home", home, "--debug", "--name", name) for name in names]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    for name in names:
        assert_same(home, undisturbed, name)


def test_a_second_driver_of_one_sweep_refuses(longer: Path, home: Path, undisturbed: pd.DataFrame) -> None:
    first = start("run", longer, "--home", home, "--debug")
    wait_for_epochs(first, home, 2)
    code, output = command("resume", "tiny", "--home", home, "--debug")
    assert code == 2, output
    assert f"the sweep 'tiny' is being run by process {first.pid}" in output
    code, output = command("run", longer, "--home", home, "--debug")
    assert code == 2, output
    assert f"is being run by process {first.pid}" in output
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output
    assert_same(home, undisturbed)


@pytest.mark.parametrize(("launcher", "times"), [(["--debug"], 8), ([], 3)], ids=["debug", "ray"])
def test_signals_at_any_moment_twice(
    longer: Path, home: Path, undisturbed: pd.DataFrame, launcher: list[str], times: int
) -> None:
    """Whenever they come, from the first instant on, nothing is lost, and no trial is left RUNNING for ever."""
    draw = random.Random(7)
    for _ in range(times):
        known = (home / "optuna.db").exists() and bool(command("status", "tiny", "--home", home)[0] == 0)
        words = ["resume", "tiny"] if known else ["run", str(longer)]
        process = start(*words, "--home", home, *launcher)
        time.sleep(draw.uniform(0.0, 8.0))
        first, second = draw.choices([signal.SIGINT, signal.SIGTERM], k=2)
        blow(process, first)
        time.sleep(draw.uniform(0.0, 1.0))
        blow(process, second)
        output, _ = process.communicate(timeout=60)
        if process.returncode == 0:  # it was done before
            break
        assert process.returncode in (130, -signal.SIGTERM, -signal.SIGINT), output
        assert process.returncode < 0 or "Traceback" not in output, output
    words = ["resume", "tiny"] if (home / "optuna.db").exists() else ["run", str(longer)]
    code, output = command(*words, "--home", home, *launcher, seconds=300)
    if code == 2:  # never begun
        code, output = command("run", longer, "--home", home, *launcher, seconds=300)
    assert code == 0, output
    assert set(load_trials("tiny", home=home)["state"]) == {"COMPLETE"}
    assert_same(home, undisturbed)


def blow(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)
