"""What of the machine and of the home is ready, and what to do about the rest. Looks only: writes and starts nothing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dashboards.home import Home, hide_passwords, resolve_home
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.records import EXPERIMENT
from orchestration.tracking.spool import SPOOL_FILE, is_held, pending_lines, rejected_path

if TYPE_CHECKING:
    from rich.table import Table

Level = Literal["ok", "warn", "fail"]
_GIB = 1 << 30
_DISTRIBUTION = "vae-sweeps"
_MARKS: dict[Level, str] = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, how it stands, and where it does not stand well, what to do."""

    name: str
    level: Level
    text: str


def examine(home: str | Path | None = None) -> list[Finding]:
    """Looks at everything; a check that itself breaks is a finding of its own."""
    where = resolve_home(home)
    return [finding for check in CHECKS for finding in _guarded(check, where)]


def findings_table(findings: list[Finding]) -> Table:
    """For the terminal."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "finding"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(_MARKS[finding.level], escape(finding.name), escape(finding.text))
    return table


def _guarded(check: Callable[[Home], Iterator[Finding]], home: Home) -> Iterator[Finding]:
    try:
        yield from check(home)
    except Exception as error:  # what is broken is what this is here to say
        reason = hide_passwords(f"{type(error).__name__}: {error}".splitlines()[0])
        yield Finding(check.__name__.removeprefix("_").replace("_", " "), "fail", reason)


def _python(home: Home) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Finding(
        "python", "ok" if good else "fail", f"{version} at {sys.executable}" + ("" if good else "; 3.11 or newer is needed")
    )


def _packages(home: Home) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        wanted = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "warn", f"{_DISTRIBUTION} is not installed here: what it needs is unknown; `pip install -e .`")
        return
    faults, present = [], []
    for requirement in map(Requirement, wanted):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(f"{requirement.name} is missing")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            present.append(f"{requirement.name} {version}")
        else:
            faults.append(f"{requirement.name} {version} does not satisfy {requirement.specifier}")
    if faults:
        yield Finding("packages", "fail", "; ".join(faults) + "; `pip install -U vae-sweeps`")
    else:
        yield Finding("packages", "ok", ", ".join(present))


def _processor(home: Home) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    allowed = f"{cores} cores"
    quota = _cgroup_number("cpu.max")
    if quota is not None and quota < cores:
        allowed += f", {quota:g} of them by the container's quota"
    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
    shown = ", ".join(f"{name}={value}" for name, value in threads.items())
    many = [name for name, value in threads.items() if value != "1"]
    if many:
        yield Finding("processor", "warn", f"{allowed}; {shown}: a trial runs fastest on one thread; unset {', '.join(many)}")
    else:
        yield Finding(
            "processor", "ok", f"{allowed}, so as many trials at once of one thread each" + (f"; {shown}" if shown else "")
        )


def _memory(home: Home) -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    limit = _cgroup_number("memory.max")
    total = memory.total if limit is None else min(memory.total, int(limit))
    text = f"{memory.available / _GIB:.1f} GiB free of {total / _GIB:.1f}"
    low = memory.available < 2 * _GIB
    yield Finding(
        "memory", "warn" if low else "ok", text + ("; a trial's worker takes about 0.5 GiB before its data" if low else "")
    )


def _torch(home: Home) -> Iterator[Finding]:
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    text = f"{torch.__version__}, {torch.get_num_threads()} threads here (1 in a trial), GPUs: {', '.join(devices) or 'none'}"
    yield Finding("torch", "ok", text)


def _ray(home: Home) -> Iterator[Finding]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray import tune

    yield Finding("ray", "ok", f"{ray.__version__}, {tune.Tuner.__name__} imports")


def _shared_memory(home: Home) -> Iterator[Finding]:
    path = Path("/dev/shm")
    if not path.is_dir():
        yield Finding("shared memory", "warn", "no /dev/shm: Ray keeps the data set in a file under /tmp, which is slower")
        return
    usage = shutil.disk_usage(path)
    text = f"{usage.free / _GIB:.1f} GiB free of {usage.total / _GIB:.1f} at /dev/shm"
    small = usage.free < _GIB
    advice = "; Ray shares the data set there: start the container with --shm-size=2g" if small else ""
    yield Finding("shared memory", "warn" if small else "ok", text + advice)


def _disk(home: Home) -> Iterator[Finding]:
    place = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / _GIB:.1f} GiB free at {home.root}" + ("" if home.root.exists() else " (not made yet)")
    if not os.access(place, os.W_OK):
        yield Finding("home", "fail", f"{place} cannot be written; name another home with --home or VAE_SWEEPS_HOME")
    elif free < _GIB // 2:
        yield Finding("home", "fail", text + "; checkpoints need more: make room, or name another home with --home")
    elif free < 5 * _GIB:
        yield Finding("home", "warn", text + "; large models' checkpoints may need more")
    else:
        yield Finding("home", "ok", text)


def _mlflow_store(home: Home) -> Iterator[Finding]:
    if _absent(home.tracking_uri):
        yield Finding("mlflow store", "ok", f"{home.shown_uri}: will be made by the first sweep")
        return
    quiet_mlflow()
    if not home.tracking_uri.startswith(("http://", "https://")):
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(home.tracking_uri)
        found, wanted = utils._get_schema_version(engine), utils._get_latest_schema_revision()
        engine.dispose()
        if found != wanted:
            upgrade = f"keep a copy, then `mlflow db upgrade {home.shown_uri}` (or install the MLflow that wrote it)"
            yield Finding("mlflow store", "fail", f"{home.shown_uri}: schema {found}, this MLflow wants {wanted}; {upgrade}")
            return
    from mlflow.exceptions import MlflowException

    try:
        experiment = _client(home).get_experiment_by_name(EXPERIMENT)
    except MlflowException as error:
        reason = hide_passwords(str(error).splitlines()[0])
        advice = "start it, or name another by MLFLOW_TRACKING_URI; sweeps run on meanwhile, and their records wait"
        yield Finding("mlflow store", "fail", f"{home.shown_uri} does not answer: {reason}; {advice}")
        return
    yield Finding("mlflow store", "ok", f"{home.shown_uri}: answers" + ("" if experiment else ", no sweep yet"))
    if experiment is not None and home.tracking_uri.startswith("sqlite"):
        location = Path(experiment.artifact_location.removeprefix("file://"))
        if location != home.artifact_root:
            text = f"artifacts are kept in {location}, not in {home.artifact_root}: was the home moved? Link the old place to it"
            yield Finding("artifacts", "warn", text)


def _optuna_storage(home: Home) -> Iterator[Finding]:
    if _absent(home.optuna_url):
        yield Finding("optuna storage", "ok", f"{home.optuna_url}: will be made by the first sweep")
        return
    import optuna

    storage = optuna.storages.RDBStorage(home.optuna_url, skip_table_creation=True)
    found, wanted = storage.get_current_version(), storage.get_head_version()
    if found == wanted:
        yield Finding("optuna storage", "ok", f"{home.optuna_url}: answers, {len(storage.get_all_studies())} studies")
    else:
        text = (
            f"{home.optuna_url}: schema {found}, this Optuna wants {wanted}; `optuna storage upgrade --storage {home.optuna_url}`"
        )
        yield Finding("optuna storage", "fail", text)


def _unsent_records(home: Home) -> Iterator[Finding]:
    spools = sorted(home.root.glob(f"trials/*/{SPOOL_FILE}"))
    waiting = {path.parent.name: pending_lines(path) for path in spools if not is_held(path)}
    left = [f"{count} of {name}" for name, count in waiting.items() if count]
    if left:
        text = f"{', '.join(left)} not yet in MLflow; the next command on the sweep sends them when the store answers"
        yield Finding("unsent records", "warn", text)
    refused = [str(rejected_path(path)) for path in spools if rejected_path(path).exists()]
    if refused:
        yield Finding("refused records", "warn", f"MLflow refused some, with the reasons in {', '.join(refused)}")
    if not left and not refused:
        yield Finding("unsent records", "ok", "none")


def _stale_trials(home: Home) -> Iterator[Finding]:
    """Trials that the record calls RUNNING though no process drives their sweep."""
    from mlflow.exceptions import MlflowException

    if _absent(home.tracking_uri):
        return
    client = _client(home)
    try:
        experiment = client.get_experiment_by_name(EXPERIMENT)
    except MlflowException:  # the check of the store has said so
        return
    if experiment is None:
        return
    running = client.search_runs([experiment.experiment_id], "tags.kind = 'trial' and attributes.status = 'RUNNING'")
    stale: dict[str, int] = {}
    for run in running:
        sweep = run.data.tags.get("sweep", "")
        if sweep and not is_held(home.sweep_dir(sweep) / SPOOL_FILE):
            stale[sweep] = stale.get(sweep, 0) + 1
    if stale:
        text = ", ".join(f"{count} of {sweep}" for sweep, count in stale.items())
        advice = f"`vae-sweeps resume {next(iter(stale))}` goes on with them"
        yield Finding("stale trials", "warn", f"{text} are called RUNNING, but nothing runs them on this machine; {advice}")
    else:
        yield Finding("stale trials", "ok", "none")


def _client(home: Home) -> Any:
    quiet_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=home.tracking_uri)


def _absent(url: str) -> bool:
    """Whether this is an SQLite file that does not exist; opening it would make it."""
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()


def _cgroup_number(name: str) -> float | None:
    """The container's limit: of cpu.max in cores, of memory.max in bytes; None where there is none."""
    try:
        words = (Path("/sys/fs/cgroup") / name).read_text().split()
    except OSError:
        return None
    if not words or words[0] == "max":
        return None
    return float(words[0]) / float(words[1]) if len(words) > 1 else float(words[0])


CHECKS: tuple[Callable[[Home], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _processor,
    _memory,
    _torch,
    _ray,
    _shared_memory,
    _disk,
    _mlflow_store,
    _optuna_storage,
    _unsent_records,
    _stale_trials,
)
