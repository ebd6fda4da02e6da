"""A full disk: the sweep says so, waits, and goes on when there is room; nothing that was recorded is lost."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from dashboards.home import resolve_home
from orchestration.sweep_queue import Queue
from tests.conftest import TINY
from tests.faults.sweeps import assert_same, command, left_alone, start, wait_for_epochs

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 20").replace("run_cap: 4", "run_cap: 2")
FULL_S = 8.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return left_alone(tmp_path_factory.mktemp("undisturbed"), SWEEP)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(path: Path) -> None:
    """Takes all the room there is, down to the last byte."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size):
                    pass


@pytest.mark.parametrize("launcher", [["--debug"], []], ids=["debug", "ray"])
def test_it_waits_for_room(tmp_path: Path, disk: Path, undisturbed: pd.DataFrame, launcher: list[str]) -> None:
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    home = disk / "home"
    process = start("run", tmp_path / "tiny.yaml", "--home", home, *launcher)
    for epochs in (5, 25):
        wait_for_epochs(process, home, epochs)
        deadline = time.monotonic() + FULL_S
        while time.monotonic() < deadline:
            fill(disk / "filler")  # again, for a file of the sweep's may have been removed
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0]
        (disk / "filler").unlink()
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "no room is left" in output, output
    assert_same(home, undisturbed)
    assert not list(home.glob("trials/tiny/spool.rejected.jsonl")), "nothing was refused for good"


def test_a_queue_waits_for_room(tmp_path: Path, disk: Path) -> None:
    """Where it cannot be noted whose turn it is."""
    (tmp_path / "tiny.yaml").write_text(TINY.replace("run_cap: 4", "run_cap: 1").replace("epochs: 3", "epochs: 1"))
    home = disk / "home"
    for name in ("one", "two"):
        code, said = command("queue", "add", tmp_path / "tiny.yaml", "--home", home, "--name", name)
        assert code == 0, said
    (home / "queue" / ".runner.lock").write_text("from an earlier one, with room for the next signature" * 9)
    fill(disk / "filler")
    runner = start("queue", "run", "--home", home, "--debug")
    time.sleep(FULL_S)
    assert runner.poll() is None, runner.communicate()[0]
    (disk / "filler").unlink()
    try:
        output, _ = runner.communicate(timeout=400)
    finally:
        runner.kill()
    assert runner.returncode == 0, output
    assert f"no room is left on the disk of {home / 'queue'}" in output
    assert [entry.state for entry in Queue(resolve_home(home)).entries()] == ["done", "done"]
