"""From the spool to MLflow: of each trial in order, for as long as that takes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Literal

from dashboards.home import hide_passwords
from orchestration.patience import notice
from orchestration.refusals import refusal
from orchestration.tracking.outage import is_outage
from orchestration.tracking.records import Records
from orchestration.tracking.spool import Line, SpoolReader
from orchestration.tracking.story import Entry, entry_of, together

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_GATHER_S = 0.3
"""Between two looks at the spool, where little waits: what is said meanwhile is sent together."""
_WINDOW = 100
"""Lines that are sent before it is noted that they were."""
_Outcome = Literal[True] | Exception
"""Whether entries are in the store, or why they never will be."""


class Delivery:
    """Carries a spool to the records, until told to finish and nothing is left or the time is over."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._finishing = threading.Event()
        self._deadline = math.inf
        self.trouble: str | None = None
        """Why nothing is sent at present; None while all goes well."""
        self._refused = False

    def finish(self, timeout: float) -> None:
        """Nothing will be added any more: ``run`` returns when all is sent, or after so many seconds."""
        self._deadline = time.monotonic() + timeout
        self._finishing.set()

    def run(self, spool: SpoolReader) -> None:
        """Sends what is there and what will be, until told to finish."""
        try:
            self._run(spool)
        except Exception as error:  # such as of a disk that cannot be read
            self.trouble = f"nothing is sent to MLflow any more: {_first_line(error)}"
            notice(f"{self.trouble}; training goes on, and the records wait")
            self._finishing.wait()
        finally:
            spool.close()
            self._records.close()

    def _run(self, spool: SpoolReader) -> None:
        while True:
            last = self._finishing.is_set()  # before it is read: what is said after that is found in the next round
            lines = spool.read()
            for start in range(0, len(lines), _WINDOW):
                if not self._deliver(spool, lines[start : start + _WINDOW]):
                    return
            if last and not lines:
                return
            if len(lines) < _WINDOW:
                self._finishing.wait(_GATHER_S)

    def _deliver(self, spool: SpoolReader, lines: Sequence[Line]) -> bool:
        """Sends the lines, however long the store is away; False: the time is over. What is sent by then, from the first line on
        without a gap, is noted, so that whoever goes on gets further."""
        entries: dict[int, Entry] = {}
        done: dict[int, _Outcome] = {}
        for at, line in enumerate(lines):
            try:
                entries[at] = entry_of(line.text)
            except ValueError as error:
                done[at] = error
        done |= self._send_all(entries)
        sent = list(takewhile(done.__contains__, range(len(lines))))
        if not sent or self._outlast(self._records.settle, _of_the_disk) is None:
            return False
        for at in sent:  # not before: what is sent again would be refused again
            if isinstance(refused := done[at], Exception):
                spool.reject(lines[at], refused)
        spool.delivered(lines[: len(sent)])
        return len(sent) == len(lines)

    def _send_all(self, entries: Mapping[int, Entry]) -> dict[int, _Outcome]:
        """What became of each until the time was over."""
        done: dict[int, _Outcome] = {}
        positions = list(entries)
        for group in together(list(entries.values())):
            due = [[positions[at] for at in group]]
            while due:
                part = due.pop(0)
                sent = self._send([entries[at] for at in part])
                if sent is None:
                    return done
                if isinstance(sent, Exception) and len(part) > 1:  # find out which of them it is
                    due = [[at] for at in part]
                else:
                    done.update(dict.fromkeys(part, sent))
        return done

    def _send(self, entries: Sequence[Entry]) -> _Outcome | None:
        """None: the time is over."""
        return None if time.monotonic() >= self._deadline else self._outlast(lambda: self._records.write(entries), is_outage)

    def _outlast(self, act: Callable[[], None], passes: Callable[[Exception], bool]) -> _Outcome | None:
        """Does it, again and again while it fails for a reason that passes; None: the time is over."""
        pause = _FIRST_PAUSE_S
        while True:
            done: _Outcome = True
            try:
                act()
            except Exception as error:  # the sender must outlive whatever one entry does
                if passes(error):
                    self._say(error)
                    self._rest(pause)
                    if time.monotonic() >= self._deadline:
                        return None
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
                    continue
                done = error
            if self._refused:
                self._refused = False
                notice("MLflow takes records again")
            self.trouble = None
            return done

    def _say(self, error: Exception) -> None:
        """An outage is told at the end, if it lasts so long; that nobody is let in, at once."""
        why = refusal(error)
        self.trouble = f"MLflow {'does not take' if why is None else 'refuses'} records: {why or _first_line(error)}"
        if why is not None and not self._refused:
            self._refused = True
            notice(f"{self.trouble}; training goes on, and they wait")

    def _rest(self, seconds: float) -> None:
        if self._finishing.is_set():
            time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
        else:
            self._finishing.wait(seconds)


def _of_the_disk(error: Exception) -> bool:
    return isinstance(error, OSError)


def _first_line(error: Exception) -> str:
    return hide_passwords(f"{type(error).__name__}: {error}".splitlines()[0])
