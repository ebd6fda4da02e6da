"""Work that is done meanwhile, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")

_SETTLE_S = 5.0
"""NumPy's import and most files take less; a download need not be waited for."""


class Later(Generic[T]):
    """What ``act`` returns, begun at once. Unlike an executor's, its thread keeps no process from ending."""

    def __init__(self, act: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, args=(act,), daemon=True).start()

    def _run(self, act: Callable[[], T]) -> None:
        try:
            self._future.set_result(act())
        except BaseException as error:  # it is the asker's
            self._future.set_exception(error)

    def result(self) -> T:
        """Waits for it, and raises what it raised."""
        return self._future.result()

    def settle(self) -> None:
        """Waits a moment for it, if it is not done: a process that ends amid an import may crash."""
        wait([self._future], _SETTLE_S)
