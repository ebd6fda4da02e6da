"""Costs by a process of their own that trains a little: started, fed, and listened to."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from orchestration.environment import prepare_ray
from orchestration.errors import LaunchError
from orchestration.planning.cost import Cost

if TYPE_CHECKING:
    from vae_core.config import TrialConfig

LEAST_S = 2.0
"""For one trial: below it a figure would be noise."""


@dataclass
class Profile:
    """What was measured."""

    seconds: float = 0.0
    """All of it, from the start of the process."""
    imports_s: float = 0.0
    """Until a worker's process can begin."""
    loading_s: float | None = None
    """Of the data; None where each trial loads its own."""
    gpus: int = 0
    """That torch sees."""
    gpu_bytes: int = 0
    """Of the first of them."""
    data: dict[str, Any] | None = None
    """name, examples by split, vocabulary (None for images), bytes; None where each trial loads its own."""
    costs: dict[int, Cost] = field(default_factory=dict)
    """By the config's place."""
    faults: dict[int, str] = field(default_factory=dict)
    """Of trials that could not be measured, by the config's place."""


def profile(
    configs: Sequence[TrialConfig],
    *,
    shared: bool,
    gpu: float,
    seconds: float,
    slots: int,
    tell: Callable[[str], None] = lambda line: None,
) -> Profile:
    """Measures the trials, each once.

    Args:
        shared: whether they have the same data, which are then loaded once.
        seconds: for all of them together, without imports and loading; each has an equal part, ``LEAST_S`` at least.
        gpu: of a GPU that a trial takes; 0: it is trained on the CPU.
        slots: so many at once.
        tell: is told how it goes.

    Raises:
        LaunchError: the data cannot be read, or the process ended without an answer.
    """
    prepare_ray()
    each_s = max(LEAST_S, seconds * slots / max(len(configs), slots))
    request = {
        "configs": [config.to_dict() for config in configs],
        "shared": shared,
        "gpu": gpu,
        "seconds": each_s,
        "slots": slots,
        "limit_s": 5 * each_s + 120.0,
    }
    found, started_s = Profile(), time.perf_counter()
    tell("starting a worker's process and loading the data")
    for line in _answers(request):
        if "place" not in line:
            if "fault" in line:
                raise LaunchError(line["fault"])
            for name, value in line.items():
                setattr(found, name, value)
        elif "cost" in line:
            found.costs[line["place"]] = Cost.from_dict(line["cost"])
        else:
            found.faults[line["place"]] = line["fault"]
        tell(f"{len(found.costs) + len(found.faults)} of {len(configs)} measured")
    found.seconds = time.perf_counter() - started_s
    return found


def _answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.planning.profiler"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request))
            process.stdin.close()
            for line in process.stdout:
                yield json.loads(line)
            if process.wait() != 0:
                raise LaunchError(f"the profile ended with exit code {process.returncode}: {_last_line(complaints)}")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def _last_line(file: IO[str]) -> str:
    file.seek(0)
    lines = file.read().strip().splitlines()
    return lines[-1] if lines else "no word"
