"""Runs a sweep from its file to its report: the one place where search, workers and records meet."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dashboards.home import Home, resolve_home
from orchestration.driver import Driver, SweepState, TrialView
from orchestration.environment import git_commit, prepare_ray
from orchestration.errors import LaunchError
from orchestration.spec import SearchSpace, SweepSpec, load_sweep, make_trial_config, parse_sweep, spec_text
from orchestration.spec.parameters import Choices
from orchestration.spec.search_space import corners
from orchestration.study import Search
from orchestration.tracking.sweep_record import (
    SweepRecord,
    Unsent,
    clear_delivered,
    remember_tracking_uri,
    tracking_uri_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData


BATCH_SIZE = "training.batch_size"


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
        _require_new_name(spec.name, text, where)  # another may have taken it while the data were loaded
        where.sweep_file(spec.name).write_text(text)
        remember_tracking_uri(spec.name, where)
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
    where = resolve_home(where.root, tracking_uri_of(name, where))
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

    record = SweepRecord(spec, text, where)
    driver = Driver(spec, search, record.tracker, partial(where.trial_dir, spec.name), {"git.commit": git_commit()})
    driver.listeners.append(lambda view: record.note(driver))
    with _signals(driver):
        try:
            with Display(driver, console) if console else contextlib.nullcontext():
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
            search.set_seconds(driver.seconds)
            unsent = record.close(driver)
            if not unsent:
                clear_delivered(where.sweep_dir(spec.name))
    return SweepResult(
        name=spec.name,
        state=driver.state(),
        ended_by=driver.ended_by or "",
        trials=sorted(driver.trials.values(), key=lambda view: view.number),
        best=driver.best(),
        home=where,
        duration_s=driver.seconds,
        unsent=unsent,
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"cannot keep a sweep in {path}: {error.strerror}; choose another home with --home") from error


def _load_data(spec: SweepSpec) -> TextData | ImageData | None:
    """The data set that all trials share; None where a parameter changes it, so that each worker loads its own.

    Raises:
        DataError: it cannot be read, or has fewer examples than the largest batch that is searched.
    """
    from orchestration.worker import load_shared

    space = SearchSpace(spec.parameters)
    assignment = space.example()
    if BATCH_SIZE in spec.parameters:
        parameter = spec.parameters[BATCH_SIZE]
        assert not isinstance(parameter, Choices), "a batch size is no family"
        assignment[BATCH_SIZE] = max(corners(parameter))
    data = load_shared(make_trial_config(spec, assignment))
    return None if any(name.startswith("data.") for name in space.names) else data


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
        f"the name {name!r} is used in {where.root} by a different sweep file, or by this one with other settings:"
        f" give it another with --name, or go on with the other by `vae-sweeps resume {name}`"
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
    try:
        file = _lock_file(name, where).open("a+")
    except OSError as error:
        raise LaunchError(f"cannot keep a sweep in {where.sweep_dir(name)}: {error.strerror}") from error
    with file:
        for patience in range(10, -1, -1):  # a glance by ``status`` passes
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not patience:
                    raise LaunchError(f"the sweep {name!r} is being run by {holder(name, where)}") from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(f"process {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def holder(name: str, where: Home) -> str | None:
    """Which process drives the sweep, in words; None where none does. Writes nothing."""
    try:
        with _lock_file(name, where).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        return _lock_file(name, where).read_text().strip() or "another process"
    except OSError:  # nothing of the sweep is on this machine
        return None


def _lock_file(name: str, where: Home) -> Path:
    return where.sweep_dir(name) / "driver.lock"


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
