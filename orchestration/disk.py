"""Waits for the disk in a thread, so that training need not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestration.later import Later


class DiskWait:
    """What has been written, and is to outlast a power cut before it is written again."""

    def __init__(self) -> None:
        self._waiting: Later[None] | None = None

    def begin(self, paths: Iterable[Path]) -> None:
        """Has these files and directories brought to the disk, one after the other; returns at once."""
        self._waiting = Later(lambda: _bring(paths))

    def end(self) -> None:
        """Until they are there.

        Raises:
            OSError: they are not, once.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.result()


def _bring(paths: Iterable[Path]) -> None:
    from vae_core.checkpoint import to_disk

    for path in paths:
        to_disk(path)
