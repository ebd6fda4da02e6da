"""Imports without the garbage collector: what is imported lives on, and by default is walked through again and again meanwhile.

It takes a third of what it takes to import torch, and a sixth of MLflow's.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_USUAL = gc.get_threshold()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No collection within, and as usual from then on: for a process that goes on to make garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.set_threshold(*_USUAL)
        if was:
            gc.enable()


def collect_rarely() -> None:
    """For a process of which most is imports, one after the other as they are needed."""
    gc.set_threshold(100_000, 20, 20)
