"""What carries a sweep's spool to MLflow meanwhile: a thread of the driver, or a process of its own.

MLflow's client is Python: as a thread it takes every other moment of the driver, so that workers wait for the driver's word. The
process knows only the spool, as any later command does. It goes when the driver goes, however that ends; if it is killed, another
takes its place and finds by the spool how far it came.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Protocol, TextIO

from orchestration.importing import collect_rarely
from orchestration.patience import NOTICES, notice
from orchestration.tracking.delivery import Delivery
from orchestration.tracking.records import Records
from orchestration.tracking.spool import Spool, SpoolReader, pending_lines

_REQUEST_S = 15.0
"""A request that is under way when the time is over may take so long."""
_KILL_S = 5.0
_NICE = 10
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
"""Before a process that was killed is begun again."""


class Sender(Protocol):
    """Sends what is in a spool and what will be."""

    @property
    def trouble(self) -> str | None:
        """Why nothing is sent, as far as is known; None while all goes well."""

    def start(self, spool: Spool) -> None:
        """Begins to send, and returns at once."""

    def finish(self, timeout: float) -> None:
        """Nothing will be added any more: it ends when all is sent, or after so many seconds. Returns at once."""

    def wait(self) -> bool:
        """Until it has ended, or the time is over and what a request under way may take; whether nothing is sent from here on."""


class SenderThread:
    """A thread of this process."""

    def __init__(self, uri: str, artifact_root: Path) -> None:
        self._delivery = Delivery(Records(uri, artifact_root))

    @property
    def trouble(self) -> str | None:
        return self._delivery.trouble

    def start(self, spool: Spool) -> None:
        reader = SpoolReader(spool.path)
        self._thread = threading.Thread(target=self._delivery.run, args=(reader,), name="mlflow-sender", daemon=True)
        self._thread.start()

    def finish(self, timeout: float) -> None:
        self._deadline_s = time.monotonic() + timeout
        self._delivery.finish(timeout)

    def wait(self) -> bool:
        _join(self._thread, self._deadline_s)
        return not self._thread.is_alive()


class SenderProcess:
    """A process of its own, which a thread of this one begins, listens to and replaces if need be."""

    def __init__(self, uri: str, artifact_root: Path) -> None:
        self._uri, self._artifact_root = uri, artifact_root
        self.trouble: str | None = None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._deadline_s = math.inf
        self._finishing = threading.Event()
        self._ended = False

    def start(self, spool: Spool) -> None:
        self._spool = spool
        self._thread = threading.Thread(target=self._run, name="mlflow-sender", daemon=True)
        self._thread.start()

    def finish(self, timeout: float) -> None:
        with self._lock:
            self._deadline_s = time.monotonic() + timeout
            self._finishing.set()
            self._tell_deadline()

    def wait(self) -> bool:
        _join(self._thread, self._deadline_s)
        with self._lock:
            self._ended = True
            process = self._process
        if process is None or process.poll() is not None:
            return True
        self.trouble = self.trouble or "MLflow has not answered in time"
        process.kill()
        try:
            process.wait(_KILL_S)
        except subprocess.TimeoutExpired:  # it hangs in the system, such as on a disk that is away
            return False
        return True

    def _run(self) -> None:
        pause, said = _FIRST_PAUSE_S, ""
        while time.monotonic() < self._deadline_s:
            began_s = time.monotonic()
            try:
                process = self._begin()
                if process is None:
                    return
                ended, why = self._hear(process)
                if ended:
                    return
            except OSError as error:  # the machine has no process to give
                why = f"none can be begun: {error}"
            self.trouble = f"the process that sends records to MLflow has ended ({why})"
            if time.monotonic() - began_s > _LONGEST_PAUSE_S:
                pause, said = _FIRST_PAUSE_S, ""
            if said != why:
                said = why
                _say(f"{self.trouble}; it is begun again")
            if self._finishing.is_set():
                time.sleep(pause)
            else:
                self._finishing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _begin(self) -> subprocess.Popen[str] | None:
        """None: nothing more is to be sent.

        Its order goes by its standard input: an address can hold a password, and others see a process's arguments.
        """
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        order = {"uri": self._uri, "artifact_root": str(self._artifact_root), "spool": str(self._spool.path.absolute())}
        with self._lock:
            if self._ended:
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                pass_fds=[self._spool.fileno()],  # with its lock: none other may send before both are gone
                start_new_session=True,  # Ctrl-C is for the driver, which still has things to say
            )
            self._tell(order)
            self._tell_deadline()
            return self._process

    def _tell_deadline(self) -> None:
        if self._process is not None and self._finishing.is_set():
            self._tell({"finish": max(0.0, self._deadline_s - time.monotonic())})

    def _tell(self, what: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone: the listener sees to that
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def _hear(self, process: subprocess.Popen[str]) -> tuple[bool, str]:
        """Passes on what the process says, until it is gone; whether it ended as it should, and else why."""
        assert process.stdout is not None
        ended, why = False, ""
        with process.stdout as lines:
            for line in lines:
                said = _parsed(line)
                if "notice" in said:
                    _say(said["notice"])
                elif "ended" in said:
                    ended = True
                    self.trouble = said["ended"] or (self.trouble if pending_lines(self._spool.path) else None)
                elif "fault" in said:
                    why = said["fault"]
        code = process.wait()
        return ended, why or (f"signal {-code}" if code < 0 else f"exit code {code}")


def _join(thread: threading.Thread, deadline_s: float) -> None:
    thread.join(max(0.0, deadline_s - time.monotonic()) + _REQUEST_S)


def _parsed(line: str) -> dict[str, Any]:
    """Nothing where it is none of ours, or it was killed amid a word."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more, and records are sent all the same
        notice(text)


class _Notices(logging.Handler):
    """Hands notices to the driver, which knows where they belong."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        print(json.dumps({"notice": record.getMessage()}), file=self._out, flush=True)


def _follow(delivery: Delivery) -> None:
    """Hears the driver's word, and goes when the driver is gone: whoever goes on with the sweep sends the rest."""
    for line in sys.stdin:
        delivery.finish(json.loads(line)["finish"])
    os._exit(1)


def _step_back() -> None:
    """Training goes first where there is not enough for both."""
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # Linux may weigh sessions and not processes
        Path("/proc/self/autogroup").write_text(str(_NICE))


def main() -> None:
    """The process: its order is the first line of its standard input."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is no word to the driver
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # a notice is the driver's to print
    try:
        _step_back()
        collect_rarely()
        order = json.loads(sys.stdin.readline())
        logger = logging.getLogger(NOTICES)
        logger.setLevel(logging.INFO)
        logger.addHandler(_Notices(out))
        delivery = Delivery(Records(order["uri"], Path(order["artifact_root"])))
        threading.Thread(target=_follow, args=(delivery,), daemon=True).start()
        delivery.run(SpoolReader(Path(order["spool"])))
    except Exception as error:
        print(json.dumps({"fault": f"{type(error).__name__}: {error}"}), file=out, flush=True)
        raise
    print(json.dumps({"ended": delivery.trouble}), file=out, flush=True)
    os._exit(0)  # all is closed, and to take MLflow down module by module takes most of a second, which the driver waits
