"""Works a home's queue off: one sweep after the other, each in a process of its own, the highest priority first."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import getpid
from types import FrameType

from dashboards.home import Home
from orchestration.driver_lock import holder, order
from orchestration.ending import INTERRUPTED
from orchestration.sweep_queue import OPEN, Entry, Queue, how_to_go_on

LOOK_EVERY_S = 0.5
"""Between two looks at the queue."""


class Runner:
    """One process that works the queue off; hold ``Queue.only_runner``.

    Args:
        options: of each sweep's run: ``--debug``, ``--address``.
        say: told what happens.
    """

    def __init__(self, where: Home, options: list[str], say: Callable[[str], None]) -> None:
        self._home = where
        self._queue = Queue(where)
        self._options = options
        self._say = say
        self._said: set[str] = set()
        self._child: subprocess.Popen[bytes] | None = None
        self._signals = 0
        self._forwarded = 0
        self.failed: list[str] = []
        """The sweeps that have failed."""

    @property
    def ending(self) -> bool:
        """Whether Ctrl-C or SIGTERM has come."""
        return self._signals > 0

    def work(self, keep: bool) -> None:
        """Until nothing is left whose turn could come; with ``keep``, until a signal. A signal ends the running sweep first."""
        with self._signals_heard():
            while not self.ending:
                entry, wait = self._next()
                if entry is not None:
                    self._turn(entry)
                    self._said.clear()
                elif wait or keep:
                    if not wait:
                        self._say_once("the queue is empty; waiting for further sweeps")
                    time.sleep(LOOK_EVERY_S)
                else:
                    return

    def _next(self) -> tuple[Entry | None, bool]:
        """Whose turn it is; if nobody's, whether a sweep of an earlier runner must be waited for."""
        for entry in self._queue.entries():
            if entry.state not in OPEN:
                continue
            driver = holder(entry.name, self._home)
            if driver is None:
                return entry, False
            if entry.state == "running":
                self._say_once(f"{entry.name} is still being run by {driver}, from before; waiting for its end")
                self._let_first(entry)
                return None, True
            self._say_once(f"{entry.name} is being run by {driver}; it stays in the queue, which goes on with the next")
        return None, False

    def _turn(self, entry: Entry) -> None:
        begun = self._queue.begin(entry.name)
        if begun is None:
            return
        name = begun.name
        self._say(f"{name}: its turn, of priority {begun.priority}")
        words = ["queue", "turn", name, str(begun.turn), "--runner", str(getpid()), "--home", str(self._home.root)]
        # In a session of its own: a Ctrl-C comes to it through this process alone, and once.
        self._child = subprocess.Popen([sys.executable, "-m", "orchestration", *words, *self._options], start_new_session=True)
        self._forward()
        looked_s = 0.0
        while self._child.poll() is None:
            time.sleep(0.1)
            if time.monotonic() - looked_s > LOOK_EVERY_S:
                looked_s = time.monotonic()
                self._let_first(begun)
        self._note_end(begun, self._child.returncode)
        self._child = None

    def _note_end(self, begun: Entry, code: int) -> None:
        after = self._queue.entry(begun.name)
        if after is None or after.turn != begun.turn:
            return
        if after.state == "running":  # it ended without a word
            if self.ending:
                after = self._queue.change(begun.name, begun.turn, state="waiting", reason=INTERRUPTED)
            else:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                reason = f"its process {how}; {how_to_go_on(begun.name)}"
                after = self._queue.change(begun.name, begun.turn, state="failed", reason=reason)
        elif after.state == "waiting" and after.reason == INTERRUPTED and not self.ending:  # by a signal of its own
            after = self._queue.change(begun.name, begun.turn, state="stopped")
        if after.state == "failed":
            self.failed.append(after.name)
        self._say(f"{after.name}: {after.state}" + (f", {after.reason}" if after.reason else ""))

    def _let_first(self, running: Entry) -> None:
        """Has the running sweep stopped after its running trials where one of a strictly higher priority waits."""
        entries = self._queue.entries()
        priority = next((entry.priority for entry in entries if entry.name == running.name), running.priority)
        for rival in entries:
            if rival.state == "waiting" and rival.priority > priority and holder(rival.name, self._home) is None:
                told = order(
                    running.name,
                    self._home,
                    unless=lambda before: before.stop is not None,
                    stop="after",
                    yield_to=rival.name,
                )
                if told is not None:
                    self._say_once(
                        f"{running.name} stops after its running trials and waits: {rival.name}, of priority {rival.priority},"
                        " goes first"
                    )
                return

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    @contextmanager
    def _signals_heard(self) -> Iterator[None]:
        def hear(number: int, frame: FrameType | None) -> None:
            self._signals += 1
            self._forward()

        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _forward(self) -> None:
        """Each signal once: the first ends the running sweep in good order, the second at once."""
        while self._child is not None and self._forwarded < self._signals:
            self._forwarded += 1
            self._child.send_signal(signal.SIGTERM)
