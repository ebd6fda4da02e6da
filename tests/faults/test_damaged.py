"""Files of a trial that are damaged between a kill and the resume: it ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import TINY
from tests.faults.sweeps import assert_same, command, left_alone, start, wait_for_epochs
from vae_core.checkpoint import PREVIOUS, STATE

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 20").replace("run_cap: 4", "run_cap: 2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return left_alone(tmp_path_factory.mktemp("undisturbed"), SWEEP)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose driver was killed amid its second trial."""
    directory = tmp_path_factory.mktemp("left")
    (directory / "tiny.yaml").write_text(SWEEP)
    process = start("run", directory / "tiny.yaml", "--home", directory / "home", "--debug")
    wait_for_epochs(process, directory / "home", 25)
    process.kill()
    process.communicate()
    return directory / "home"


@pytest.fixture
def killed(left: Path, home: Path) -> Path:
    """A copy of it; MLflow keeps absolute paths of artifacts, so they are changed."""
    shutil.copytree(left, home)
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(left), str(home)))
        database.commit()
    return home


def flip(path: Path) -> None:
    """One bit in the middle, where the weights are: torch would read it without a word."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x04
    path.write_bytes(raw)


def cut(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 3])


def resume(home: Path, *launcher: str) -> str:
    code, output = command("resume", "tiny", "--home", home, *launcher)
    assert code == 0, output
    return output


@pytest.mark.parametrize(("damage", "launcher"), [(flip, []), (flip, ["--debug"]), (cut, ["--debug"])])
def test_the_state_before_is_used(
    killed: Path, undisturbed: pd.DataFrame, damage: Callable[[Path], None], launcher: list[str]
) -> None:
    damage(killed / "trials" / "tiny" / "0001" / STATE)
    assert "trial 1: going on from the state before: " in resume(killed, *launcher)
    assert_same(killed, undisturbed)


def test_without_any_state_the_trial_begins_anew(killed: Path, undisturbed: pd.DataFrame) -> None:
    flip(killed / "trials" / "tiny" / "0001" / STATE)
    cut(killed / "trials" / "tiny" / "0001" / PREVIOUS)
    said = resume(killed, "--debug")
    assert "trial 1: no state can be read: " in said
    assert "trained again from its beginning" in said
    assert_same(killed, undisturbed)


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_the_messages_of_the_epochs_are_made_anew(
    killed: Path, undisturbed: pd.DataFrame, damage: Callable[[Path], None]
) -> None:
    """Torn or gone, they are told again from the checkpoint, which has all that they said but the time."""
    damage(killed / "trials" / "tiny" / "0001" / "messages.jsonl")
    resume(killed, "--debug")
    assert_same(killed, undisturbed)
