"""A worker that watches itself: where a step of its trial takes too long, its process ends and leaves word where it hung."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from orchestration.worker import ARTIFACTS, TRACEBACK

_HANG_FILE = "hang.txt"
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')
_OURS = "in run_trial"
"""Stands in the stack of the thread that trains."""


@contextlib.contextmanager
def watched(directory: Path, timeout_s: float | None) -> Iterator[None]:
    """Ends this process if the context lasts longer than ``timeout_s`` seconds; its stacks are then in the directory.

    The clock is a thread of the interpreter's own, in C: it ticks through whatever the process hangs in, a held interpreter
    lock too.

    Args:
        timeout_s: None: nothing is watched.
    """
    if timeout_s is None:
        yield
        return
    path = directory / _HANG_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError:  # a full disk: the stacks are lost, the watch is kept
        path = Path(os.devnull)
        file = path.open("w")
    with file:
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    if path.name == _HANG_FILE:
        path.unlink(missing_ok=True)


class Hang(NamedTuple):
    """Of a worker that has hung."""

    place: str
    """``FUNCTION (FILE:LINE)``."""
    stacks: str
    """Of all its threads."""


def take_hang(directory: Path) -> Hang | None:
    """How the trial's last worker has hung; None where it has not, or on a machine whose files are not seen here.

    The word is taken away: a later worker's end may have another cause.
    """
    file = directory / _HANG_FILE
    try:
        stacks = file.read_text(errors="replace")
    except OSError:
        return None
    with contextlib.suppress(OSError):
        file.unlink()
    threads = [thread for thread in stacks.split("\n\n") if _OURS in thread]
    frames = [match for line in "\n".join(threads).splitlines() if (match := _FRAME.match(line))]
    if not stacks.startswith("Timeout"):  # killed by another hand
        return None
    return Hang(f"{frames[0][3]} ({frames[0][1]}:{frames[0][2]})" if frames else "a place unknown", stacks)


def keep_hang(directory: Path, hang: Hang) -> None:
    """Makes the stacks of a trial that is given up its traceback, among its artifacts."""
    artifacts = directory / ARTIFACTS
    artifacts.mkdir(parents=True, exist_ok=True)
    (artifacts / TRACEBACK).write_text(hang.stacks)
