"""Asks where the record goes, before a sweep begins, whether it will be let in there."""

from __future__ import annotations

from dashboards.home import SERVERS, Home
from orchestration.errors import LaunchError
from orchestration.refusals import refusal
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.records import EXPERIMENT


def require_access(where: Home) -> None:
    """Looks, and changes nothing. A store that is away passes: records wait for it.

    Raises:
        LaunchError: it refuses what no waiting mends, such as a wrong password; training for nothing would come of it.
    """
    if where.tracking_uri == where.own_tracking_uri:
        return
    try:
        _ask_server(where.tracking_uri) if where.tracking_uri.startswith(SERVERS) else _ask_database(where.tracking_uri)
    except ImportError as error:
        raise LaunchError(f"cannot keep the record in {where.shown_uri}: its driver is not installed ({error})") from error
    except Exception as error:  # of whatever library: only what is refused for good is of interest
        if (why := refusal(error)) is not None:
            raise LaunchError(
                f"cannot keep the record in {where.shown_uri}: {why}; mend tracking.uri or MLFLOW_TRACKING_URI, or for a server"
                " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            ) from error


def _ask_server(uri: str) -> None:
    quiet_mlflow()
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri).get_experiment_by_name(EXPERIMENT)


def _ask_database(uri: str) -> None:
    """Not by MLflow, which tries for minutes whatever the answer is."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    if make_url(uri).get_backend_name() == "sqlite":  # asking would make it
        return
    create_engine(uri, poolclass=NullPool).connect().close()
