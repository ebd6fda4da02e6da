"""A Ray cluster of real processes for tests: its head, the commands that are sent to it, and machines that join it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.faults.sweeps import start

UP_S = 90.0


@dataclass(frozen=True)
class Running:
    """A head with a faked GPU."""

    address: str
    dashboard: str
    environment: dict[str, str]

    def __call__(self, *arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
        process = start(*arguments, environment=environment or self.environment)
        try:
            output, _ = process.communicate(timeout=400)
        finally:
            process.kill()
        return process.returncode, output


@contextlib.contextmanager
def started(order: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """A part of a cluster as a process that ends its own children when it is told to end."""
    with log.open("w") as output:
        process = subprocess.Popen(order.split(), env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def free_ports(number: int) -> list[int]:
    """Above those that Ray gives to its workers."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < number:
            bound = stack.enter_context(socket.socket())
            bound.bind(("127.0.0.1", 0))
            if bound.getsockname()[1] > 20_000:
                found.append(bound.getsockname()[1])
        return found


def wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@contextlib.contextmanager
def guarded_head() -> Iterator[Running]:
    """A head that lets in who has its token."""
    directory = Path(tempfile.mkdtemp(prefix="vsr", dir="/tmp"))  # short: sockets lie below it
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    port, dashboard, client, agent = free_ports(4)
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(directory),  # else other Rays of this machine would be taken for this one
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    ports = f"--port={port} --dashboard-port={dashboard} --ray-client-server-port={client} --dashboard-agent-listen-port={agent}"
    head = f"ray start --head --block --num-cpus=8 --num-gpus=1 --temp-dir={directory}/t {ports}"
    with started(head, environment, directory / "head.log"):
        wait_for(dashboard, directory / "head.log")
        yield Running(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", environment)
    shutil.rmtree(directory, ignore_errors=True)
