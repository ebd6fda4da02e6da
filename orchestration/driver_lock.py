"""One driver a sweep: a lock in the sweep's directory, which says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from dashboards.home import Home
from orchestration.errors import LaunchError


@contextlib.contextmanager
def only_driver(name: str, where: Home) -> Iterator[None]:
    """Holds the sweep's lock; the system frees it however this process ends.

    Raises:
        LaunchError: another process holds it.
    """
    try:
        file = _lock_file(name, where).open("a+")
    except OSError as error:
        raise LaunchError(f"cannot keep a sweep in {where.sweep_dir(name)}: {error.strerror}") from error
    with file:
        for patience in range(10, -1, -1):  # a glance by ``status`` passes
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not patience:
                    raise LaunchError(f"the sweep {name!r} is being run by {holder(name, where)}") from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def holder(name: str, where: Home) -> str | None:
    """Which process drives the sweep, in words; None where none does. Writes nothing."""
    try:
        with _lock_file(name, where).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        return _lock_file(name, where).read_text().strip() or "another process"
    except OSError:  # nothing of the sweep is on this machine
        return None


def _lock_file(name: str, where: Home) -> Path:
    return where.sweep_dir(name) / "driver.lock"
