"""A running Ray cluster: attaches to it, takes the code along, and looks whether its machines can train the sweep."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboards.home import Home
from orchestration.environment import prepare_ray, worker_environment
from orchestration.errors import LaunchError
from orchestration.spec import Resources, SweepSpec
from orchestration.spec.checks import data_files_of
from vae_core.data.errors import DataError
from vae_core.data.files import existing_file

PACKAGES = ("vae_core", "orchestration", "dashboards")
PATIENCE_S = 120.0
"""For a machine's first answer: its worker has to fetch the code first."""
_KNOCK_S = 5.0
_IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in what it runs as a job; the code has then been sent along with it."""
_TOKEN = "if it asks for a token: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH=FILE or RAY_AUTH_TOKEN"


def require_devices(wanted: Resources, address: str | None, debug: bool) -> None:
    """A trial that can never be placed would wait for ever; what a cluster has is asked of the cluster.

    Raises:
        LaunchError: this machine, if it is to train, has not what one trial takes; or the address is none that can be used.
    """
    if address is not None:
        if debug:
            raise LaunchError("--debug trains in this process: it does not go with --address")
        if "://" in address:
            raise LaunchError(
                f"--address {address}: wanted is auto, or HOST:PORT of the cluster's head (often port 6379), from one of the"
                " cluster's machines; from elsewhere: vae-sweeps submit SWEEP.yaml --address http://HEAD:8265"
            )
        return
    if not debug and _connected():
        return
    cores = os.cpu_count() or 1
    if wanted.cpu > cores:
        raise LaunchError(f"resources.cpu: a trial wants {wanted.cpu:g} cores, and this machine has {cores}")
    if not wanted.gpu:
        return
    import torch

    devices = torch.cuda.device_count()
    if wanted.gpu > devices:
        raise LaunchError(
            f"resources.gpu: a trial wants {wanted.gpu:g} of a GPU, and torch sees {devices} here;"
            " set resources.gpu to 0 to train on the CPU"
        )


@contextlib.contextmanager
def attached(address: str | None, spec: SweepSpec, where: Home) -> Iterator[None]:
    """Connected to the cluster at ``address`` ("auto" or "host:port"), whose machines can train the sweep; None: nothing is done.

    Raises:
        LaunchError: no cluster is there, it has not what a trial takes, or one of its machines does not see the sweep's
            directory or has other data files than this one.
    """
    if address is None:
        yield
        return
    if _connected():
        raise LaunchError(f"--address {address}: this process is connected to a Ray already")
    if address != "auto":
        knock(address)
    prepare_ray()
    import ray

    on_term = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory(prefix="vae-sweeps-code-") as scratch:
        code = None if _IN_JOB in os.environ else runtime_environment(Path(scratch))
        try:
            ray.init(address=address, runtime_env=code, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise LaunchError(f"cannot attach to a Ray cluster at {address}: {_first_line(error)}; {_TOKEN}") from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)  # Ray has put its own in place, which exits at once
        _require_machines(spec, where.sweep_dir(spec.name))
        yield
    finally:
        ray.shutdown()


def runtime_environment(scratch: Path) -> dict[str, Any]:
    """What workers begin with: a copy of this code, without which another machine could have another version or none."""
    here = Path(__file__).parent.parent
    for package in PACKAGES:
        shutil.copytree(here / package, scratch / package, ignore=shutil.ignore_patterns("__pycache__"))
    return {"working_dir": str(scratch), "env_vars": worker_environment()}


def knock(address: str) -> None:
    """Ray itself waits for more than a minute where nobody is.

    Args:
        address: host:port.

    Raises:
        LaunchError: nobody listens there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise LaunchError(f"--address {address}: wanted is HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise LaunchError(f"no Ray cluster answers at {address}: {why}") from error


@dataclass(frozen=True)
class Sight:
    """What a machine of the cluster sees; plain values, which cross processes."""

    directory: str
    """What is wrong with the sweep's directory; empty where it is the one."""
    files: dict[str, str]
    """Of each data file its SHA-256; empty where it cannot be read."""


def look(directory: str, mark: str, files: list[str]) -> Sight:
    """Looks from where it is called: is ``mark`` in ``directory``, can it be written to, and which data files are there.

    Data by address it fetches.
    """
    place = Path(directory)
    if not (place / mark).exists():
        fault = "does not see it"
    elif not os.access(place, os.W_OK | os.X_OK):
        fault = "may not write to it"
    else:
        fault = ""
    return Sight(fault, {file: _digest(file) for file in files})


def _require_machines(spec: SweepSpec, directory: Path) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    wanted = spec.resources
    fitting = [node for node in ray.nodes() if node["Alive"] and fits(node["Resources"], wanted)]
    if not fitting:
        there = "; ".join(described(node) for node in ray.nodes() if node["Alive"])
        raise LaunchError(
            f"resources: a trial wants {wanted.cpu:g} CPU and {wanted.gpu:g} GPU, which no machine of the cluster has ({there})"
        )
    files = data_files_of(spec) if any(name.startswith("data") for name in spec.parameters) else []  # else they are sent
    mark = f".seen-{secrets.token_hex(8)}"
    (directory / mark).touch()
    try:
        here = look(str(directory), mark, files)
        task = ray.remote(num_cpus=0)(look)
        seen = {
            node["NodeManagerAddress"] + f" ({node['NodeID'][:6]})": task.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(directory), mark, files)
            for node in fitting
        }
        ray.wait(list(seen.values()), num_returns=len(seen), timeout=PATIENCE_S)
        faults = [fault for name, answer in seen.items() for fault in _faults(name, answer, here, directory)]
    finally:
        (directory / mark).unlink(missing_ok=True)
    if faults:
        raise LaunchError("\n  ".join(["machines of the cluster cannot train this sweep:", *faults]))


def _faults(name: str, answer: Any, here: Sight, directory: Path) -> Iterator[str]:
    import ray

    try:
        sight = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        yield f"{name} has not answered within {PATIENCE_S:.0f} s"
        return
    except ray.exceptions.RayError as error:
        yield f"{name} cannot run this code: {_first_line(error)}"
        return
    if sight.directory:
        yield f"{name} {sight.directory}: {directory}; --home must be a directory that all machines share"
    for file, digest in sight.files.items():
        if digest != here.files[file]:
            yield f"{name} has {'another' if digest else 'no'} {file}" + (" than this machine" if digest else "")


def fits(there: dict[str, float], wanted: Resources) -> bool:
    """Whether a machine that has ``there`` could hold a trial."""
    return wanted.cpu <= there.get("CPU", 0.0) and wanted.gpu <= there.get("GPU", 0.0)


def described(node: dict[str, Any]) -> str:
    """One of ``ray.nodes()``: its address and what it has."""
    has = node["Resources"]
    return f"{node['NodeManagerAddress']}: {has.get('CPU', 0.0):g} CPU, {has.get('GPU', 0.0):g} GPU"


def _digest(name: str) -> str:
    try:
        with existing_file("data", name).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, DataError):
        return ""


def _connected() -> bool:
    """Whether the caller has a Ray already; Ray is not imported to find that it is not."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
