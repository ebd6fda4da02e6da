"""Optuna's storage for a sweep that outlives its database's troubles. Imports Optuna: import it inside functions.

What the sweep's driver changes goes through ``transact``; the storage's own methods make and find studies, and read them. A
database can carry out a transaction and die before it has said so. It is done again then, so whatever is handed to ``transact``
must be such that doing it twice is doing it once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError

from dashboards.home import sqlite_file, without_password
from orchestration.errors import LaunchError, StudyRefused
from orchestration.patience import causes, no_room, patiently
from orchestration.refusals import first_line, refusal
from orchestration.sqlite_journal import IN_ORDER, ROLL_BACK, SYNCED, WRITE_AHEAD, may_write_ahead

T = TypeVar("T")

_SQLITE_BUSY = ("database is locked", "database table is locked")


def _patient(name: str) -> Callable[..., Any]:
    """The storage's own method, done again while the database is locked, away or without room."""
    own = getattr(RDBStorage, name)

    def method(self: PatientStorage, *arguments: Any, **options: Any) -> Any:
        return self._patiently(lambda: own(self, *arguments, **options))

    return method


class PatientStorage(RDBStorage):
    """Waits where the database is locked, away or without room.

    The first connection is not waited for: a wrong address must be told.

    Raises:
        StudyRefused: by ``transact`` and by what makes, finds and reads studies, where waiting is no use.
    """

    _writes_ahead = False

    def _patiently(self, act: Callable[[], T]) -> T:
        try:
            return patiently(act, _trouble)
        except (StorageInternalError, DBAPIError) as error:
            raise StudyRefused(f"the study's database {without_password(self.url)} refuses: {_words(error)}") from error

    def transact(self, write: Callable[[Connection], T], durable: bool) -> T:
        """Carries out one transaction, again and again until it is known to be done.

        Args:
            durable: it shall survive a power cut too.
        """

        def act() -> T:
            with self.engine.connect() as connection:
                if self._writes_ahead:
                    connection.exec_driver_sql(SYNCED if durable else IN_ORDER)
                done = write(connection)
                connection.commit()
                return done

        return self._patiently(act)

    def close(self) -> None:
        """Closes the connections to the database; they are made again where they are needed."""
        self.remove_session()
        self.engine.dispose()

    def write_ahead(self) -> None:
        """Lets an SQLite file be written the faster way, if it may, and else no more; stays so."""
        file = sqlite_file(self.url)
        if file is None:
            return
        wanted = WRITE_AHEAD if may_write_ahead(file) else ROLL_BACK

        def act() -> bool:
            with self.engine.connect() as connection:
                return connection.exec_driver_sql(wanted).scalar() == "wal"

        if wanted == WRITE_AHEAD:
            self._writes_ahead = self._patiently(act)
        else:
            self.engine.dispose()  # of connections of its own, which would be in the way
            with suppress(DBAPIError):  # others of this machine have it open: the next sweep tries again
                act()

    def delete_study(self, study_id: int) -> None:
        again = False

        def act() -> None:
            nonlocal again
            try:
                RDBStorage.delete_study(self, study_id)
            except KeyError:
                if not again:
                    raise
            finally:
                again = True

        self._patiently(act)

    create_new_study = _patient("create_new_study")
    get_study_id_from_name = _patient("get_study_id_from_name")
    get_study_name_from_id = _patient("get_study_name_from_id")
    get_all_studies = _patient("get_all_studies")
    set_study_user_attr = _patient("set_study_user_attr")
    get_study_user_attrs = _patient("get_study_user_attrs")
    get_study_system_attrs = _patient("get_study_system_attrs")
    get_study_directions = _patient("get_study_directions")
    get_trial = _patient("get_trial")
    # What Optuna's cache in front of a database asks for by these names:
    _get_trials = _patient("_get_trials")


def open_patiently(url: str) -> PatientStorage:
    """The storage behind an SQLAlchemy URL, its tables made where there are none.

    Raises:
        LaunchError: it cannot be reached.
    """
    in_file = url.startswith("sqlite")
    arguments: dict[str, Any] = {"connect_args": {"timeout": 5}} if in_file else {"pool_pre_ping": True}
    literal = url.replace("{", "{{").replace("}", "}}")  # Optuna takes an address for a template
    try:
        return patiently(lambda: PatientStorage(literal, engine_kwargs=arguments), _opening_trouble if in_file else _race)
    except (SQLAlchemyError, StorageInternalError, ImportError, ValueError) as error:
        raise LaunchError(f"cannot keep the study in {without_password(url)}: {_words(error)}") from error


def _opening_trouble(error: Exception) -> str | None:
    return _trouble(error) or _race(error)


def _race(error: Exception) -> str | None:
    """Optuna looks for its tables and then makes them; in between, another process may have."""
    made = any(isinstance(cause, IntegrityError) or "already exists" in str(cause) for cause in causes(error))
    return "another process is making the study's tables" if made else None


def _trouble(error: Exception) -> str | None:
    """What is being waited for; None where the error is no trouble of the database's that passes."""
    if no_room(error):
        return "no room is left for the study's database"
    if refusal(error) is not None:
        return None
    for cause in causes(error):
        if isinstance(cause, (OperationalError, InterfaceError)) or (
            isinstance(cause, DBAPIError) and cause.connection_invalidated
        ):
            text = first_line(cause.orig or cause)
            in_file = type(cause.orig).__module__.startswith("sqlite3")
            if not in_file or text in _SQLITE_BUSY:
                return f"the study's database does not answer ({text})"
    return None


def _words(error: Exception) -> str:
    """The driver's own, which lie below what SQLAlchemy and Optuna make of them."""
    deepest = [getattr(cause, "orig", None) or cause for cause in causes(error)]
    told = refusal(error) or next((first_line(cause) for cause in deepest if not isinstance(cause, StorageInternalError)), "")
    return told or first_line(error)
