"""Writing what the user asked for to where she asked for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class OutputFault(ValueError):
    """What was asked for cannot be written there, by the user's mistake; the message says why."""


def write_output(path: Path, content: str | bytes) -> None:
    """Writes a file.

    Raises:
        OutputFault: the place does not exist or may not be written to.
    """
    with_output(path, lambda: path.write_bytes(content if isinstance(content, bytes) else content.encode()))


def with_output(path: Path, write: Callable[[], object]) -> None:
    """Lets ``write`` write to ``path``.

    Raises:
        OutputFault: the place does not exist or may not be written to.
    """
    if not path.absolute().parent.is_dir():
        raise OutputFault(f"{path.absolute().parent} is no directory; make it first")
    try:
        write()
    except OSError as error:
        raise OutputFault(f"cannot write {path}: {error.strerror}") from error
