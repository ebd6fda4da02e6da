"""Processes that are killed: a sweep ends as if nothing had happened, and is bitwise the one that was left alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from dashboards import load_sweeps, load_trials
from orchestration import run_sweep
from tests.conftest import TINY, comparable
from tests.faults.sweeps import assert_same, command, heard, start, wait_for_epochs
from vae_core.checkpoint import load_state

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


TWELVE = TINY.replace("epochs: 3", "epochs: 10").replace("run_cap: 4", "run_cap: 12")


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


@pytest.mark.parametrize("again", [1, 2])
def test_a_resume_that_ends_at_once_leaves_no_trial_running(tmp_path: Path, again: int) -> None:
    """One of two trials at work used the budget up before the driver was killed: the other is not taken up again."""
    path, home = tmp_path / "tiny.yaml", tmp_path / "home"
    head = TINY.partition("method:")[0].replace("epochs: 3, ", "")
    path.write_text(
        f"{head}method: grid\nparameters: {{training.epochs: {{values: [3, 2000]}}}}\nbudget: {{device_hours: 1e-6}}\n"
    )
    process = start("run", path, "--home", home, "--set", "resources.max_concurrent_trials=2")
    wait_for_epochs(process, home, 4)
    while "COMPLETE" not in states(home) or heard(home).get(1, 0) < 1:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    for _ in range(again):
        code, output = command("resume", "tiny", "--home", home)
        assert code == 0, output
        assert "ended by device_hours" in output
    while "still wait" in command("status", "tiny", "--home", home)[1]:  # a busy machine has not sent all
        time.sleep(0.1)
    assert list(load_trials("tiny", home=home)["state"]) == ["COMPLETE", "STOPPED"]
    assert list(load_sweeps(home=home)["state"]) == ["FINISHED"]


def states(home: Path) -> list[str]:
    """The states of the study's trials."""
    with contextlib.closing(sqlite3.connect(f"file:{home / 'optuna.db'}?mode=rw", uri=True)) as database:
        return [state for (state,) in database.execute("SELECT state FROM trials")]


def test_the_trial_that_reached_the_target_is_scored_whatever_kills_the_driver(longer: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start("run", longer, "--home", home, "--debug", "--set", "budget.target=1000")
    wait_for_epochs(process, home, 10)
    process.kill()
    process.communicate()
    code, output = command("resume", "tiny", "--home", home, "--debug", seconds=300)
    assert code == 0, output
    assert "ended by target: trial 0 reached val/neg_elbo" in output
    assert list(load_trials("tiny", home=home)["state"]) == ["COMPLETE"]


@pytest.mark.long
@pytest.mark.parametrize(("launcher", "blows"), [(["--debug"], 20), ([], 5)], ids=["debug", "ray"])
def test_the_driver_at_many_moments(tmp_path: Path, launcher: list[str], blows: int) -> None:
    """Twelve trials, killed and resumed again and again: none is lost or trained twice, and no epoch but the one under way."""
    (tmp_path / "tiny.yaml").write_text(TWELVE)
    run_sweep(tmp_path / "tiny.yaml", home=tmp_path / "undisturbed", debug=True)
    home, draw = tmp_path / "home", random.Random(2026)
    runs: dict[int, str] = {}
    kept: list[tuple[int, int, int]] = []
    """Trial, last epoch of its checkpoint after a blow, and when that was read, in ms."""
    process = start("run", tmp_path / "tiny.yaml", "--home", home, *launcher)
    for epochs in sorted(draw.sample(range(118), blows)):
        wait_for_epochs(process, home, epochs)
        time.sleep(draw.uniform(0.0, 0.2))
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.communicate()[0]
        for number, epoch in heard(home).items():
            state = load_state(home / "trials" / "tiny" / f"{number:04d}")
            if state is not None:
                assert len(state["history"]) >= epoch, "what has been heard is in the checkpoint"
                read_ms = time.time_ns() // 1_000_000  # Ray's workers outlive the driver by some milliseconds
                kept.append((number, len(state["history"]), read_ms))
        now = runs_of(home)
        assert runs.items() <= now.items(), "a trial goes on in its own run"
        runs = now
        process = start("resume", "tiny", "--home", home, *launcher)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    assert_same(home, comparable("tiny", tmp_path / "undisturbed"))
    assert list(load_trials("tiny", home=home)["state"]) == ["COMPLETE"] * 12
    assert runs.items() <= runs_of(home).items()
    assert len(kept) >= blows // 2, "most blows fell into a trial"
    said = said_ms(home)
    for number, epoch, read_ms in kept:
        assert said[number, epoch] <= read_ms, f"epoch {epoch} of trial {number} was in the checkpoint and was trained again"
    assert not list(home.glob("trials/tiny/*/state*")), "finished trials leave no checkpoint behind"


def runs_of(home: Path) -> dict[int, str]:
    """MLflow's run by trial, read from its database; a second run of one trial is a fault."""
    query = (
        "SELECT CAST(number.value AS INTEGER), number.run_uuid FROM tags AS number"
        " JOIN runs ON runs.run_uuid = number.run_uuid AND runs.lifecycle_stage = 'active' WHERE number.key = 'trial.number'"
    )
    if not (home / "mlflow.db").exists():
        return {}
    database = sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=rw", uri=True)
    try:
        rows = database.execute(query).fetchall()
    except sqlite3.OperationalError:  # its tables are being made
        rows = []
    finally:
        database.close()
    assert len({number for number, _ in rows}) == len(rows), rows
    return dict(rows)


def said_ms(home: Path) -> dict[tuple[int, int], int]:
    """When each epoch of each trial was first said, in ms, by the record."""
    runs = {run: number for number, run in runs_of(home).items()}
    database = sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=rw", uri=True)
    rows = database.execute("SELECT run_uuid, step, timestamp FROM metrics WHERE key = 'val/neg_elbo'").fetchall()
    database.close()
    return {(runs[run], step): at for run, step, at in rows if run in runs}
