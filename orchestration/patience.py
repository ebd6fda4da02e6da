"""What passes by itself is waited out: a full disk, a locked database, a database server that restarts."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

NOTICES = "vae_sweeps.notices"
"""The name under which the standard library's logging passes on what is said."""
PAUSE_S = 1.0
"""Between two attempts."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = ("database or disk is full", "os error 28", "no space left on device")
"""As SQLite, safetensors and PostgreSQL say it."""


def no_room(error: BaseException) -> bool:
    """Whether the disk is full, however deep the error says so."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _FULL) or any(text in str(cause).lower() for text in _FULL_TEXTS)
        for cause in causes(error)
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def notice(text: str) -> None:
    """Says what the user must know while the sweep goes on; a live table makes room for it, and the sweep's log keeps it."""
    print(f"vae-sweeps: {text}", file=sys.stderr, flush=True)
    logging.getLogger(NOTICES).info(text)


def patiently(act: Callable[[], T], reason: Callable[[Exception], str | None]) -> T:
    """What ``act`` returns, however often it fails before for a reason that passes; says so, and when it has passed.

    An exception of a signal's ends the waiting.

    Args:
        reason: what is being waited for, in words; None where waiting is no use and the error is raised.
    """
    began_s: float | None = None
    while True:
        try:
            done = act()
        except Exception as error:
            why = reason(error)
            if why is None:
                raise
            if began_s is None:
                began_s = time.monotonic()
                notice(f"{why}; the sweep waits and goes on by itself")
            time.sleep(PAUSE_S)
        else:
            if began_s is not None:
                notice(f"going on after {time.monotonic() - began_s:.0f} s")
            return done
