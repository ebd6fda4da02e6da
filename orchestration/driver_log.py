"""What a sweep's driver decided, as dated lines in a file of the sweep's directory; every start adds to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

LOG_FILE = "driver.log"


class DriverLog:
    """Appends lines; one that cannot be written is dropped, for no training may wait for its log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, line: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            with self._path.open("a") as file:
                file.write(f"{stamp} {' '.join(line.split())}\n")
        except OSError:
            pass


def lines_of(path: Path, trial: int | None = None) -> Iterator[str]:
    """The log's lines, or those that are about one trial."""
    if not path.exists():
        return
    about = None if trial is None else re.compile(rf"\btrial {trial}\b")
    for line in path.read_text(errors="replace").splitlines():
        if about is None or about.search(line):
            yield line
