"""The queue of sweeps in one home: a file an entry, from which whoever works the queue off knows all that there is to know."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from dashboards.errors import nearest
from dashboards.home import Home
from orchestration.driver_lock import holder
from orchestration.errors import LaunchError
from orchestration.file_lock import locked, signature, signed
from orchestration.patience import no_room, patiently
from orchestration.whole_file import write_whole

EntryState = Literal["waiting", "running", "stopped", "done", "failed"]
OPEN = ("running", "waiting")
"""The states of those whose turn is or will be."""


@dataclass(frozen=True)
class Entry:
    """A sweep of the queue."""

    name: str
    priority: int = 0
    """The highest first, and of equal ones the oldest."""
    added_s: float = 0.0
    """When, in seconds since 1970."""
    text: str | None = None
    """The whole sweep file; None: the sweep is in the home already, and is gone on with."""
    state: EntryState = "waiting"
    """waiting: also one that has begun, and is gone on with when its turn comes; stopped: by the user's order, and left alone."""
    reason: str = ""
    """How it ended."""
    turn: int = 0
    """How often its turn has come. What an earlier turn's process has to say counts no more."""
    runner: str = ""
    """Which process began its turn."""


class Queue:
    """The entries of a home's queue. Each change is one step; whoever makes one holds the queue's lock meanwhile."""

    def __init__(self, where: Home) -> None:
        self._home = where
        self._root = where.root / "queue"

    def entries(self) -> list[Entry]:
        """In the order of their turns; those that have ended last."""
        entries = [self._read(file) for file in sorted(self._root.glob("[!.]*.json"))]
        runner = self.runner()  # after the files: one who has just begun is known to whoever has read of its first turn
        return sorted((self._as_it_is(entry, runner) for entry in entries), key=_turn)

    def entry(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries() if entry.name == name), None)

    def add(self, name: str, text: str | None, priority: int) -> Entry:
        """A new entry, or one in place of an entry that has ended.

        Raises:
            LaunchError: the name is in the queue already, or the home cannot be written.
        """
        self._make_root()
        with self._locked():
            before = self.entry(name)
            if before is not None and (before.state in OPEN or (before.state == "stopped" and text is not None)):
                raise LaunchError(
                    f"{name!r} is in the queue already, {before.state}: give this one another name with --name,"
                    f" or take that one out: vae-sweeps queue remove {name}"
                )
            turn = before.turn if before is not None else 0
            entry = Entry(name, priority, time.time(), text, turn=turn)
            self._write(entry)
        return entry

    def remove(self, name: str) -> Entry:
        """Takes an entry out; its sweep, if it has begun, stays in the home.

        Raises:
            LaunchError: there is none of this name, or it is running.
        """
        with self._locked():
            entry = self._known(name)
            if entry.state == "running":
                raise LaunchError(f"{name!r} is running: first vae-sweeps stop {name}")
            (self._root / f"{entry.name}.json").unlink()
        return entry

    def change(self, name: str, turn: int | None = None, **changes: Any) -> Entry:
        """Changes an entry; not, if ``turn`` is given, where that turn is over.

        Raises:
            LaunchError: there is none of this name.
        """
        with self._locked():
            entry = self._known(name)
            if turn is None or turn == entry.turn:
                entry = replace(entry, **changes)
                self._write(entry)
        return entry

    def begin(self, name: str) -> Entry | None:
        """The entry's turn comes; None where it has been taken out, or ended, meanwhile."""
        with self._locked():
            entry = self.entry(name)
            if entry is None or entry.state not in OPEN:
                return None
            entry = replace(entry, state="running", reason="", turn=entry.turn + 1, runner=self.runner() or "")
            self._write(entry)
        return entry

    @contextmanager
    def only_runner(self) -> Iterator[None]:
        """Holds the lock of who works the queue off.

        Raises:
            LaunchError: another process holds it.
        """
        self._make_root()
        with signed(self._runner_lock) as taken:
            if not taken:
                raise LaunchError(f"the queue of {self._home.root} is being worked off by {self.runner()}")
            yield

    def runner(self) -> str | None:
        """Which process works the queue off, in words; None where none does."""
        return signature(self._runner_lock)

    def _as_it_is(self, entry: Entry, runner: str | None) -> Entry:
        """Whose turn was cut short, with the process that began it, waits; unless its sweep lives on."""
        if entry.state != "running" or entry.runner == runner or holder(entry.name, self._home) is not None:
            return entry
        return replace(entry, state="waiting", reason="interrupted: who worked the queue off was killed")

    def _read(self, file: Path) -> Entry:
        """An entry that is none has failed; it is in nobody's way."""
        try:
            self._home.sweep_dir(file.stem)  # refuses what is no plain name
            entry = TypeAdapter(Entry).validate_json(file.read_bytes(), strict=True)
        except (OSError, ValueError) as error:
            return Entry(file.stem, state="failed", reason=f"{file} cannot be read: {_faults(error)}")
        return replace(entry, name=file.stem)

    def _make_root(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LaunchError(f"cannot keep a queue in {self._root}: {error.strerror}; choose another with --home") from error

    @property
    def _runner_lock(self) -> Path:
        return self._root / ".runner.lock"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._root.is_dir():  # looking makes nothing
            yield
            return
        with locked(self._root / ".entries.lock"):
            yield

    def _known(self, name: str) -> Entry:
        entries = self.entries()
        entry = next((entry for entry in entries if entry.name == name), None)
        if entry is None:
            raise LaunchError(f"{name!r} is not in the queue of {self._home.root}: {nearest(name, [e.name for e in entries])}")
        return entry

    def _file(self, name: str) -> Path:
        self._home.sweep_dir(name)  # refuses what is no plain name
        return self._root / f"{name}.json"

    def _write(self, entry: Entry) -> None:
        """Waits for room on a full disk: whoever works the queue off must not end of it."""
        patiently(lambda: write_whole(self._file(entry.name), json.dumps(asdict(entry), indent=1)), self._full)

    def _full(self, error: Exception) -> str | None:
        return f"no room is left on the disk of {self._root}" if no_room(error) else None


def how_to_go_on(name: str) -> str:
    """Said of a sweep of the home whose turn has failed."""
    return f"it can go on: vae-sweeps queue add --resume {name}"


def _turn(entry: Entry) -> tuple[Any, ...]:
    return entry.state not in OPEN, -entry.priority, entry.state != "running", entry.added_s, entry.name


def _faults(error: Exception) -> str:
    """In words; of pydantic's without the values, which may hold passwords."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors())
