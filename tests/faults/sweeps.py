"""What the tests of faults share: a sweep in a process of its own, what it has got to, and how it must end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from dashboards import load_curves
from orchestration import run_sweep
from tests.conftest import ROOT, comparable


def start(*arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """``vae-sweeps ARGUMENTS`` in a session of its own, its two outputs in one pipe."""
    command = [sys.executable, "-m", "orchestration", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, start_new_session=True, env=environment
    )


def command(*arguments: str | Path, seconds: float = 120.0) -> tuple[int, str]:
    """Runs ``vae-sweeps ARGUMENTS`` to its end: exit code and output."""
    process = start(*arguments)
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def heard(home: Path) -> dict[int, int]:
    """The last epoch that the study has heard, by trial; reads the database as any process may."""
    query = (
        "SELECT attribute.value_json, max(value.step) FROM trial_intermediate_values AS value"
        " JOIN trial_user_attributes AS attribute ON attribute.trial_id = value.trial_id AND attribute.key = 'number'"
        " GROUP BY attribute.value_json"
    )
    # Read-only, a database whose writer was killed in the middle could not be read: its journal is rolled back first.
    try:
        with contextlib.closing(sqlite3.connect(f"file:{home / 'optuna.db'}?mode=rw", uri=True)) as database:
            return {int(json.loads(number)): int(epoch) for number, epoch in database.execute(query)}
    except sqlite3.OperationalError:  # it is being made
        return {}


def wait_for_epochs(process: subprocess.Popen[str], home: Path, epochs: int, seconds: float = 120.0) -> None:
    """Waits until the study has heard so many epochs of all trials together.

    Raises:
        AssertionError: the process ended before, or the time is over; with its output.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if sum(heard(home).values()) >= epochs:
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no {epochs} epochs within {seconds} s: {process.communicate()[0]}")


def assert_same(home: Path, undisturbed: pd.DataFrame, name: str = "tiny") -> None:
    """The sweep's table is bitwise the undisturbed one's, and no metric point stands twice."""
    pd.testing.assert_frame_equal(comparable(name, home), undisturbed, check_exact=True)
    assert not load_curves(name, home=home).duplicated(["trial", "metric", "epoch"]).any()


def left_alone(directory: Path, text: str) -> pd.DataFrame:
    """The table of a sweep that nothing happens to, run in a home of its own below ``directory``."""
    (directory / "tiny.yaml").write_text(text)
    run_sweep(directory / "tiny.yaml", home=directory / "home", debug=True)
    return comparable("tiny", directory / "home")
