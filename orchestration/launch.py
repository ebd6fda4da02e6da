"""Runs a sweep from its file to its report: the one place where search, workers and records meet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.home import Home, resolve_home
from orchestration.cluster import attached, require_devices
from orchestration.control import CONTROL_FILE, read
from orchestration.driver import Driver
from orchestration.driver_lock import only_driver, require_undriven
from orchestration.driver_log import LOG_FILE, DriverLog
from orchestration.ending import SweepState
from orchestration.environment import git_commit, prepare_ray
from orchestration.errors import LaunchError
from orchestration.hidden import public, remember
from orchestration.later import Later
from orchestration.notices import notices_kept
from orchestration.notify import Notifier
from orchestration.own_ray import own_ray
from orchestration.replicates import make_search, resume_search
from orchestration.signals import signals_end
from orchestration.spec import SearchSpace, SweepSpec, load_sweep, make_trial_config, spec_text
from orchestration.spec.early_terminate import Pbt
from orchestration.spec.parameters import Choices, Variants
from orchestration.spec.replication import multiples
from orchestration.spec.search_space import corners
from orchestration.sqlite_journal import used_by_several_machines
from orchestration.stored import let_go, open_storage
from orchestration.stored_sweeps import require_new_name, stored_sweep
from orchestration.study import Search
from orchestration.tracking.access import require_access
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.sweep_record import SweepRecord, Unsent, clear_delivered, tracking_uri_of
from orchestration.trial_state import TrialView
from orchestration.warm_start import Source, sources, tell_earlier

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
    winners: list[TrialView]
    """The best one; of several metrics the Pareto set."""
    home: Home
    duration_s: float
    unsent: Unsent
    worked: int
    """How many trials this start has trained, or gone on with."""
    budget_used: str
    """How much of each limit, in words."""

    @property
    def causes(self) -> str:
        """Of trials that failed, to be put behind what ended the sweep; empty where none did."""
        reasons = sorted({view.reason for view in self.trials if view.state == "FAILED"})
        return f"; causes: {'; '.join(reasons)}" if reasons else ""


def run_sweep(
    sweep: str | Path | SweepSpec,
    *,
    home: str | Path | None = None,
    name: str | None = None,
    overrides: Sequence[str] = (),
    debug: bool = False,
    console: Console | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
) -> SweepResult:
    """Runs a new sweep in the foreground.

    Args:
        sweep: path of a sweep file, or a loaded one.
        home: where records and checkpoints go; default ``VAE_SWEEPS_HOME``, else ``./vae-sweeps-home``.
        name: instead of the file's.
        overrides: ``path=value``, applied to the file.
        debug: one trial after the other in this process, without Ray.
        console: where progress is shown; None: nowhere.
        tracking_uri: where its record goes, whatever the file and the environment say.
        address: of a running Ray cluster, "auto" or "host:port", whose machines share the home; None: Ray is started here.

    Raises:
        SweepFileError: the file is wrong; with every fault in it.
        LaunchError: the name is taken, the sweep is running elsewhere, machine or cluster have not what a trial takes, or
            study or record are kept where this process is not let in.
        DataError: the data cannot be read.
    """
    spec = sweep if isinstance(sweep, SweepSpec) else load_sweep(sweep, overrides, name=name)
    where = resolve_home(home, tracking_uri or spec.tracking.uri)
    text = spec_text(public(spec))
    require_undriven(spec.name, where)
    require_new_name(spec, where)
    require_access(where)
    require_devices(spec.resources, address, debug)
    earlier = sources(spec, where)
    with contextlib.ExitStack() as stack:
        ray = stack.enter_context(contextlib.ExitStack())
        if debug or address is not None:
            data = _load_data(spec)
        else:
            prepare_ray()  # before the data bring NumPy along, whose threads it sets
            loading = Later(partial(_load_data, spec))
            ahead = Later(_import_ahead)
            for meanwhile in (loading, ahead):
                stack.callback(meanwhile.settle)
            ray.enter_context(own_ray(spec.resources))  # which takes as long as the loading, and most of it is waiting
            data = loading.result()
            ahead.settle()  # no two threads import the same library
        _make_directory(where.sweep_dir(spec.name))
        stack.enter_context(only_driver(spec.name, where))
        stack.enter_context(attached(address, spec, where))
        require_new_name(spec, where)  # another may have taken it while the data were loaded
        where.sweep_file(spec.name).write_text(text)
        remember(spec, where)
        if address is not None:
            used_by_several_machines(where.root)
        search = make_search(spec, where.study_url(spec.name), text)
        _warm(search, spec, earlier, data, console)
        return _drive(spec, text, where, search, data, debug, console, ray)


def resume_sweep(
    name: str,
    *,
    home: str | Path | None = None,
    run_cap: int | None = None,
    debug: bool = False,
    console: Console | None = None,
    address: str | None = None,
) -> SweepResult:
    """Goes on with a sweep that was interrupted or killed: its unfinished trials first, from their checkpoints.

    Args:
        run_cap: trials at most from now on, in place of the file's; no fewer than it has already.
        address: as of ``run_sweep``.

    Raises:
        LaunchError: as of ``run_sweep``; or there is no such sweep, or it has more trials than the new cap.
        DataError: the data cannot be read any more.
    """
    where = resolve_home(home)
    spec, _ = stored_sweep(name, where)
    where = resolve_home(where.root, tracking_uri_of(name, where))
    require_access(where)
    require_devices(spec.resources, address, debug)
    if not debug:
        prepare_ray()  # as in the first start, or what NumPy computes for a sampler could differ in its last bits
    data = _load_data(spec)
    _make_directory(where.sweep_dir(name))
    with only_driver(name, where), attached(address, spec, where):
        if run_cap is not None:
            spec = _with_cap(spec, run_cap)
        text = spec_text(public(spec))
        remember(spec, where)
        if address is not None:
            used_by_several_machines(where.root)
        search = resume_search(spec, where.study_url(name))
        if search.asked > spec.run_cap:
            raise LaunchError(f"--run-cap {spec.run_cap}: the sweep {name!r} has {search.asked} trials already")
        search.set_text(text)
        where.sweep_file(name).write_text(text)
        if not search.warm:  # killed before all was told
            _warm(search, spec, sources(spec, where), data, console)
        return _drive(spec, text, where, search, data, debug, console, contextlib.ExitStack())


def _with_cap(spec: SweepSpec, run_cap: int) -> SweepSpec:
    if isinstance(spec.early_terminate, Pbt) and run_cap != spec.run_cap:
        there = f"the {spec.run_cap} trials of {spec.name!r} are one population"
        raise LaunchError(f"--run-cap {run_cap}: {there}, which none can join later")
    if run_cap % spec.seeds:
        advice = multiples(run_cap, spec.seeds)
        raise LaunchError(f"--run-cap {run_cap}: {spec.name!r} trains each configuration under {spec.seeds} seeds: {advice}")
    return spec.model_copy(update={"run_cap": run_cap})


def _warm(
    search: Search, spec: SweepSpec, earlier: list[Source], data: TextData | ImageData | None, console: Console | None
) -> None:
    """Tells a new search of the earlier sweeps that its file names, and the user what came of it."""
    lines = tell_earlier(search, spec, earlier, data)
    if console is not None and lines:
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    search.set_warm(lines)


def _drive(
    spec: SweepSpec,
    text: str,
    where: Home,
    search: Search,
    data: TextData | ImageData | None,
    debug: bool,
    console: Console | None,
    ray: contextlib.ExitStack,
) -> SweepResult:
    """Drives the sweep to its end.

    Args:
        ray: closes a Ray that was begun for it. While a trial runs, it goes before the driver has had its last word: no worker
            outlives that.
    """
    from orchestration.display import Display

    record = SweepRecord(spec, text, where, apart=not debug)
    driver = Driver(spec, search, record.tracker, partial(where.trial_dir, spec.name), {"git.commit": git_commit()})
    notifier = Notifier(driver, spec.notify)
    driver.listeners += [lambda view: record.note(driver), notifier.trial_ended]
    directory = where.sweep_dir(spec.name)
    driver.log = DriverLog(directory / LOG_FILE)
    driver.orders = partial(read, directory / CONTROL_FILE)
    before = set(driver.trials)
    driver.log(f"driver started, process {os.getpid()}: {len(before)} of {search.total} trials have ended")

    def end() -> None:
        if not record.ended:
            driver.close()  # whatever happened, no trial is left RUNNING
            driver.log(f"ended by {driver.ended_by}; {driver.budget_used}")
            record.end(driver)

    with notices_kept(driver.log), signals_end(driver), contextlib.ExitStack() as stack:
        try:
            with Display(driver, console) if console else contextlib.nullcontext():
                if driver.is_over:  # to find that out needs no Ray
                    driver.next_job()
                elif debug:
                    from orchestration import launch_debug

                    launch_debug.run(driver, data)
                else:
                    with ray:
                        ray.enter_context(own_ray(spec.resources))
                        from orchestration import launch_ray

                        launch_ray.run(driver, data)
                        if not driver.running:  # while Ray goes, which takes a second or two, the rest is sent
                            end()
                            if console is not None:
                                stack.callback(Later(_import_reader).settle)
        except Exception as error:
            driver.log(f"it cannot go on: {error}")
            raise
        finally:
            end()
            unsent = record.close()
            notifier.close()
            search.close()
            if not unsent:
                clear_delivered(where.sweep_dir(spec.name))
    return SweepResult(
        name=spec.name,
        state=driver.state(),
        ended_by=driver.ended_by or "",
        trials=sorted(driver.trials.values(), key=lambda view: view.number),
        best=driver.best(),
        winners=driver.winners(),
        home=where,
        duration_s=driver.seconds,
        unsent=unsent,
        worked=len(set(driver.trials) - before),
        budget_used=driver.budget_used,
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"cannot keep a sweep in {path}: {error.strerror}; choose another home with --home") from error


def _import_ahead() -> None:
    """What is needed as soon as Ray is up: pandas by Tune, a database's libraries by the study."""
    import pandas  # noqa: F401

    with contextlib.suppress(LaunchError):  # of the real one it will be said
        let_go(open_storage("sqlite://"))


def _import_reader() -> None:
    """Who shows the sweep reads its record next, by MLflow."""
    quiet_mlflow()
    import mlflow.store.tracking.dbmodels.models  # noqa: F401


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
        assert not isinstance(parameter, Choices | Variants), "a batch size is no family"
        assignment[BATCH_SIZE] = max(corners(parameter))
    data = load_shared(make_trial_config(spec, assignment))
    return None if any(name.startswith("data.") for name in space.names) else data
