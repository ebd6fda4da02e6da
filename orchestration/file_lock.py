"""Locks between processes: a file that one of them holds. The system frees it however that process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from orchestration.patience import notice

PATIENCE = 10
"""Tenths of a second for which a lock that is held is tried again: a glance at it passes."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for the lock and holds it: for work of milliseconds. Others' can take longer, as on a full disk: it says then what it
    waits for."""
    with path.open("a") as file:
        for patience in range(PATIENCE, -1, -1):
            if _try(file.fileno()):
                break
            if patience:
                time.sleep(0.1)
        else:
            notice(f"waits for {path}, which another process holds")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Holds the lock if nobody does, without signing it; whether it does."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextlib.contextmanager
def signed(
    path: Path,
    first: Callable[[], None] = lambda: None,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[bool]:
    """Holds the lock for long and signs it with this process; False where another process has it.

    Args:
        first: done as soon as it is held.
        within: entered while it is tried for, signed and ``first`` done, so that who enters it too sees all of that or nothing.
    """
    with path.open("a+") as file:
        for patience in range(PATIENCE, -1, -1):
            with within():
                taken = _try(file.fileno())
                if taken:
                    first()
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {socket.gethostname()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}")
                    file.flush()
            if taken:
                break
            if patience:
                time.sleep(0.1)
        yield taken


def signature(path: Path) -> str | None:
    """Which process holds the lock, in words; None where none does. Writes nothing."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        return path.read_text().strip() or "another process"
    except OSError:  # there is none on this machine
        return None


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
