"""MLflow's troubles: how it is asked without waiting for minutes, and which of its errors may pass."""

from __future__ import annotations

import logging
import os
import shutil

from orchestration.patience import no_room
from orchestration.refusals import refusal

# Asking again would be answered the same; whatever else goes wrong counts as an outage, since losing a record is worse.
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
_FILE_FAULTS = (FileNotFoundError, PermissionError, NotADirectoryError, shutil.Error)


def quiet_mlflow() -> None:
    """Sets what MLflow reads from the environment; call before importing it.

    No telemetry, no links on stdout, no adoption of another program's run. A request is tried once and for 10 s (a
    user's own setting stays): repeating is the sender's work, which looks first whether a lost answer was carried out.
    """
    os.environ.pop("MLFLOW_RUN_ID", None)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    logging.getLogger("alembic").setLevel(logging.ERROR)


def is_outage(error: Exception) -> bool:
    """Whether the same entry may succeed later: the store is away, locked, full or overloaded."""
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        # Where this process is not let in, the user can mend that, and then the same entry is taken.
        return error.error_code not in _REFUSALS or refusal(error) is not None
    if isinstance(error, _FILE_FAULTS) and not no_room(error):
        return False
    return isinstance(error, (OSError, sqlalchemy.exc.SQLAlchemyError))
