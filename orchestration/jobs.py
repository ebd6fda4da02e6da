"""Sweeps handed to a running cluster as jobs of Ray's: sent, and asked how they do."""

from __future__ import annotations

import json
import logging
import shlex
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dashboards.home import Home, without_password
from orchestration.cluster import knock, runtime_environment
from orchestration.driver_lock import holder
from orchestration.environment import COMMIT, git_commit, prepare_ray
from orchestration.errors import DriverBusy, LaunchError
from orchestration.hidden import job_file, public
from orchestration.spec import SweepSpec, spec_text
from orchestration.whole_file import write_whole

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_ALIVE = ("PENDING", "RUNNING")
_PORTS = {"http": 80, "https": 443}
_FILE = "sweep.yaml"
LAST_LINES = 15
"""Of what a job has printed, shown with how it failed."""
_END_S = 15.0
"""For a job to end that was told to."""


@dataclass(frozen=True)
class SubmittedJob:
    """Where a sweep was sent."""

    id: str
    address: str
    """Of the cluster's dashboard."""


def submit(spec: SweepSpec, where: Home, address: str) -> SubmittedJob:
    """Hands the sweep to the cluster, with this code, and remembers the job in the home.

    Args:
        where: a directory that the machines of the cluster share, under the same path.
        address: URL of the cluster's dashboard, such as ``http://head:8265``.

    Raises:
        LaunchError: the name is taken, no cluster answers, or it lets nobody in without its token.
    """
    from orchestration.stored_sweeps import is_stored

    if is_stored(spec.name, where):
        raise LaunchError(f"the sweep {spec.name!r} is already in {where.root}: give this one another name with --name")
    variables, text, file = _tracking(spec, where), spec_text(spec), Path(_FILE)
    if text != spec_text(public(spec)):  # what travels with a job, and its variables, can be read by whoever may ask the cluster
        file = job_file(spec.name, where)
    return _send(spec.name, where, address, ["run", str(file)], {file: text}, variables)


def submit_resume(name: str, where: Home, address: str | None, run_cap: int | None) -> SubmittedJob:
    """Hands a sweep of the home to the cluster, which goes on with it.

    Args:
        address: None: where it was sent before.
        run_cap: trials at most from now on, in place of the file's.

    Raises:
        LaunchError: there is no such sweep, a driver or another job has it, no cluster is named, or none takes it.
    """
    from orchestration.stored_sweeps import stored_sweep

    stored_sweep(name, where)
    if (driver := holder(name, where)) is not None:
        raise DriverBusy(f"the sweep {name!r} is being run by {driver}")
    before = job_of(name, where)
    if address is None and before is None:
        raise LaunchError(f"{name!r} was not submitted from {where.root} before: say to which cluster with --address URL")
    words = ["resume", name, *([] if run_cap is None else ["--run-cap", str(run_cap)])]
    return _send(name, where, address or before.address, words, {}, {})  # type: ignore[union-attr]  # one of the two is there


def _send(
    name: str, where: Home, address: str, words: list[str], files: Mapping[Path, str], variables: Mapping[str, str]
) -> SubmittedJob:
    """Submits ``vae-sweeps WORDS`` with this code and in these variables of the environment.

    Args:
        files: where the job finds them: relative paths travel with it, absolute ones are written there for their owner alone.
    """
    note = _remembered(name, where)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"cannot keep a sweep in {where.root}: {error.strerror}; choose another home with --home") from error
    about = {"sweep": name, "home": str(where.root)}
    order = ["python", "-m", "orchestration", *words, "--home", str(where.root), "--address", "auto"]
    with tempfile.TemporaryDirectory(prefix="vae-sweeps-job-") as scratch:
        environment = runtime_environment(Path(scratch))
        environment["env_vars"] |= {COMMIT: git_commit(), **variables}
        with _client(address) as client:
            for job in client.list_jobs():
                if job.status in _ALIVE and (job.metadata or {}).items() >= about.items():
                    raise LaunchError(
                        f"the sweep {name!r} has been submitted to this home already, as {job.submission_id}, which is"
                        f" {job.status.value}: vae-sweeps stop {name} ends it, and another sweep needs another name with --name"
                    )
            with _kept_if_sent(files):
                for file, text in files.items():
                    write_whole(Path(scratch) / file, text)
                sent = SubmittedJob(
                    client.submit_job(entrypoint=shlex.join(order), runtime_env=environment, metadata=about), address
                )
    write_whole(note, json.dumps(asdict(sent)))
    return sent


@contextmanager
def _kept_if_sent(files: Iterable[Path]) -> Iterator[None]:
    """Takes away again what only the job would read, for passwords may stand in it."""
    try:
        yield
    except BaseException:
        for file in files:
            if file.is_absolute():
                file.unlink(missing_ok=True)
        raise


def job_of(name: str, where: Home) -> SubmittedJob | None:
    """The job that a sweep was last sent as; None where it was not sent."""
    file = _remembered(name, where)
    return SubmittedJob(**json.loads(file.read_text())) if file.exists() else None


@dataclass(frozen=True)
class Standing:
    """How a job stands."""

    state: str
    """In Ray's word, or why nobody can say."""
    alive: bool = False
    """Whether it runs or will."""
    why: str = ""
    """Of one that waits or has ended badly, in Ray's words."""
    last_lines: tuple[str, ...] = ()
    """Of one that has ended badly, what it has printed last."""


def standing_of(job: SubmittedJob) -> Standing:
    """Asks the cluster; what goes wrong then is the answer."""
    try:
        with _client(job.address) as client:
            info = client.get_job_info(job.id)
            state, why = str(info.status.value), ((info.message or "").strip().splitlines() or [""])[0]
            if state == "FAILED":
                lines = str(client.get_job_logs(job.id)).rstrip().splitlines()
                return Standing(state, why=why, last_lines=tuple(lines[-LAST_LINES:]))
            return Standing(state, alive=state in _ALIVE, why=why if state == "PENDING" else "")
    except LaunchError as error:
        return Standing(str(error))


def stop_job(job: SubmittedJob) -> bool:
    """Has Ray end the job; False where it has ended already.

    Raises:
        LaunchError: no cluster answers, or it knows the job no more.
    """
    with _client(job.address) as client:
        if str(client.get_job_info(job.id).status.value) not in _ALIVE:
            return False
        client.stop_job(job.id)
        deadline_s = time.monotonic() + _END_S
        while str(client.get_job_info(job.id).status.value) in _ALIVE and time.monotonic() < deadline_s:
            time.sleep(0.2)
    return True


def job_output(job: SubmittedJob) -> str:
    """What the job has printed so far.

    Raises:
        LaunchError: no cluster answers, or it knows the job no more.
    """
    with _client(job.address) as client:
        return str(client.get_job_logs(job.id))


@contextmanager
def _client(address: str) -> Iterator[JobSubmissionClient]:
    """Raises ``LaunchError`` for whatever the cluster answers but yes."""
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        host = port = None
    if not host or parts.scheme not in _PORTS:
        raise LaunchError(f"--address {address}: wanted is the URL of the cluster's dashboard, such as http://HEAD:8265")
    knock(f"{host}:{port}")
    prepare_ray()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)  # else it tells of its uploads
    try:
        yield JobSubmissionClient(address)
    except AuthenticationError as error:
        does = "asks for a token" if str(error).startswith("Authentication required") else "refuses this token"
        token = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH=FILE or RAY_AUTH_TOKEN"
        raise LaunchError(f"the cluster at {address} {does}: {token}") from error
    except (OSError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise LaunchError(f"no dashboard of a Ray cluster, to which jobs are sent, answers at {address}: {said}") from error


def _tracking(spec: SweepSpec, where: Home) -> dict[str, str]:
    """Where the job shall send its record, where only this process's environment says so."""
    if spec.tracking.uri is not None or where.tracking_uri == where.own_tracking_uri:
        return {}
    if without_password(where.tracking_uri) != where.tracking_uri:
        raise LaunchError(
            "MLFLOW_TRACKING_URI holds a password, which whoever sees the cluster's dashboard could read:"
            " set it on the cluster's machines, and unset it here"
        )
    return {"MLFLOW_TRACKING_URI": where.tracking_uri}


def _remembered(name: str, where: Home) -> Path:
    where.sweep_dir(name)  # refuses what is no plain name
    return where.root / "jobs" / f"{name}.json"
