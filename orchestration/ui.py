"""The pages on a home, the MLflow UI and the dashboard: serves them until Ctrl-C, and prints links that show the sweeps."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from dashboards.app.links import SWEEP, page_url
from dashboards.home import Home, resolve_home, without_password
from orchestration.mlflow_server import running_server
from orchestration.page_servers import (
    GET_DASHBOARD,
    GET_OPTUNA,
    has_dashboard,
    has_optuna_dashboard,
    has_studies,
    running_dashboard,
    running_optuna_dashboard,
)
from orchestration.served import Server, UiError, is_loopback
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.records import EXPERIMENT
from orchestration.tracking.sweep_record import tracking_uris
from orchestration.tracking.view import TAG, trials_link, view_link

_LOOK_S = 0.3
"""How often it is looked whether a server has ended by itself."""


@dataclass(frozen=True)
class SweepLink:
    """A sweep and the address of its trials, best first."""

    sweep: str
    url: str


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    host: str = "127.0.0.1"
    port: int | None = None
    """Of the MLflow UI; None takes 5000 or the next free one."""
    dashboard: bool = True
    dashboard_port: int | None = None
    """None takes 8501 or the next free one."""


def _say(line: str) -> None:
    print(line, flush=True)  # into a file too, while it is served


def serve(home: Path | None, wanted: Wanted | None = None, say: Callable[[str], None] = _say) -> None:
    """Shows the pages until Ctrl-C or SIGTERM. Records that are kept by a server have their MLflow UI there; where the dashboard
    is not wanted or not installed, only links onto that are printed.

    Raises:
        UiError: nothing was recorded, a port is taken, or a server did not start.
    """
    wanted = wanted or Wanted()
    where = resolve_home(home)
    for uri in tracking_uris(where)[1:]:
        if uri.startswith(("http://", "https://")):
            _print_links(uri.rstrip("/") + "/", uri, "", say)
        else:
            say(f"some sweeps of this home are recorded in {without_password(uri)}: see them with MLFLOW_TRACKING_URI set to it")
    served = where.tracking_uri.startswith(("http://", "https://"))
    database = Path(where.tracking_uri.removeprefix("sqlite:///"))
    if where.tracking_uri.startswith("sqlite:///") and not database.exists():
        if tracking_uris(where)[1:]:
            return
        raise UiError(f"there is nothing to show: {database} does not exist; run a sweep first, or name its home with --home")
    with_dashboard = wanted.dashboard and has_dashboard()
    if wanted.dashboard and not with_dashboard:
        say(GET_DASHBOARD)
    if served and not with_dashboard:
        _print_links(where.tracking_uri.rstrip("/") + "/", where.tracking_uri, "", say)
        return
    if not is_loopback(wanted.host):
        what = "MLflow asks" if not with_dashboard else "MLflow and the dashboard ask"
        say(f"listening on {wanted.host}: {what} nobody for a password, so whoever reaches this port can read and change records")
    with contextlib.suppress(KeyboardInterrupt), _interrupted_by_sigterm(), contextlib.ExitStack() as stack:
        _serve(where, wanted, served, with_dashboard, stack, say)


def _serve(
    where: Home, wanted: Wanted, served: bool, with_dashboard: bool, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> NoReturn:
    """Starts what is to be served, prints the links, and waits.

    Raises:
        UiError: a server did not start, or ended by itself.
    """
    servers: list[Server] = []
    mlflow = _without_login(where.tracking_uri.rstrip("/") + "/")
    if not served:
        servers.append(stack.enter_context(running_server(where, wanted.host, wanted.port, say)))
        mlflow = servers[0].url
    dashboard = ""
    if with_dashboard:
        optuna = ""
        if has_optuna_dashboard() and has_studies(where):
            servers.append(stack.enter_context(running_optuna_dashboard(where, wanted.host, say)))
            optuna = servers[-1].url
        pages = running_dashboard(where, mlflow, optuna, wanted.host, wanted.dashboard_port, say)
        servers.append(stack.enter_context(pages))
        dashboard = servers[-1].url
        say(f"Dashboard: {dashboard}")
        say(f"Optuna's dashboard: {optuna}" if optuna else GET_OPTUNA)
    _print_links(mlflow, where.tracking_uri, dashboard, say)
    say("Ctrl-C ends it")
    while all(server.is_up for server in servers):
        time.sleep(_LOOK_S)
    ended = next(server for server in servers if not server.is_up)
    raise UiError(f"{ended.service.name} ended by itself:\n{ended.last_words()}")


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


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _print_links(base: str, tracking_uri: str, dashboard: str, say: Callable[[str], None]) -> None:
    base = _without_login(base)  # who may look, the browser asks
    say(f"MLflow UI: {base}")
    links = sweep_links(base, tracking_uri)
    if not links:
        say("no sweep is recorded yet")
    for link in links:
        say(f"  {link.sweep}: {link.url}")
        say(f"    charts: {link.url}&compareRunsMode=CHART")
        if dashboard:
            say(f"    dashboard: {page_url(SWEEP, dashboard, sweep=link.sweep)}")
