"""An MLflow server on a home, in the cheapest configuration: its processes, its port, and their end."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from dashboards.home import Home

DEFAULT_PORT = 5000
_PORTS_TRIED = 50
_PORT_RACES = 3
"""How often another port is tried where one was free and then was not."""
_START_S = 90.0
_STOP_S = 10.0


class UiError(ValueError):
    """The UI cannot be shown where the user asked for it."""


@contextlib.contextmanager
def running_server(
    home: Home, host: str = "127.0.0.1", port: int | None = None, say: Callable[[str], None] = print
) -> Iterator[Server]:
    """An MLflow server that answers, and is gone with all its processes afterwards.

    Raises:
        UiError: the port is taken, or the server did not start.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    for again in range(_PORT_RACES, -1, -1):
        chosen = free_port(host, port)
        if port is None and chosen != DEFAULT_PORT:
            say(f"port {DEFAULT_PORT} is in use; taking {chosen}")
        with (home.root / "mlflow-server.log").open("w") as log:
            server = Server(home, host, chosen, log)
            try:
                try:
                    server.wait_until_ready(_START_S)
                except UiError:
                    if port is None and again and "address already in use" in server.last_words():
                        continue  # another program was quicker
                    raise
                yield server
                return
            finally:
                server.stop()


@dataclass
class Server:
    """The processes of one MLflow server, in a group of their own."""

    home: Home
    host: str
    port: int
    log: TextIO
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", self.host, "--port", str(self.port)]
        command += ["--backend-store-uri", self.home.tracking_uri, "--default-artifact-root", str(self.home.artifact_root)]
        # Its own group: a Ctrl-C in the terminal reaches only this program, which then ends the whole group.
        self._process = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True
        )

    @property
    def url(self) -> str:
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{shown}]:{self.port}/" if ":" in shown else f"http://{shown}:{self.port}/"

    def wait_until_ready(self, timeout: float) -> None:
        """Returns when the server answers.

        Raises:
            UiError: it ended, or did not answer in ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise UiError(f"the MLflow server did not start:\n{self.last_words()}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}health", timeout=2):
                if self._listens():  # and not another that has taken the port meanwhile
                    return
            time.sleep(0.1)
        raise UiError(f"the MLflow server does not answer after {timeout:.0f} s:\n{self.last_words()}")

    def _listens(self) -> bool:
        """Whether a process of this server's own has the port."""
        import psutil

        port = urllib.parse.urlsplit(self.url).port
        with contextlib.suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self._process.pid)
            for process in (leader, *leader.children(recursive=True)):
                if any(at.status == psutil.CONN_LISTEN and at.laddr.port == port for at in process.net_connections()):
                    return True
        return False

    def wait(self) -> None:
        """Returns when the server has ended."""
        self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(Path(self.log.name).read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """Ends every process of the group; at once if they do not end in good order, or at a second Ctrl-C."""
        self._signal(signal.SIGTERM)
        try:
            if self._gone(_STOP_S):
                return
        except KeyboardInterrupt:
            self._signal(signal.SIGKILL)
            raise
        self._signal(signal.SIGKILL)
        self._gone(_STOP_S)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _gone(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._process.poll()  # a dead leader is in its group until it is waited for
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False


def free_port(host: str, port: int | None) -> int:
    """``port``, or where that is None the first free one from 5000 on.

    Raises:
        UiError: the port asked for is taken, or none of those tried is free.
    """
    if port is not None:
        if not _is_free(host, port):
            raise UiError(f"port {port} of {host} is in use; choose another with --port, or leave it out to get a free one")
        return port
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED):
        if _is_free(host, candidate):
            return candidate
    raise UiError(f"no port of {host} from {DEFAULT_PORT} to {DEFAULT_PORT + _PORTS_TRIED - 1} is free; choose one with --port")


def _is_free(host: str, port: int) -> bool:
    """Whether the port can be listened on.

    Raises:
        UiError: ``host`` is no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise UiError(f"cannot listen on {host}: {error}") from error
    return True


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _environment() -> dict[str, str]:
    """One worker and no job runners: 5 s to the first page instead of 20, and a fifth of the memory."""
    dropped = {"MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"}
    return {
        **{name: value for name, value in os.environ.items() if name not in dropped},
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
