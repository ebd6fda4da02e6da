"""Ctrl-C and SIGTERM while a sweep runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from orchestration.driver import Driver


@contextlib.contextmanager
def signals_end(driver: Driver) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the sweep in good order, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if driver.stopping:
            raise KeyboardInterrupt
        driver.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)} if in_main_thread() else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
