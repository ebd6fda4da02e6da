"""MLflow makes its tables one by one: two processes at once, or one that is killed, leave a database that none can open."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.home import sqlite_file
from orchestration.sqlite_journal import IN_ORDER, ROLL_BACK, WRITE_AHEAD, log_of, may_write_ahead

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextlib.contextmanager
def alone(uri: str) -> Iterator[None]:
    """While one process of this machine first opens the SQLite database at ``uri``, others wait; servers do so themselves."""
    file = sqlite_file(uri)
    if file is None or not file.parent.is_dir():
        yield
        return
    with file.with_name(f".{file.name}.making").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_whole(uri: str) -> None:
    """Makes the SQLite database at ``uri``, if there is none, as a draft that takes its name when it is whole.

    Call it while ``alone``.
    """
    file = sqlite_file(uri)
    if file is None or file.exists() or not file.parent.is_dir():
        return
    for left in file.parent.glob(f".{file.name}.draft*"):  # by a process that was killed
        left.unlink()
    from mlflow.store.db import utils
    from sqlalchemy import event

    draft = file.with_name(f".{file.name}.draft")
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{draft}")
    # Hundreds of migrations need not each reach the disk: the draft does, once, before it counts.
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    try:
        utils._initialize_tables(engine)
    finally:
        engine.dispose()
    with draft.open("rb+") as made:
        os.fsync(made.fileno())
    draft.replace(file)


def write_ahead(uri: str, client: MlflowClient) -> Path | None:
    """Lets an SQLite database be written the faster way, if it may, and else no more; its log then, for who wants it synced.

    One that is in use just now is left as it is.
    """
    file = sqlite_file(uri)
    if file is None:
        return None
    from sqlalchemy import event

    try:
        with contextlib.closing(sqlite3.connect(file, timeout=1.0)) as database:
            if database.execute(WRITE_AHEAD if may_write_ahead(file) else ROLL_BACK).fetchone() != ("wal",):
                return None
    except sqlite3.OperationalError:
        return None
    engine = client._tracking_client.store.engine
    event.listen(engine, "connect", lambda connection, _: connection.execute(IN_ORDER))
    engine.dispose()  # of connections that were made before
    return log_of(file)
