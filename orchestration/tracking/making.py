"""MLflow makes and changes its tables without a lock: two processes at once leave a database that neither can open."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(uri: str) -> Iterator[None]:
    """While one process of this machine first opens the SQLite database at ``uri``, others wait; servers do so themselves."""
    file = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not file.parent.is_dir():
        yield
        return
    with file.with_name(f".{file.name}.making").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
