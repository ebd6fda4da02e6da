"""The process that measures: it loads the data once, as a worker has them, and forks a child for each trial to measure.

Started as ``python -m orchestration.planning.profiler``, it reads a request in JSON and writes a line of JSON for the data and
one for each trial, as it is done. Each child begins with what a worker has in memory before its trial, so that its peak is a
worker's.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import pickle
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

    from vae_core.config import TrialConfig
    from vae_core.model import Data

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Reads the request from standard input, answers on standard output."""
    answers = os.fdopen(os.dup(1), "w")  # what libraries print goes elsewhere
    os.dup2(2, 1)
    request = json.loads(sys.stdin.read())
    say = _sayer(answers)
    started_s = time.perf_counter()
    _import_what_a_worker_has()
    from vae_core.config import TrialConfig
    from vae_core.data.batching import require_batch
    from vae_core.data.errors import DataError

    say({"imports_s": time.perf_counter() - started_s})
    gpu, slots = request["gpu"], request["slots"]
    if gpu > 0:
        gpus, gpu_bytes = _in_child(_gpus)
        if gpus < gpu:
            say({"fault": f"resources.gpu: a trial wants {gpu:g} of a GPU, and torch sees {gpus} here; set resources.gpu to 0"})
            return
        say({"gpus": gpus, "gpu_bytes": gpu_bytes})
        slots = min(slots, max(1, int(1 / gpu + 1e-9)))  # all on the first
    configs = [TrialConfig.from_dict(plain) for plain in request["configs"]]
    shared: Data | None = None
    if request["shared"]:
        started_s = time.perf_counter()
        found = _in_child(lambda: _loaded(configs[0]))
        shared = found if not isinstance(found, Exception) else None
        if isinstance(found, Exception):
            say({"fault": str(found)})
            return
        try:
            require_batch(found, max(config.training.batch_size for config in configs))
        except DataError as error:
            say({"fault": str(error)})
            return
        say({"loading_s": time.perf_counter() - started_s, "data": _sizes(found)})
    for place, cost in _measured(configs, shared, "cuda" if gpu > 0 else "cpu", request["seconds"], slots, request["limit_s"]):
        say({"place": place, **cost})


def _sayer(stream: IO[str]) -> Callable[[dict[str, Any]], None]:
    def say(line: dict[str, Any]) -> None:
        stream.write(json.dumps(line) + "\n")
        stream.flush()

    return say


def _import_what_a_worker_has() -> None:
    import torch

    import orchestration.trainable  # noqa: F401 - with Ray and Tune, which weigh as much as torch
    import vae_core.diagnosis
    import vae_core.samples
    import vae_core.trainer  # noqa: F401 - all for the memory that they take

    torch.set_num_threads(1)


def _loaded(config: TrialConfig) -> Data | Exception:
    from vae_core.data.errors import DataError

    try:
        return config.data.load()
    except DataError as error:
        return error


def _gpus() -> tuple[int, int]:
    """How many there are, and the memory of the first; asked in a fork, since CUDA, once begun, survives none."""
    import torch

    count = torch.cuda.device_count()
    return count, torch.cuda.get_device_properties(0).total_memory if count else 0


def _sizes(data: Data) -> dict[str, Any]:
    from vae_core.data.text import TextData

    arrays = [value for split in data.splits.values() for value in vars(split).values() if value is not None]
    return {
        "name": data.name,
        "examples": {name: len(split) for name, split in data.splits.items()},
        "vocabulary": len(data.vocabulary.words) if isinstance(data, TextData) else None,
        "bytes": sum(array.nbytes for array in arrays),
    }


def _measured(
    configs: list[TrialConfig], shared: Data | None, device: str, seconds: float, slots: int, limit_s: float
) -> Iterator[tuple[int, dict[str, Any]]]:
    """By the config's place, the cost of each, or its fault; so many at once, as the sweep will run them."""
    waiting = list(enumerate(configs))[::-1]
    running: dict[Connection, tuple[int, ForkProcess, float]] = {}
    context = multiprocessing.get_context("fork")
    while waiting or running:
        while waiting and len(running) < slots:
            place, config = waiting.pop()
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(theirs, config, shared, device, seconds))
            child.start()
            theirs.close()
            running[ours] = (place, child, time.monotonic())
        for ready in wait(list(running), timeout=1.0):
            assert isinstance(ready, Connection)
            place, child, _ = running.pop(ready)
            try:
                yield place, ready.recv()
            except EOFError:  # it is gone without a word
                child.join()
                yield place, {"fault": f"its process died with exit code {child.exitcode}; killed for its memory?"}
            child.join()
            ready.close()
        for ready, (place, child, started_s) in list(running.items()):
            if time.monotonic() - started_s > limit_s:
                del running[ready]
                child.kill()
                child.join()
                yield place, {"fault": f"not measured within {limit_s:.0f} s"}


def _child(answer: Connection, config: TrialConfig, shared: Data | None, device: str, seconds: float) -> None:
    from dataclasses import replace

    from orchestration.planning.measure import measure

    try:
        started_s = time.perf_counter()
        data = shared if shared is not None else config.data.load()
        loading_s = 0.0 if shared is not None else time.perf_counter() - started_s
        with tempfile.TemporaryDirectory(prefix="vae-sweeps-plan-") as directory:
            cost = measure(config, data, device, seconds, Path(directory), loading_s)
        answer.send({"cost": replace(cost, peak_bytes=peak_bytes()).to_dict()})
    except Exception as error:  # the trial's fault, as the sweep would say it
        answer.send({"fault": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})
    finally:
        answer.close()


def peak_bytes(status: Path = _STATUS) -> int:
    """What a process has held resident at most, shared memory left out; 0 where the system does not say."""
    if not status.exists():
        return 0
    found = dict(re.findall(r"^(VmHWM|RssShmem):\s+(\d+) kB$", status.read_text(), re.MULTILINE))
    return 1024 * (int(found.get("VmHWM", 0)) - int(found.get("RssShmem", 0)))


def _in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a fork, its arrays in memory that forks share: nothing else of the work stays here."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)

    def run() -> None:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(work(), protocol=5, buffer_callback=buffers.append)
        theirs.send([buffer.raw().nbytes for buffer in buffers])
        for buffer in buffers:
            theirs.send_bytes(buffer.raw())
        theirs.send_bytes(head)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    theirs.close()
    shared = []
    for size in ours.recv():
        memory = mmap.mmap(-1, max(size, 1))
        ours.recv_bytes_into(memory)
        shared.append(memoryview(memory)[:size].toreadonly())
    result = pickle.loads(ours.recv_bytes(), buffers=shared)  # what our own child has just written
    child.join()
    return result


if __name__ == "__main__":
    main()
