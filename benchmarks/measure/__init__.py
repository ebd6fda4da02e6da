"""How the two sides of a ratio are measured: turn by turn in one process, one thread, by the thread's own time."""

from __future__ import annotations

import gc
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from orchestration.environment import worker_environment


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds, in s."""

    cpu: float
    """The thread's own time, which a busy machine disturbs least."""
    wall: float


def as_a_worker(module: str) -> None:
    """Starts the module over with what the launcher gives a worker (one thread, an allocator that keeps its pages), unless set.

    glibc reads its tunables once, when a process starts; both sides then have them.
    """
    wanted = worker_environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **wanted})
    import torch

    torch.set_num_threads(1)


def take_turns(sides: Mapping[str, Callable[[], object]], rounds: int, warm: int = 1) -> dict[str, Timing]:
    """Each side once a round, one after the other, so that what disturbs the machine disturbs all; first rounds uncounted."""
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    wall: dict[str, list[float]] = {name: [] for name in sides}
    for place in range(warm + rounds):
        for name, side in sides.items():
            gc.collect()
            started = time.thread_time(), time.perf_counter()
            side()
            ended = time.thread_time(), time.perf_counter()
            if place >= warm:
                cpu[name].append(ended[0] - started[0])
                wall[name].append(ended[1] - started[1])
    return {name: Timing(median(cpu[name]), median(wall[name])) for name in sides}


def peak_mebibytes() -> float:
    """The most memory that this process has had; ``getrusage`` tells of its parent, where that had more when it was made."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of macOS, in bytes


def machine() -> str:
    """What a figure was measured on and with."""
    from importlib.metadata import version

    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
        model += "".join(f", {flag}" for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    tunables = "tuned malloc" if os.environ.get("GLIBC_TUNABLES") else "malloc as it is"
    return f"{model}; {load}; torch {version('torch')}, Python {platform.python_version()}, one thread, {tunables} on both sides"
