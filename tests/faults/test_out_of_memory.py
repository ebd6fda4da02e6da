"""Workers that the kernel kills for want of memory: in a control group of the test's own, so that nobody else wants any."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dashboards import load_trials
from orchestration import run_sweep
from tests.conftest import TINY, comparable
from tests.faults.sweeps import heard, start

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 60").replace("run_cap: 4", "run_cap: 3")


class Strait:
    """A control group in which there is next to no memory; whoever is put into it is killed as soon as it wants some."""

    def __init__(self) -> None:
        memory = Path("/sys/fs/cgroup/memory")
        self._group = (memory if memory.is_dir() else memory.parent) / f"vae-sweeps-test-{os.getpid()}"
        self._group.mkdir()
        limit = "memory.limit_in_bytes" if memory.is_dir() else "memory.max"
        (self._group / limit).write_text("65536")

    def put(self, pid: int) -> None:
        (self._group / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """How many the kernel has killed here."""
        name = "memory.oom_control" if (self._group / "memory.oom_control").exists() else "memory.events"
        return int(dict(line.split() for line in (self._group / name).read_text().splitlines())["oom_kill"])

    def remove(self) -> None:
        self._group.rmdir()


@pytest.fixture
def strait() -> Iterator[Strait]:
    try:
        made = Strait()
    except OSError as error:
        pytest.skip(f"no control group of memory can be made here: {error}")
    yield made
    made.remove()


def test_a_worker_out_of_memory(tmp_path: Path, home: Path, strait: Strait) -> None:
    """Trial 0 three times, which is once too often; trial 1 once, from which it recovers bitwise; trial 2 is left alone."""
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    run_sweep(tmp_path / "tiny.yaml", home=tmp_path / "undisturbed", debug=True)
    process = start("run", tmp_path / "tiny.yaml", "--home", home)
    seen: set[int] = set()
    for number, times in ((0, 3), (1, 1)):
        until(process, lambda number=number: heard(home).get(number, 0) >= 3)
        for _ in range(times):
            until(process, lambda: bool(workers(process) - seen))
            killed = strait.kills()
            for pid in workers(process) - seen:
                seen.add(pid)
                strait.put(pid)
            until(process, lambda killed=killed: strait.kills() > killed)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    table = load_trials("tiny", home=home).sort_values("trial")
    assert list(table["state"]) == ["FAILED", "COMPLETE", "COMPLETE"]
    assert "trial 0 FAILED" in output
    assert "(worker lost 3 times: " in output
    expected, found = comparable("tiny", tmp_path / "undisturbed"), comparable("tiny", home)
    metrics = [name for name in expected.columns if name.startswith(("best/", "test/", "val/"))]
    assert found[metrics].iloc[1:].equals(expected[metrics].iloc[1:])
    assert strait.kills() == 4


def workers(process: subprocess.Popen[str]) -> set[int]:
    """Process numbers of the workers that have a trial."""
    found = set()
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            name = "".join(child.cmdline())
        except psutil.Error:
            continue
        if name.startswith("ray::") and "Trainable" in name:
            found.add(child.pid)
    return found


def until(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 150.0) -> None:
    """Waits for a condition.

    Raises:
        AssertionError: the process ended before, or the time is over; with its output.
    """

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[0])
