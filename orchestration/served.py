"""A server of pages as a child of this program: its processes, its port, and their end."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

_PORTS_TRIED = 50
_PORT_RACES = 3
"""How often another port is tried where one was free and then was not."""
_START_S = 90.0
_STOP_S = 10.0


class UiError(ValueError):
    """The UI cannot be shown where the user asked for it."""


@dataclass(frozen=True)
class Service:
    """What is served, and how it is started."""

    name: str
    """As in ``the MLflow server did not start``."""
    command: Callable[[str, int], list[str]]
    """By host and port."""
    environment: Mapping[str, str]
    log: Path
    """What it writes, of its last start."""
    first_port: int
    """Where none is asked for, this or the next free one is taken."""
    health: str
    """A path that answers once it is ready."""
    option: str = ""
    """By which the user chooses its port, if she can."""


@contextlib.contextmanager
def running(service: Service, host: str, port: int | None, say: Callable[[str], None]) -> Iterator[Server]:
    """A server that answers, and is gone with all its processes afterwards.

    Raises:
        UiError: the port is taken, or the server did not start.
    """
    service.log.parent.mkdir(parents=True, exist_ok=True)
    for again in range(_PORT_RACES, -1, -1):
        chosen = free_port(host, port, service.first_port, service.option)
        if port is None and chosen != service.first_port:
            say(f"port {service.first_port} is in use; taking {chosen}")
        with service.log.open("w") as log:
            server = Server(service, host, chosen, log)
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
    """The processes of one server, in a group of their own."""

    service: Service
    host: str
    port: int
    log: TextIO
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        # Its own group: a Ctrl-C in the terminal reaches only this program, which then ends the whole group.
        self._process = subprocess.Popen(
            self.service.command(self.host, self.port),
            env=dict(self.service.environment),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
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
                raise UiError(f"{self.service.name} did not start:\n{self.last_words()}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}{self.service.health}", timeout=2):
                if self._listens():  # and not another that has taken the port meanwhile
                    return
            time.sleep(0.1)
        raise UiError(f"{self.service.name} does not answer after {timeout:.0f} s:\n{self.last_words()}")

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

    @property
    def is_up(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

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


def free_port(host: str, port: int | None, first: int, option: str = "") -> int:
    """``port``, or where that is None the first free one from ``first`` on.

    Raises:
        UiError: the port asked for is taken, or none of those tried is free.
    """
    if port is not None:
        if not _is_free(host, port):
            raise UiError(f"port {port} of {host} is in use; choose another with {option}, or leave it out to get a free one")
        return port
    for candidate in range(first, first + _PORTS_TRIED):
        if _is_free(host, candidate):
            return candidate
    raise UiError(
        f"no port of {host} from {first} to {first + _PORTS_TRIED - 1} is free"
        + (f"; choose one with {option}" if option else "")
    )


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
