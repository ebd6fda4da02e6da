"""Orders to a running sweep: a small file in its directory, which its driver looks at while it works.

A file, and no signal, so that a driver on another machine that shares the home hears it too. Who gives orders and the driver
that begins hold one lock while they do, so that no order is lost to another, and none to the driver that it was meant for.
"""

from __future__ import annotations

import contextlib
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from orchestration.file_lock import locked
from orchestration.whole_file import write_whole

CONTROL_FILE = "control.json"


@dataclass(frozen=True)
class Orders:
    """What a sweep was told while it ran; they end with its driver."""

    stop: Literal["after", "now"] | None = None
    """after: no further trial is started; now: the running ones are stopped too, and their checkpoints stay."""
    yield_to: str | None = None
    """The sweep of the queue that goes first, where that is why it is stopped."""
    max_concurrent_trials: int | None = None
    """Instead of the file's."""


def orders_locked(path: Path) -> AbstractContextManager[None]:
    """Held while the orders are changed, or those to an earlier driver forgotten."""
    return locked(path.with_suffix(".lock"))


def write(path: Path, orders: Orders) -> None:
    """In place of those that the file holds; a reader sees the old or the new, never a part. Hold ``orders_locked``."""
    write_whole(path, json.dumps(asdict(orders)))


def read(path: Path) -> Orders:
    """The orders that the file holds; none where there is no file, or none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Orders(**json.loads(path.read_text()))
    return Orders()


def clear(path: Path) -> None:
    """Forgets orders to an earlier driver. Hold ``orders_locked``."""
    path.unlink(missing_ok=True)
