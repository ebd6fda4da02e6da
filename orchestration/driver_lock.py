"""One driver a sweep: a lock in the sweep's directory, which says who holds it, and to whom orders go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dashboards.home import Home
from orchestration.control import CONTROL_FILE, Orders, clear, orders_locked, read, write
from orchestration.errors import DriverBusy, LaunchError
from orchestration.file_lock import held_if_free, signature, signed

LOCK_FILE = "driver.lock"


@contextlib.contextmanager
def only_driver(name: str, where: Home) -> Iterator[None]:
    """Holds the sweep's lock; orders to an earlier driver are then forgotten, and later ones are this one's.

    Raises:
        DriverBusy: another process holds it.
        LaunchError: the sweep's directory cannot be written.
    """
    control = _control_file(name, where)
    with contextlib.ExitStack() as stack:
        try:
            lock = signed(_lock_file(name, where), first=partial(clear, control), within=partial(orders_locked, control))
            taken = stack.enter_context(lock)
        except OSError as error:
            raise LaunchError(f"cannot keep a sweep in {where.sweep_dir(name)}: {error.strerror}") from error
        if not taken:
            raise DriverBusy(f"the sweep {name!r} is being run by {holder(name, where)}")
        yield


def require_undriven(name: str, where: Home) -> None:
    """Raises ``DriverBusy`` where a process drives a sweep of this name; writes nothing."""
    if (driver := holder(name, where)) is not None:
        raise DriverBusy(f"the sweep {name!r} is being run by {driver}: give this one another name with --name")


def holder(name: str, where: Home) -> str | None:
    """Which process drives the sweep, in words; None where none does. Writes nothing."""
    return signature(_lock_file(name, where))


def order(name: str, where: Home, unless: Callable[[Orders], bool] = lambda before: False, **orders: Any) -> str | None:
    """Gives the sweep's driver these orders, beside those that it has; which driver that is, None where there is none.

    Args:
        unless: whether, with the orders that it has already, it is to be left alone.
    """
    control = _control_file(name, where)
    if holder(name, where) is None:
        return None
    with orders_locked(control):
        driver = holder(name, where)
        if driver is not None and not unless(before := read(control)):
            write(control, replace(before, **orders))
    return driver


@contextlib.contextmanager
def without_driver(directory: Path) -> Iterator[bool]:
    """Whether no process drives the sweep of this directory; none can begin while this is held, which must be short."""
    with held_if_free(directory / LOCK_FILE) as free:
        yield free


def _lock_file(name: str, where: Home) -> Path:
    return where.sweep_dir(name) / LOCK_FILE


def _control_file(name: str, where: Home) -> Path:
    return where.sweep_dir(name) / CONTROL_FILE
