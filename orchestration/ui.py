"""The MLflow UI on a home: serves it until Ctrl-C, and prints links that show the trials."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dashboards.home import resolve_home, without_password
from orchestration.mlflow_server import UiError, is_loopback, running_server
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.records import EXPERIMENT
from orchestration.tracking.sweep_record import tracking_uris
from orchestration.tracking.view import TAG, trials_link, view_link


@dataclass(frozen=True)
class SweepLink:
    """A sweep and the address of its trials, best first."""

    sweep: str
    url: str


def serve(
    home: Path | None,
    host: str = "127.0.0.1",
    port: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Shows the UI until Ctrl-C or SIGTERM. Records that are kept by a server have their UI there: only links are printed.

    Args:
        port: None takes 5000 or the next free one.

    Raises:
        UiError: nothing was recorded, the port is taken, or the server did not start.
    """
    where = resolve_home(home)
    if where.tracking_uri.startswith(("http://", "https://")):
        _print_links(where.tracking_uri.rstrip("/") + "/", where.tracking_uri, say)
        return
    elsewhere = tracking_uris(where)[1:]
    for uri in elsewhere:
        if uri.startswith(("http://", "https://")):
            _print_links(uri.rstrip("/") + "/", uri, say)
        else:
            say(f"some sweeps of this home are recorded in {without_password(uri)}: see them with MLFLOW_TRACKING_URI set to it")
    database = Path(where.tracking_uri.removeprefix("sqlite:///"))
    if where.tracking_uri.startswith("sqlite:///") and not database.exists():
        if elsewhere:
            return
        raise UiError(f"there is nothing to show: {database} does not exist; run a sweep first, or name its home with --home")
    if not is_loopback(host):
        say(f"listening on {host}: MLflow asks nobody for a password, so whoever reaches this port can read and change records")
    with contextlib.suppress(KeyboardInterrupt), _interrupted_by_sigterm(), running_server(where, host, port, say) as server:
        _print_links(server.url, where.tracking_uri, say)
        say("Ctrl-C ends it")
        server.wait()
        raise UiError(f"the MLflow server ended by itself:\n{server.last_words()}")


def sweep_links(base: str, tracking_uri: str) -> list[SweepLink]:
    """A link onto the trials of each recorded sweep, newest sweep first; ``base`` is the UI's address.

    Raises:
        UiError: the store does not answer.
    """
    quiet_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(tracking_uri=tracking_uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return []
        runs = client.search_runs([experiment.experiment_id], "tags.kind = 'sweep'", order_by=["attributes.start_time DESC"])
    except MlflowException as error:
        raise UiError(f"the records at {without_password(tracking_uri)} do not answer: {error}") from error
    return [
        SweepLink(
            tags["sweep"],
            view_link(experiment.experiment_id, tags["sweep"], base)
            if f"{TAG}{tags['sweep']}" in experiment.tags  # not where an earlier version has recorded it
            else trials_link(
                experiment.experiment_id,
                tags["sweep"],
                f"best/{tags.get('metric.name', 'val/neg_elbo')}",
                tags.get("metric.goal", "minimize"),
                base,
            ),
        )
        for tags in (run.data.tags for run in runs)
    ]


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block like Ctrl-C does, so that the server's processes are ended too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_links(base: str, tracking_uri: str, say: Callable[[str], None]) -> None:
    say(f"MLflow UI: {without_password(base)}")
    links = sweep_links(base, tracking_uri)
    if not links:
        say("no sweep is recorded yet")
    for link in links:
        say(f"  {link.sweep}: {link.url}")
        say(f"    charts: {link.url}&compareRunsMode=CHART")
