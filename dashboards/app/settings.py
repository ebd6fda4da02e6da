"""What the dashboard is told from outside, by the environment: where the records are, and who else shows them.

By the environment, for an address may hold a password, and everybody may read a command line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from dashboards.home import Home, resolve_home

MLFLOW_UI, OPTUNA_UI = "VAE_SWEEPS_MLFLOW_UI", "VAE_SWEEPS_OPTUNA_UI"
"""Names of variables: the addresses of the MLflow UI and of optuna-dashboard, where they are served."""


@dataclass(frozen=True)
class Settings:
    """Where the records are, and the addresses of other pages on them, each with a slash at its end; empty where unknown."""

    where: Home
    mlflow: str
    optuna: str


def settings() -> Settings:
    """As the environment says: ``VAE_SWEEPS_HOME``, ``MLFLOW_TRACKING_URI`` and the two above.

    Raises:
        HomeError: as ``resolve_home``.
    """
    where = resolve_home()
    served = where.tracking_uri if where.tracking_uri.startswith(("http://", "https://")) else ""
    return Settings(where, _address(os.environ.get(MLFLOW_UI, served)), _address(os.environ.get(OPTUNA_UI, "")))


def _address(url: str) -> str:
    """A link without a login, and with a slash at its end; empty where it is no page's address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], f"{parts.path.rstrip('/')}/", "", ""))
