"""The turn of one sweep of the queue, in a process of its own, which ends with the one that works the queue off.

A process each, for Ray, torch and MLflow leave memory, threads and handlers behind them, and because one that is killed, for want
of memory or by its user, must not take the queue with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

from dashboards.home import Home
from orchestration.control import CONTROL_FILE, read
from orchestration.ending import INTERRUPTED, STOPPED
from orchestration.errors import DriverBusy, LaunchError
from orchestration.hidden import public
from orchestration.launch import SweepResult, resume_sweep, run_sweep
from orchestration.spec import SweepSpec, parse_sweep, spec_text
from orchestration.stored_sweeps import is_stored, stored_sweep
from orchestration.sweep_queue import Entry, EntryState, Queue, how_to_go_on

if TYPE_CHECKING:
    from rich.console import Console

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Has this process told to end (SIGTERM) as soon as its parent is gone, however that ends; on Linux only.

    Raises:
        KeyboardInterrupt: it is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was quicker
        raise KeyboardInterrupt


def take_turn(
    name: str, turn: int, where: Home, *, debug: bool, console: Console | None, address: str | None
) -> tuple[SweepResult, EntryState]:
    """Runs the entry's sweep, or goes on with it, and notes in the queue how that ended, whatever happens.

    Raises:
        Exception: whatever ``run_sweep`` raises.
    """
    queue = Queue(where)
    entry = queue.entry(name)
    if entry is None or entry.turn != turn:
        raise LaunchError(f"it is not the turn of {name!r}")
    try:
        result = _drive(entry, where, debug, console, address)
    except DriverBusy as error:
        queue.change(name, turn, state="waiting", reason=str(error))
        raise
    except KeyboardInterrupt:
        queue.change(name, turn, state="waiting", reason=INTERRUPTED)
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        more = f"; {how_to_go_on(name)}" if is_stored(name, where) else ""
        queue.change(name, turn, state="failed", reason=f"{reason}{more}")
        raise
    state, reason = _ended(result, where)
    queue.change(name, turn, state=state, reason=reason)
    return result, state


def _drive(entry: Entry, where: Home, debug: bool, console: Console | None, address: str | None) -> SweepResult:
    asked = None if entry.text is None else parse_sweep(entry.text, origin=f"{entry.name}.yaml", data_files=True)
    if is_stored(entry.name, where):  # it has begun, here or by hand
        if asked is not None and not _same(stored_sweep(entry.name, where)[0], asked):
            raise LaunchError(f"the name {entry.name!r} is used in {where.root} by a different sweep meanwhile")
        return resume_sweep(entry.name, home=where.root, debug=debug, console=console, address=address)
    if asked is None:
        raise LaunchError(f"there is no sweep {entry.name!r} in {where.root} any more")
    return run_sweep(asked, home=where.root, debug=debug, console=console, address=address)


def _same(stored: SweepSpec, asked: SweepSpec) -> bool:
    """Whether the home's sweep is the one that was put into the queue; its cap may have been changed by a ``resume``."""
    return spec_text(public(stored.model_copy(update={"run_cap": asked.run_cap}))) == spec_text(public(asked))


def _ended(result: SweepResult, where: Home) -> tuple[EntryState, str]:
    if result.state == "FINISHED":
        return "done", f"ended by {result.ended_by}"
    if result.state == "FAILED":
        return "failed", f"ended by {result.ended_by}{result.causes}"
    if result.ended_by == INTERRUPTED:
        return "waiting", INTERRUPTED
    if result.ended_by != STOPPED:  # what it needs has been refused: waiting would not help
        return "failed", result.ended_by
    rival = read(where.sweep_dir(result.name) / CONTROL_FILE).yield_to
    return ("waiting", f"{rival} went first") if rival is not None else ("stopped", "by order")
