"""What the user must know while a sweep runs: in its log too, and of a trial each thing once until it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestration.patience import NOTICES, notice


class TrialNotices:
    """Says what trials have to say. One that waits says so again and again, and is heard once."""

    def __init__(self) -> None:
        self._last: dict[int, str] = {}

    def say(self, number: int, text: str) -> None:
        if self._last.get(number) != text:
            self._last[number] = text
            notice(f"trial {number}: {text}")

    def went_on(self, number: int) -> None:
        """The trial has done something since; what it says next is news."""
        self._last.pop(number, None)


class _Listener(logging.Handler):
    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log(f"notice: {record.getMessage()}")


@contextmanager
def notices_kept(log: Callable[[str], None]) -> Iterator[None]:
    """Whatever is said by ``notice`` meanwhile, in whichever thread, is also given to ``log``."""
    logger, listener = logging.getLogger(NOTICES), _Listener(log)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
