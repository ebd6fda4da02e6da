"""What is wrong with a sweep file, and where: every fault is found at once and said in words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.home import without_password

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value; a key may hold dots, as those of ``parameters`` do."""

_SHOWN = 100
_NAMES = 12


@dataclass(frozen=True)
class Fault:
    """One fault, for a person to read."""

    file: str
    """As the user wrote it; or the option of the command line that the value came from."""
    line: int | None
    """From 1; None where the file as a whole is meant."""
    column: int | None
    path: str
    """Dotted; empty for the whole file."""
    message: str
    """What is wrong, and what is allowed."""
    value: str | None = None
    """What stands there, as ``shown`` writes it; None where nothing does."""
    nearest: str | None = None
    """The allowed name most like what was written."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        lines = [": ".join(part for part in (place, self.path, self.message) if part)]
        if self.value is not None:
            lines.append(f"    it reads: {self.value}")
        if self.nearest is not None:
            lines.append(f"    did you mean: {self.nearest}")
        return _printable("\n".join(lines))


class SweepFileError(ValueError):
    """A sweep file that cannot be used; ``str`` of it is the whole message, one block a fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        assert faults
        super().__init__(faults)
        self.faults = list(faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def shown(value: Any) -> str:
    """A value as JSON on one line, without passwords, cut where it is long."""
    text = json.dumps(_public(value), ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {_public(key): _public(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    return without_password(value) if isinstance(value, str) and "://" in value else value


def nearest_name(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like ``name``; None where none is like it."""
    return next(iter(difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)), None)


def listed(names: Iterable[str]) -> str:
    """Names in a row, cut where they are many."""
    names = list(names)
    return ", ".join(names) if len(names) <= _NAMES else ", ".join(names[:_NAMES]) + f" and {len(names) - _NAMES} more"


def dotted(path: Path) -> str:
    """``("parameters", "a.b", "values", 0)`` as ``parameters.a.b.values[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _printable(text: str) -> str:
    """Without control characters, which a file could use to repaint the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
