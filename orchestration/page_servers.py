"""The servers of pages beside MLflow's: the dashboard, and Optuna's own where it is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from dashboards.app.settings import MLFLOW_UI, OPTUNA_UI
from dashboards.home import Home, sqlite_file
from orchestration.served import Server, Service, is_loopback, running

DASHBOARD_PORT, OPTUNA_PORT = 8501, 8080
GET_DASHBOARD = "no dashboard: Streamlit is not installed; pip install 'vae-sweeps[dashboard]'"
GET_OPTUNA = "no Optuna dashboard beside it: pip install optuna-dashboard"
_BLUE = "#0072B2"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names by which a page for this machine alone may be asked for: else another site's name could be turned onto it."""


def has_dashboard() -> bool:
    """Whether the dashboard can be served."""
    return importlib.util.find_spec("streamlit") is not None


def has_optuna_dashboard() -> bool:
    """Whether Optuna's own dashboard can be served."""
    return importlib.util.find_spec("optuna_dashboard") is not None


def has_studies(home: Home) -> bool:
    """Whether the home has a storage of its own to show; Optuna's dashboard would make one."""
    file = sqlite_file(home.optuna_url)
    return file is not None and file.exists()


@contextlib.contextmanager
def running_dashboard(
    home: Home, mlflow: str, optuna: str, host: str, port: int | None, say: Callable[[str], None]
) -> Iterator[Server]:
    """The dashboard, which answers, and is gone with all its processes afterwards.

    Args:
        mlflow: address of the MLflow UI, for links; it may be empty.
        optuna: the same of Optuna's dashboard.

    Raises:
        UiError: the port is taken, or the server did not start.
    """
    told = {"VAE_SWEEPS_HOME": str(home.root), "MLFLOW_TRACKING_URI": home.tracking_uri, MLFLOW_UI: mlflow, OPTUNA_UI: optuna}
    environment = {**os.environ, **told}
    service = Service(
        "the dashboard",
        _streamlit,
        environment,
        home.root / "dashboard.log",
        DASHBOARD_PORT,
        "_stcore/health",
        "--dashboard-port",
    )
    with running(service, host, port, say) as server:
        yield server


def _streamlit(host: str, port: int) -> list[str]:
    """Without telemetry, without a question for an e-mail address, without a look at the files of the program."""
    import dashboards.app

    main = Path(dashboards.app.__file__).with_name("main.py")
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "type",
        "client.showErrorLinks": "false",
        "theme.base": "light",
        "theme.primaryColor": _BLUE,
    }
    names = [f"--server.allowedHosts={name}" for name in _LOOPBACK if is_loopback(host)]
    words = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(main), *words, *names]


@contextlib.contextmanager
def running_optuna_dashboard(home: Home, host: str, say: Callable[[str], None]) -> Iterator[Server]:
    """Optuna's dashboard on the home's own studies.

    Raises:
        UiError: no port is free, or the server did not start.
    """

    def command(host: str, port: int) -> list[str]:
        run = "from optuna_dashboard._cli import main; main()"
        return [sys.executable, "-c", run, home.optuna_url, "--host", host, "--port", str(port)]

    service = Service(
        "Optuna's dashboard", command, dict(os.environ), home.root / "optuna-dashboard.log", OPTUNA_PORT, "dashboard"
    )
    with running(service, host, None, say) as server:
        yield server
