"""An MLflow server on a home, in the cheapest configuration."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from dashboards.home import Home
from orchestration.served import Server, Service, running

DEFAULT_PORT = 5000


@contextlib.contextmanager
def running_server(
    home: Home, host: str = "127.0.0.1", port: int | None = None, say: Callable[[str], None] = print
) -> Iterator[Server]:
    """An MLflow server that answers, and is gone with all its processes afterwards.

    Raises:
        UiError: the port is taken, or the server did not start.
    """

    def command(host: str, port: int) -> list[str]:
        words = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", str(port)]
        return [*words, "--backend-store-uri", home.tracking_uri, "--default-artifact-root", str(home.artifact_root)]

    service = Service(
        "the MLflow server", command, _environment(), home.root / "mlflow-server.log", DEFAULT_PORT, "health", "--port"
    )
    with running(service, host, port, say) as server:
        yield server


def _environment() -> dict[str, str]:
    """One worker and no job runners: 5 s to the first page instead of 20, and a fifth of the memory."""
    dropped = {"MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"}
    return {
        **{name: value for name, value in os.environ.items() if name not in dropped},
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
