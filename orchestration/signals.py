"""Ctrl-C and SIGTERM while a sweep runs."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from orchestration.driver import Driver

_AGAIN_S = 0.05


@contextlib.contextmanager
def signals_end(driver: Driver) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the sweep in good order, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if driver.stopping:
            raise KeyboardInterrupt
        driver.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)} if in_main_thread() else {}
    try:
        with heard_wherever_it_falls():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def heard_wherever_it_falls() -> Iterator[None]:
    """An interrupt that falls where nothing can be raised, as in the callbacks of an import's locks, comes again a moment later.

    Python would print it with a traceback, and forget it.
    """
    before = sys.unraisablehook

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(_AGAIN_S, _thread.interrupt_main).start()  # not from here: in here it could not be raised either
        else:
            before(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
