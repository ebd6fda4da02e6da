"""Orders to a running sweep: a small file in its directory, which its driver looks at while it works.

A file, and no signal, so that a driver on another machine that shares the home hears it too.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

CONTROL_FILE = "control.json"


@dataclass(frozen=True)
class Orders:
    """What a sweep was told while it ran; they end with its driver."""

    stop: Literal["after", "now"] | None = None
    """after: no further trial is started; now: the running ones are stopped too, and their checkpoints stay."""
    max_concurrent_trials: int | None = None
    """Instead of the file's."""


def give(path: Path, **orders: Any) -> Orders:
    """Adds orders to those that the file holds; the whole of them. A reader sees the old or the new, never a part."""
    given = replace(read(path), **orders)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
        file.write(json.dumps(asdict(given)))
    os.replace(file.name, path)  # noqa: PTH105 - in one step
    return given


def read(path: Path) -> Orders:
    """The orders that the file holds; none where there is no file, or none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Orders(**json.loads(path.read_text()))
    return Orders()


def clear(path: Path) -> None:
    """Forgets orders to an earlier driver."""
    path.unlink(missing_ok=True)
