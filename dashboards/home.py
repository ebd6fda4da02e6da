"""Where sweeps are kept: one directory, and the rule that finds it. Shared by those who write and those who read.

Nothing here creates a file or imports a tracker.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_plus, urlsplit

from dashboards.errors import nearest


class HomeError(ValueError):
    """The home or the name of a sweep cannot be what was asked for, by the user's mistake."""


DEFAULT_HOME = "vae-sweeps-home"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""What MLflow can keep records in; each also with a driver, as in ``mysql+pymysql``."""
SERVERS = ("http", "https")
_LOGIN = re.compile(r"^([^:/?]*://[^:/@]*):.*@", re.DOTALL)
"""A login with a password, which may hold any character: the last ``@`` ends it."""
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>]+")
"""In a text."""
_RELATIVE_FILE = re.compile(r"\A(sqlite(?:\+\w+)?:///)(?![/:?]|file:)([^?]+)(.*)\Z", re.DOTALL)
_SETTING = re.compile(r"([?&])([^=&]*)=([^&]*)")
_SECRET = re.compile("pass|pwd|secret|token|odbc_connect", re.IGNORECASE)
"""Settings of the databases' drivers that are or hold a password."""


@dataclass(frozen=True)
class Home:
    """The directory of the sweeps, ``root`` (absolute), and the URI of their MLflow records."""

    root: Path
    tracking_uri: str
    """The home's own ``mlflow.db`` unless a server or another database was named."""

    @property
    def shown_uri(self) -> str:
        """Where the records are, without a password."""
        return without_password(self.tracking_uri)

    def command(self, words: str) -> str:
        """A command of ours on this home, as it can be pasted from wherever it is read."""
        return f"vae-sweeps {words} --home {shlex.quote(str(self.root))}"

    @property
    def artifact_root(self) -> Path:
        """Where the experiment's artifacts go, if the records are the home's own."""
        return self.root / "artifacts"

    @property
    def own_tracking_uri(self) -> str:
        """The store that the home itself holds."""
        return _sqlite_url(self.root / "mlflow.db")

    @property
    def optuna_url(self) -> str:
        """The home's own storage of the studies."""
        return _sqlite_url(self.root / "optuna.db")

    def study_url(self, sweep: str) -> str:
        """Where the sweep's study is: where its file said when it was started, else in the home's own storage."""
        file = self.storage_file(sweep)
        return file.read_text() if file.exists() else self.optuna_url

    def storage_file(self, sweep: str) -> Path:
        """Holds the address of a study that is not in the home's own storage."""
        return self.sweep_dir(sweep) / "storage-url"

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

    The records are at ``tracking_uri``, else at ``MLFLOW_TRACKING_URI``, else in the home's ``mlflow.db``; an SQLite file
    that is named relative lies in the current directory.

    Raises:
        HomeError: if the path has a ``?`` or ``%``, which an SQLite URL cannot hold as they are (and MLflow makes a second
            directory of an escaped one); if the URI is none that ``check_tracking_uri`` lets pass.
    """
    root = Path(home or os.environ.get("VAE_SWEEPS_HOME") or DEFAULT_HOME).expanduser().absolute()
    if mark := next((mark for mark in "?%" if mark in str(root)), None):
        raise HomeError(f"the home {root} has a '{mark}' in its path, which an SQLite URL cannot hold; choose another directory")
    uri = with_absolute_file(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_url(root / "mlflow.db"))
    try:
        check_tracking_uri(uri)
    except HomeError as error:
        raise error if tracking_uri else HomeError(f"MLFLOW_TRACKING_URI in the environment: {error}") from None
    return Home(root=root, tracking_uri=uri)


def check_tracking_uri(uri: str) -> None:
    """Lets pass what records can be written to and read from: a database, or an MLflow server. Asks neither.

    MLflow itself takes anything: of a path or a misspelt scheme it makes a directory, and of ``http:///x`` a host to wait for.

    Raises:
        HomeError: with what is allowed, and without a password.
    """
    scheme, mark, rest = uri.partition("://")
    kind, plus, driver = scheme.partition("+")
    allowed = "sqlite:///FILE, postgresql://..., mysql://..., mssql://... (with a driver: mysql+pymysql://...) or http(s)://HOST"
    if not mark or kind not in (*DATABASES, *SERVERS):
        near = nearest(kind, (*DATABASES, *SERVERS)).partition("there are")[0]
        raise HomeError(f"no records can be kept at {without_password(uri)!r}: {near}wanted is {allowed}")
    if plus and (kind in SERVERS or not re.fullmatch("[a-z0-9_]+", driver)):
        raise HomeError(f"{without_password(uri)!r} names no driver that there is by {scheme!r}: wanted is {allowed}")
    if kind in SERVERS and not _has_host(uri):
        raise HomeError(f"{without_password(uri)!r} does not say which server: wanted is {kind}://HOST or {kind}://HOST:PORT")
    if kind == "sqlite" and (not rest.startswith("/") or rest[1:].partition("?")[0] in ("", ":memory:")):
        raise HomeError(f"{uri!r} names no file: wanted is sqlite:///FILE, with three slashes (four before an absolute path)")


def check_database_url(url: str) -> None:
    """Lets pass the address of a database, by ``check_tracking_uri``'s rules.

    Raises:
        HomeError: with what is allowed, and without a password.
    """
    if url.partition("://")[0] in SERVERS:
        raise HomeError(f"{without_password(url)!r} is no database: wanted is sqlite:///FILE, postgresql://... or mysql://...")
    check_tracking_uri(url)


def _has_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def without_password(uri: str) -> str:
    """The URI as it may be printed: ``***`` for a password, in the login or among the settings behind the ``?``."""
    return _LOGIN.sub(r"\1:***@", _SETTING.sub(_hidden, uri))


def hide_passwords(text: str) -> str:
    """A text, such as an error's, as it may be printed: ``without_password`` of every address in it."""
    return _ADDRESS.sub(lambda address: without_password(address[0]), text)


def with_absolute_file(url: str, absolute: Callable[[str], str] = os.path.abspath) -> str:
    """The URL of an SQLite file that is named relative, with ``absolute`` of its name; any other URL as it is."""
    return _RELATIVE_FILE.sub(lambda parts: f"{parts[1]}{absolute(parts[2])}{parts[3]}", url)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; None of any other."""
    scheme, _, rest = url.partition("://")
    return Path(rest[1:].partition("?")[0]) if scheme.partition("+")[0] == "sqlite" else None


def _hidden(setting: re.Match[str]) -> str:
    mark, name, _ = setting.groups()
    return f"{mark}{name}=***" if _SECRET.search(unquote_plus(name)) else setting[0]


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"
