"""Where sweeps are kept: one directory, and the rule that finds it. Shared by those who write and those who read.

Nothing here creates a file or imports a tracker.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class HomeError(ValueError):
    """The home or the name of a sweep cannot be what was asked for, by the user's mistake."""


DEFAULT_HOME = "vae-sweeps-home"


@dataclass(frozen=True)
class Home:
    """The directory of the sweeps, ``root`` (absolute), and the URI of their MLflow records."""

    root: Path
    tracking_uri: str
    """The home's own ``mlflow.db`` unless a server or another database was named."""

    @property
    def artifact_root(self) -> Path:
        """Where the experiment's artifacts go, if the records are the home's own."""
        return self.root / "artifacts"

    @property
    def optuna_url(self) -> str:
        """The home's own storage of the studies."""
        return _sqlite_url(self.root / "optuna.db")

    def sweep_dir(self, sweep: str) -> Path:
        """What belongs to one sweep.

        Raises:
            HomeError: if the name is not one plain directory name, and so could leave the home.
        """
        if sweep in ("", ".", "..") or any(mark in sweep for mark in ("/", "\\", "\0")):
            raise HomeError(f"{sweep!r} cannot name a sweep: it must be one directory name, without / or \\")
        return self.root / "trials" / sweep

    def sweep_file(self, sweep: str) -> Path:
        """The copy of the sweep file that the sweep was started with."""
        return self.sweep_dir(sweep) / "sweep.yaml"

    def trial_dir(self, sweep: str, number: int) -> Path:
        """Checkpoints, weights and samples of one trial."""
        return self.sweep_dir(sweep) / f"{number:04d}"


def resolve_home(home: str | Path | None = None, tracking_uri: str | None = None) -> Home:
    """Finds the home: ``home``, else ``VAE_SWEEPS_HOME``, else ``./vae-sweeps-home``; it need not exist.

    The records are at ``tracking_uri``, else at ``MLFLOW_TRACKING_URI``, else in the home's ``mlflow.db``.

    Raises:
        HomeError: if the path has a ``?`` or ``%``, which an SQLite URL cannot hold as they are (and MLflow makes a second
            directory of an escaped one).
    """
    root = Path(home or os.environ.get("VAE_SWEEPS_HOME") or DEFAULT_HOME).expanduser().absolute()
    if mark := next((mark for mark in "?%" if mark in str(root)), None):
        raise HomeError(f"the home {root} has a '{mark}' in its path, which an SQLite URL cannot hold; choose another directory")
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_url(root / "mlflow.db")
    return Home(root=root, tracking_uri=uri)


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"
