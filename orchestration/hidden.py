"""What of a sweep is not for everybody: passwords in its addresses, and its webhook, by which whoever knows it can speak.

The study, the home's copy of the sweep file and the record hold the sweep without them; they themselves lie in the sweep's
directory, in files that only their owner can read.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from dashboards.home import Home, without_password
from orchestration.patience import notice
from orchestration.spec import SweepSpec
from orchestration.whole_file import write_whole

URI_FILE = "tracking-uri"
"""Where the record goes; empty: to the home's own store."""
_WEBHOOK_FILE = "notify-url"
_HIDDEN = "***"


def public(spec: SweepSpec) -> SweepSpec:
    """The sweep as everybody may read it."""
    search, tracking, notify = spec.search, spec.tracking, spec.notify
    if search.storage is not None:
        search = search.model_copy(update={"storage": without_password(search.storage)})
    if tracking.uri is not None:
        tracking = tracking.model_copy(update={"uri": without_password(tracking.uri)})
    if notify is not None:
        notify = notify.model_copy(update={"url": _without_path(notify.url)})
    return spec.model_copy(update={"search": search, "tracking": tracking, "notify": notify})


def remember(spec: SweepSpec, where: Home) -> None:
    """Keeps what is hidden, and where the record goes, whatever the environment says later."""
    directory = where.sweep_dir(spec.name)
    # The home's own needs no address: with one, a home that was moved would lose its record.
    _keep(directory / URI_FILE, "" if where.tracking_uri == where.own_tracking_uri else where.tracking_uri)
    _keep(where.storage_file(spec.name), spec.search.storage)
    _keep(directory / _WEBHOOK_FILE, None if spec.notify is None else spec.notify.url)
    job_file(spec.name, where).unlink(missing_ok=True)


def job_file(name: str, where: Home) -> Path:
    """Where a job of a cluster finds a sweep file that must not travel with it; gone once the job has kept what is hidden."""
    where.sweep_dir(name)  # refuses what is no plain name
    return where.root / "jobs" / f"{name}.yaml"


def whole(spec: SweepSpec, where: Home) -> SweepSpec:
    """A sweep of the home, as it was read from there, with what was hidden of it."""
    directory = where.sweep_dir(spec.name)
    search, tracking, notify = spec.search, spec.tracking, spec.notify
    if _HIDDEN in (search.storage or ""):
        search = search.model_copy(update={"storage": where.study_url(spec.name)})
    if _HIDDEN in (tracking.uri or "") and (file := directory / URI_FILE).exists():
        tracking = tracking.model_copy(update={"uri": file.read_text() or None})
    if notify is not None and _HIDDEN in notify.url:
        if (file := directory / _WEBHOOK_FILE).exists():
            notify = notify.model_copy(update={"url": file.read_text()})
        else:
            notify = None
            notice(f"{file} is gone: nobody is told how {spec.name} goes")
    return spec.model_copy(update={"search": search, "tracking": tracking, "notify": notify})


def _keep(file: Path, secret: str | None) -> None:
    if secret is None:
        file.unlink(missing_ok=True)
        return
    write_whole(file, secret)  # for its owner only, and in one step: it may be the only copy


def _without_path(url: str) -> str:
    """Chats put the secret into the path."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/{_HIDDEN}" if parts.path.strip("/") or parts.query or host != parts.netloc else url
