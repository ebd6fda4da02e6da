"""The spool: what has been said but not yet sent, in a file that outlives the process and the tracking server's outages.

One JSON object a line. Beside ``spool.jsonl`` lie ``spool.sent``, the byte offset up to which all is delivered, and
``spool.rejected.jsonl``, the lines that the server refused for good, each with its error. Losing ``spool.sent`` only
means that lines are sent again, which records recognise.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dashboards.home import hide_passwords
from orchestration.patience import no_room, patiently

SPOOL_FILE = "spool.jsonl"
_KEEP_BYTES = 1 << 20
_READ_BYTES = 1 << 22


class SpoolBusy(RuntimeError):
    """Another process writes this spool: the sweep is running."""


class Line(NamedTuple):
    """One undelivered line and the offset at which it ends."""

    text: str
    end: int


class Spool:
    """Appended to, in order, by one process at a time; a ``SpoolReader`` of this process or another empties it.

    This side alone writes lines and shortens the file, the reader alone notes how far it has come.

    Raises:
        SpoolBusy: another process holds it.
        OSError: the file cannot be made or written, such as on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        if not _take(self._file.fileno()):
            self._file.close()
            raise SpoolBusy(f"another process is writing {path}")
        _cut_torn_line(path)
        self._size = path.stat().st_size
        self._full = partial(_full, path)
        self._offset = _Offset(path)
        self._offset.write(_sent_offset(path))  # of a file that was shortened, another than it says
        self._offset.sync()
        _sync_directory(path.parent)

    def fileno(self) -> int:
        """A process that gets this descriptor holds the spool too."""
        return self._file.fileno()

    def append(self, entry: Mapping[str, Any], sync: bool = False) -> None:
        """Keeps one entry; it survives the end of this process from here on. Waits while the disk is full.

        Args:
            sync: it and all before it survive a power cut too. That costs a write to the disk itself, so it is for what
                nobody would say again.
        """
        data = (json.dumps(entry) + "\n").encode()
        if self._size > _KEEP_BYTES and self._offset.read() == self._size:
            self._empty()
        patiently(lambda: self._write(data), self._full)
        self._size += len(data)
        if sync:
            patiently(lambda: os.fdatasync(self._file.fileno()), self._full)

    def close(self) -> None:
        """Lets go of the files; a spool that has been delivered whole is emptied."""
        if self._offset.read() == self._size:
            self._empty()
        self._offset.close()
        self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]  # of a disk that is nearly full, less than asked for
        except OSError:
            self._file.truncate(self._size)
            raise

    def _empty(self) -> None:
        """Whoever is killed on the way leaves an offset beyond the file, which counts as none; nothing is appended before it is
        0, on the disk too, or new lines could be skipped."""
        self._file.truncate(0)
        self._size = 0
        self._offset.write(0)
        self._offset.sync()


class SpoolReader:
    """Takes the lines from a spool that this process holds, or the one that has begun it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = _Offset(path)

    def read(self) -> list[Line]:
        """The undelivered lines, oldest first; at most some megabytes at once."""
        start = self._offset.read()
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(_READ_BYTES)
            if not data.endswith(b"\n"):
                data += file.readline()
        if self._offset.read() != start:  # it was emptied meanwhile, and has new lines perhaps
            return []
        lines, end = [], start
        for raw in data.splitlines(keepends=True):
            end += len(raw)
            lines.append(Line(raw.decode(errors="replace"), end))
        if lines and not data.endswith(b"\n"):  # one that is being written
            lines.pop()
        return lines

    def delivered(self, lines: Sequence[Line]) -> None:
        """Marks these lines, the oldest that were not, as sent."""
        self._offset.write(lines[-1].end)

    def reject(self, line: Line, error: BaseException) -> None:
        """Puts a line that can never be delivered aside, with the reason."""
        text = json.dumps({"error": hide_passwords(f"{type(error).__name__}: {error}"), "entry": line.text.strip()}) + "\n"

        def write() -> None:
            with rejected_path(self.path).open("a") as file:
                file.write(text)

        patiently(write, partial(_full, self.path))

    def close(self) -> None:
        self._offset.close()


class _Offset:
    """Up to which byte of the spool all is delivered, in its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(_sent_path(path), os.O_RDWR | os.O_CREAT, 0o644)

    def read(self) -> int:
        return int(os.pread(self._fd, 20, 0))

    def write(self, offset: int) -> None:
        patiently(lambda: os.pwrite(self._fd, b"%020d" % offset, 0), partial(_full, self._path))

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def _full(path: Path, error: Exception) -> str | None:
    return f"no room is left on the disk of {path.parent}" if no_room(error) else None


def pending_lines(path: Path) -> int:
    """How many lines of the spool at ``path`` are undelivered; 0 where there is none. Takes no lock and writes nothing."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(_sent_offset(path))
        return sum(line.endswith(b"\n") for line in file)


def is_held(path: Path) -> bool:
    """Whether a process has this spool open, that is, whether its sweep is running."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def rejected_path(path: Path) -> Path:
    """Where lines lie that the server refused for good."""
    return path.with_suffix(".rejected.jsonl")


def rejected_lines(path: Path) -> int:
    """How many lines of the spool at ``path`` the server has refused so far."""
    refused = rejected_path(path)
    return len(refused.read_bytes().splitlines()) if refused.exists() else 0


def _take(descriptor: int) -> bool:
    """Takes the lock, or tells that another process has it; a moment's patience, for ``is_held`` takes it for a moment."""
    for attempt in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02 * attempt)
        else:
            return True
    return False


def _sync_directory(directory: Path) -> None:
    """Lets a new file's name survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sent_path(path: Path) -> Path:
    return path.with_suffix(".sent")


def _sent_offset(path: Path) -> int:
    try:
        offset = int(_sent_path(path).read_bytes())
    except (FileNotFoundError, ValueError):
        return 0
    return offset if 0 <= offset <= path.stat().st_size else 0


def _cut_torn_line(path: Path) -> None:
    """Drops a last line without its end, left by a process that was killed in the middle of writing it."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
