"""Runs a sweep from its file to its report: the one place where search, workers and records meet."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dashboards.home import Home, resolve_home
from orchestration.driver import Driver, SweepState, TrialView
from orchestration.environment import git_commit, prepare_ray
from orchestration.spec import SweepSpec, load_sweep, parse_sweep, spec_text
from orchestration.spec.search_space import SearchSpace, make_trial_config
from orchestration.study import Search

if TYPE_CHECKING:
    from rich.console import Console

    from orchestration.tracking.sweep_record import Unsent
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData


class LaunchError(ValueError):
    """The sweep cannot be run as asked, by the user's mistake; the message says what to do."""


@dataclass(frozen=True)
class SweepResult:
    """What is left when a sweep has ended."""

    name: str
    state: SweepState
    ended_by: str
    trials: list[TrialView]
    best: TrialView | None
    home: Home
    duration_s: float
    unsent: Unsent


def run_sweep(
    sweep: str | Path | SweepSpec,
    *,
    home: str | Path | None = None,
    name: str | None = None,
    overrides: Sequence[str] = (),
    debug: bool = False,
    console: Console | None = None,
) -> SweepResult:
    """Runs a new sweep in the foreground.

    Args:
        sweep: path of a sweep file, or a loaded one.
        home: where records and checkpoints go; default ``VAE_SWEEPS_HOME``, else ``./vae-sweeps-home``.
        name: instead of the file's.
        overrides: ``path=value``, applied to the file.
        debug: one trial after the other in this process, without Ray.
        console: where progress is shown; None: nowhere.

    Raises:
        SweepFileError: the file is wrong; with every fault in it.
        LaunchError: the name is taken, the sweep is running elsewhere, or the machine has not what a trial takes.
        DataError: the data cannot be read.
    """
    spec = sweep if isinstance(sweep, SweepSpec) else load_sweep(sweep, overrides, name=name)
    where = resolve_home(home, spec.tracking.uri)
    text = spec_text(spec)
    _require_new_name(spec.name, text, where)
    _require_devices(spec)
    data = _load_data(spec)
    _make_directory(where.sweep_dir(spec.name))
    with _only_driver(spec.name, where):
        where.sweep_file(spec.name).write_text(text)
        search = Search.create(spec, where.optuna_url, text)
        return _drive(spec, text, where, search, data, debug, console)


def resume_sweep(
    name: str, *, home: str | Path | None = None, debug: bool = False, console: Console | None = None
) -> SweepResult:
    """Goes on with a sweep that was interrupted or killed: its unfinished trials first, from their checkpoints.

    Raises:
        LaunchError: there is no such sweep, or it is running elsewhere.
        DataError: the data cannot be read any more.
    """
    where = resolve_home(home)
    text = _stored_text(name, where)
    if text is None:
        known = ", ".join(_known(where)) or "none"
        raise LaunchError(f"there is no sweep {name!r} in {where.root}; there are: {known}")
    spec = parse_sweep(text, origin=str(where.sweep_file(name)))
    where = resolve_home(home, spec.tracking.uri)
    _require_devices(spec)
    data = _load_data(spec)
    _make_directory(where.sweep_dir(name))
    with _only_driver(name, where):
        return _drive(spec, text, where, Search.resume(spec, where.optuna_url), data, debug, console)


def _drive(
    spec: SweepSpec,
    text: str,
    where: Home,
    search: Search,
    data: TextData | ImageData | None,
    debug: bool,
    console: Console | None,
) -> SweepResult:
    from orchestration.display import Display
    from orchestration.tracking.sweep_record import SweepRecord

    started = time.monotonic()
    record = SweepRecord(spec, text, where)
    driver = Driver(spec, search, record.tracker, where.sweep_dir(spec.name), {"git.commit": git_commit(Path(__file__).parent)})
    driver.listeners.append(lambda view: record.note(driver))
    search.set_state("RUNNING")
    try:
        with _signals(driver), Display(driver, console) if console else contextlib.nullcontext():
            if debug:
                from orchestration import launch_debug

                launch_debug.run(driver, data)
            else:
                prepare_ray()
                from orchestration import launch_ray

                launch_ray.run(driver, data)
    finally:
        # Whatever happened, no trial is left RUNNING.
        if driver.running or driver.stopping or driver.ended_by is None:
            driver.interrupt()
        search.set_state(driver.state())
        unsent = record.close(driver)
        if not unsent:
            _clear(driver, where)
    return SweepResult(
        name=spec.name,
        state=driver.state(),
        ended_by=driver.ended_by or "",
        trials=sorted(driver.trials.values(), key=lambda view: view.number),
        best=driver.best(),
        home=where,
        duration_s=time.monotonic() - started,
        unsent=unsent,
    )


def _clear(driver: Driver, where: Home) -> None:
    """Removes the checkpoints of trials that have ended: the record has what is worth keeping."""
    for view in driver.trials.values():
        if view.state != "STOPPED":
            shutil.rmtree(where.trial_dir(driver.spec.name, view.number), ignore_errors=True)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"cannot keep a sweep in {path}: {error.strerror}; choose another home with --home") from error


def _load_data(spec: SweepSpec) -> TextData | ImageData | None:
    """The data set that all trials share; None where a parameter changes it, so that each worker loads its own."""
    from orchestration.worker import load_shared

    space = SearchSpace(spec.parameters)
    if any(name.startswith("data.") for name in space.names):
        return None
    return load_shared(make_trial_config(spec, space.example()))


def _known(where: Home) -> list[str]:
    return Search.names(where.optuna_url) if _has_studies(where) else []


def _stored_text(name: str, where: Home) -> str | None:
    return Search.stored_text(where.optuna_url, name) if _has_studies(where) else None


def _has_studies(where: Home) -> bool:
    """Looking must not create a database."""
    return not where.optuna_url.startswith("sqlite") or (where.root / "optuna.db").exists()


def _require_new_name(name: str, text: str, where: Home) -> None:
    stored = _stored_text(name, where)
    if stored is None:
        return
    if stored == text:
        raise LaunchError(
            f"the sweep {name!r} is already in {where.root}: go on with it by `vae-sweeps resume {name}`, "
            f"or run it again under another name with --name"
        )
    raise LaunchError(
        f"the name {name!r} is used in {where.root} by a different sweep file: give this one another with --name, "
        f"or go on with the other by `vae-sweeps resume {name}`"
    )


def _require_devices(spec: SweepSpec) -> None:
    """A trial that can never be placed would wait for ever.

    Raises:
        LaunchError: this machine has not what one trial takes.
    """
    import torch

    wanted, cores, devices = spec.resources, os.cpu_count() or 1, torch.cuda.device_count()
    if wanted.cpu > cores:
        raise LaunchError(f"resources.cpu: a trial wants {wanted.cpu:g} cores, and this machine has {cores}")
    if wanted.gpu > devices:
        raise LaunchError(
            f"resources.gpu: a trial wants {wanted.gpu:g} of a GPU, and torch sees {devices} here;"
            " set resources.gpu to 0 to train on the CPU"
        )


@contextlib.contextmanager
def _only_driver(name: str, where: Home) -> Iterator[None]:
    """Holds the sweep's lock; the system frees it however this process ends.

    Raises:
        LaunchError: another process holds it.
    """
    path = where.sweep_dir(name) / "driver.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise LaunchError(f"the sweep {name!r} is being run by {file.read().strip() or 'another process'}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def holder(name: str, where: Home) -> str | None:
    """Which process drives the sweep, in words; None where none does."""
    try:
        with _only_driver(name, where):
            return None
    except FileNotFoundError:  # nothing of the sweep is on this machine
        return None
    except LaunchError as error:
        return str(error).rpartition("run by ")[2]


@contextlib.contextmanager
def _signals(driver: Driver) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the sweep in good order, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if driver.stopping:
            raise KeyboardInterrupt
        driver.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)} if _in_main_thread() else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
