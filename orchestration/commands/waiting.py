"""A sweep that has no driver yet, or none any more: what its job on a cluster and its place in the queue have to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboards.home import Home


def waiting_lines(name: str, where: Home) -> list[str]:
    """How the job stands that the sweep was submitted as, with why it failed, and the sweep's entry in the queue."""
    from orchestration.jobs import job_of, standing_of
    from orchestration.sweep_queue import OPEN, Queue

    lines = []
    if (job := job_of(name, where)) is not None:
        standing = standing_of(job)
        lines.append(f"submitted as {job.id} to {job.address}: {standing.state}")
        if standing.why:
            lines.append(standing.why)
        if standing.last_lines:
            lines += ["its last lines:", *(f"  {line}" for line in standing.last_lines)]
    entries = Queue(where).entries()
    for place, entry in enumerate(entries, start=1):
        if entry.name == name:
            at = f", place {place}" if entry.state in OPEN else ""
            why = f" ({entry.reason})" if entry.reason else ""
            lines.append(f"in the queue: {entry.state}{at}, priority {entry.priority}{why}")
    return lines


def not_driven(name: str, where: Home) -> str:
    """What to do with a sweep that no process drives."""
    from orchestration.jobs import job_of, standing_of
    from orchestration.stored_sweeps import is_stored
    from orchestration.sweep_queue import OPEN, Queue

    if (job := job_of(name, where)) is not None and standing_of(job).alive:
        return f"no driver is running yet: its job waits, or begins; {where.command(f'stop {name}')} ends it"
    entry = Queue(where).entry(name)
    if entry is not None and entry.state in OPEN:
        return "no driver is running: it waits for its turn in the queue"
    if not is_stored(name, where):
        return "no driver is running, and none has begun it: submit it again, or run it"
    return f"no driver is running; if trials are left: {where.command(f'resume {name}')}"


def stop_its_job(name: str, where: Home) -> str | None:
    """Ends the job of a sweep that has no driver; its id, or None where no job waits.

    Raises:
        LaunchError: the cluster cannot be asked.
    """
    from orchestration.jobs import job_of, stop_job

    job = job_of(name, where)
    return job.id if job is not None and stop_job(job) else None
