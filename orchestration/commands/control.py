"""Commands on a sweep that runs in another terminal, or on another machine that shares the home: stop, set, logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.commands.options import HomeOption, NameArgument, UsageFault
from orchestration.terminal import locate

if TYPE_CHECKING:
    from dashboards.home import Home

SETTINGS = {"concurrency": "max_concurrent_trials"}
"""What ``set`` can change of a running sweep, and its name among the orders."""
PRIORITY = "priority"
"""What it can change of one in the queue."""


def stop(
    name: NameArgument,
    now: Annotated[bool, typer.Option("--now", help="Also stop the running trials; their checkpoints stay.")] = False,
    home: HomeOption = None,
) -> None:
    """Stop a running sweep, by default when its running trials have ended; `resume` goes on."""
    from dashboards.home import resolve_home
    from orchestration.driver_lock import holder
    from orchestration.sweep_queue import OPEN, Queue

    where = resolve_home(home)
    if holder(name, where) is None:
        if (job := _its_job_stopped(name, where)) is not None:
            typer.echo(f"{name} has no driver yet: its job {job} is stopped")
            return
        if (entry := Queue(where).entry(name)) is not None and entry.state in OPEN:
            advice = f"vae-sweeps queue remove {name} takes it out"
            waits = f"it waits in the queue; {advice}" if entry.state == "waiting" else "its turn has just begun; say it again"
            raise UsageFault(f"no driver is running {name!r}: {waits}")
    driver = _order(name, home, stop="now" if now else "after", yield_to=None)
    trials = (
        "its running trials end as STOPPED" if now else "its running trials are trained to their end, and no other is started"
    )
    typer.echo(f"{name} is told to stop: {trials}; driven by {driver}")


def set_(
    name: NameArgument,
    setting: Annotated[
        str, typer.Argument(metavar="concurrency=N|priority=N", help="How many trials run at once; or its priority in the queue.")
    ],
    home: HomeOption = None,
) -> None:
    """Change a running sweep: concurrency=N trials at once, until its driver ends. Or one of the queue: priority=N."""
    key, _, text = setting.partition("=")
    if key == PRIORITY:
        _set_priority(name, setting, text, home)
        return
    if key not in SETTINGS:
        raise UsageFault(f"{setting!r}: what can be set is {', '.join(f'{key}=N' for key in (*SETTINGS, PRIORITY))}")
    if not text.isdecimal() or int(text) < 1:
        raise UsageFault(f"{setting!r}: {key} must be a whole number from 1 on")
    driver = _order(name, home, **{SETTINGS[key]: int(text)})
    typer.echo(f"{name} is told: {key} {int(text)}; driven by {driver}")


def logs(
    name: NameArgument,
    trial: Annotated[int | None, typer.Argument(metavar="[TRIAL]", min=0, help="Only of this one.")] = None,
    job: Annotated[bool, typer.Option("--job", help="What the job has printed that the sweep was submitted as.")] = False,
    home: HomeOption = None,
) -> None:
    """Show what the driver decided and when; of a failed trial its traceback too."""
    from orchestration.driver_log import LOG_FILE, lines_of
    from orchestration.jobs import job_of, job_output

    where = locate(name, home)
    if job:
        submitted = job_of(name, where)
        if submitted is None:
            raise UsageFault(f"{name!r} was not submitted to a cluster from {where.root}: logs without --job shows its driver's")
        typer.echo(job_output(submitted))
        return
    if not where.sweep_dir(name).is_dir() and job_of(name, where) is not None:
        raise UsageFault(f"no driver has begun {name!r} yet; what its job has printed: {where.command(f'logs {name} --job')}")
    lines = list(lines_of(_directory(name, where) / LOG_FILE, trial))
    for line in lines:
        typer.echo(line)
    if trial is not None:
        story = _traceback(name, trial, where)
        if story is not None:
            typer.echo(story)
    elif not lines:
        typer.echo(f"{name} has no log yet")


def _its_job_stopped(name: str, where: Home) -> str | None:
    from orchestration.commands.waiting import stop_its_job
    from orchestration.errors import LaunchError

    try:
        return stop_its_job(name, where)
    except LaunchError as error:
        raise UsageFault(f"no driver is running {name!r}, and its job cannot be stopped: {error}") from error


def _set_priority(name: str, setting: str, text: str, home: Path | None) -> None:
    from dashboards.home import resolve_home
    from orchestration.sweep_queue import OPEN, Queue

    try:
        priority = int(text)
    except ValueError:
        raise UsageFault(f"{setting!r}: {PRIORITY} must be a whole number") from None
    queue = Queue(resolve_home(home))
    entry = queue.entry(name)
    if entry is not None and entry.state not in OPEN:
        raise UsageFault(f"{name!r} is {entry.state}: only a waiting or running sweep of the queue has a priority")
    entry = queue.change(name, priority=priority)
    typer.echo(f"{name} has priority {priority} in the queue, where it is {entry.state}")


def _order(name: str, home: Path | None, **orders: Any) -> str:
    """Gives the orders to the sweep's driver; which that is.

    Raises:
        UsageFault: there is none.
    """
    from dashboards.home import resolve_home
    from orchestration.driver_lock import order

    where = resolve_home(home)
    _directory(name, where)
    driver = order(name, where, **orders)
    if driver is None:
        raise UsageFault(f"no driver is running {name!r} in {where.root}; if trials are left: {where.command(f'resume {name}')}")
    return driver


def _directory(name: str, where: Home) -> Path:
    from dashboards.errors import nearest
    from orchestration.sweep_queue import OPEN, Queue

    directory = where.sweep_dir(name)
    if not directory.is_dir():
        if (entry := Queue(where).entry(name)) is not None and entry.state in OPEN:
            raise UsageFault(f"{name!r} has not begun: it waits in the queue of {where.root}")
        known = {path.name for path in (where.root / "trials").glob("*") if path.is_dir()}
        raise UsageFault(f"no sweep {name!r} in {where.root}: {nearest(name, known)}")
    return directory


def _traceback(name: str, trial: int, where: Home) -> str | None:
    """A failed trial's, from its directory, else from the record, where it went; None where it has none.

    Raises:
        UnknownRun: there is no such trial.
    """
    from dashboards.errors import UnknownRun
    from dashboards.trial import find_trial, trial_artifacts
    from orchestration.worker import ARTIFACTS, TRACEBACK

    file = where.trial_dir(name, trial) / ARTIFACTS / TRACEBACK
    if file.exists():
        return file.read_text()
    record = find_trial(f"{name}/{trial}", home=where.root, tracking_uri=where.tracking_uri)
    try:
        with trial_artifacts(record, TRACEBACK, home=where.root, tracking_uri=where.tracking_uri) as kept:
            return kept.read_text()
    except UnknownRun:
        return None
