"""Processes that are killed: a sweep ends as if nothing had happened, and is bitwise the one that was left alone."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from dashboards import load_curves, load_trials
from orchestration import run_sweep
from tests.conftest import ROOT, TINY, comparable

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


LONGER = TINY.replace("epochs: 3", "epochs: 30")
"""Long enough to be hit in the middle."""


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(LONGER)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of the same sweep, left alone."""
    directory = tmp_path_factory.mktemp("undisturbed")
    (directory / "tiny.yaml").write_text(LONGER)
    run_sweep(directory / "tiny.yaml", home=directory / "home", debug=True)
    return comparable("tiny", directory / "home")


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "orchestration", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, start_new_session=True
    )


def assert_same(home: Path, undisturbed: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(comparable("tiny", home), undisturbed, check_exact=True)
    assert not load_curves("tiny", home=home).duplicated(["trial", "metric", "epoch"]).any()


@pytest.mark.parametrize("launcher", [[], ["--debug"]], ids=["ray", "debug"])
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda blow: blow.name)
def test_the_driver(longer: Path, tmp_path: Path, undisturbed: pd.DataFrame, launcher: list[str], blow: signal.Signals) -> None:
    home = tmp_path / "home"
    process = start("run", longer, "--home", home, *launcher)
    wait_for_epochs(process, home, 35)
    os.kill(process.pid, blow)
    output, _ = process.communicate(timeout=120)
    if blow != signal.SIGKILL:
        assert process.returncode == 130, output
        assert "vae-sweeps resume tiny" in output
        assert not (load_trials("tiny", home=home)["state"] == "RUNNING").any()
    resumed = start("resume", "tiny", "--home", home, *launcher)
    output, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, output
    assert_same(home, undisturbed)


def test_a_worker(longer: Path, tmp_path: Path, undisturbed: pd.DataFrame) -> None:
    """Its trial is taken up from the checkpoint by another worker, under the same driver."""
    home = tmp_path / "home"
    process = start("run", longer, "--home", home)
    wait_for_epochs(process, home, 35)
    names = {child.pid: "".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)}
    [worker] = [pid for pid, name in names.items() if name.startswith("ray::") and "Trainable" in name]
    os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert set(load_trials("tiny", home=home)["state"]) == {"COMPLETE"}
    assert_same(home, undisturbed)


def wait_for_epochs(process: subprocess.Popen[str], home: Path, epochs: int, seconds: float = 120.0) -> None:
    """Waits until the study has heard so many epochs; looks at the database without touching it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
        try:
            with contextlib.closing(sqlite3.connect(f"file:{home / 'optuna.db'}?mode=ro", uri=True)) as database:
                heard = database.execute("SELECT count(*) FROM trial_intermediate_values").fetchone()[0]
        except sqlite3.OperationalError:  # it is being made
            continue
        if heard >= epochs:
            return
    process.kill()
    raise AssertionError(f"no {epochs} epochs within {seconds} s: {process.communicate()[0]}")
