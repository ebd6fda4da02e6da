"""Databases that are locked or restarted while a sweep writes to them: it waits, says so, and loses nothing."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pandas as pd
import pytest

from dashboards import load_trials
from tests.conftest import TINY
from tests.faults.postgres import Postgres
from tests.faults.sweeps import assert_same, command, left_alone, start, wait_for_epochs

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 60").replace("run_cap: 4", "run_cap: 2")
AWAY_S = 20.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return left_alone(tmp_path_factory.mktemp("undisturbed"), SWEEP)


@pytest.mark.parametrize("database", ["optuna.db", "mlflow.db"])
def test_sqlite_is_locked(home: Path, tmp_path: Path, undisturbed: pd.DataFrame, database: str) -> None:
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug")
    wait_for_epochs(process, home, 10)
    other = sqlite3.connect(home / database, timeout=30, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(AWAY_S)
    assert process.poll() is None, process.communicate()[0]
    other.execute("COMMIT")
    other.close()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert ("the study's database does not answer (database is locked)" in output) == (database == "optuna.db"), output
    assert_same(home, undisturbed)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgresql_restarts(home: Path, tmp_path: Path, undisturbed: pd.DataFrame, postgres: Postgres, mode: str) -> None:
    """``immediate`` is its crash: whatever it was doing is cut off."""
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    storage = f"search.storage={postgres.url}"
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug", "--set", storage, "--set", "run_cap=1")
    deadline = time.monotonic() + 120
    while not (home / "trials" / "tiny" / "0000" / "state.previous.pt").exists():
        assert time.monotonic() < deadline, "no second epoch within two minutes"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    postgres.stop(mode)
    time.sleep(AWAY_S if mode == "fast" else 3.0)
    assert process.poll() is None, process.communicate()[0]
    postgres.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "the study's database does not answer" in output
    assert not (home / "optuna.db").exists()
    assert list(load_trials("tiny", home=home)["state"]) == ["COMPLETE"]
    code, output = command("resume", "tiny", "--home", home, "--debug", "--run-cap", "2")
    assert code == 0, output
    assert_same(home, undisturbed)


def test_a_database_that_is_not_there_is_told(home: Path, tiny: Path) -> None:
    url = "postgresql+psycopg://sweeps:secret@127.0.0.1:1/postgres"
    code, output = command("run", tiny, "--home", home, "--debug", "--set", f"search.storage={url}")
    assert code == 2, output
    assert "cannot keep the study in postgresql+psycopg://sweeps:***@127.0.0.1:1/postgres" in output
    assert "Traceback" not in output
    assert "secret" not in output
