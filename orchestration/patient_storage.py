"""Optuna's storage for a sweep that outlives its database's troubles. Imports Optuna: import it inside functions."""

from __future__ import annotations

from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, NoSuchModuleError, OperationalError

from dashboards.home import without_password
from orchestration.errors import LaunchError
from orchestration.patience import causes, no_room, patiently

_SQLITE_BUSY = ("database is locked", "database table is locked")


class PatientStorage(RDBStorage):
    """Waits where the database is locked, away or without room. Each method is one transaction, so it can be done again.

    The first connection is not waited for: a wrong address must be told.
    """

    def create_new_study(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.create_new_study(self, *arguments, **options), _trouble)

    def set_study_user_attr(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.set_study_user_attr(self, *arguments, **options), _trouble)

    def set_study_system_attr(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.set_study_system_attr(self, *arguments, **options), _trouble)

    def get_study_user_attrs(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.get_study_user_attrs(self, *arguments, **options), _trouble)

    def get_study_system_attrs(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.get_study_system_attrs(self, *arguments, **options), _trouble)

    def get_study_directions(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.get_study_directions(self, *arguments, **options), _trouble)

    def get_trial(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.get_trial(self, *arguments, **options), _trouble)

    def set_trial_state_values(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.set_trial_state_values(self, *arguments, **options), _trouble)

    def set_trial_intermediate_value(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.set_trial_intermediate_value(self, *arguments, **options), _trouble)

    def set_trial_user_attr(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.set_trial_user_attr(self, *arguments, **options), _trouble)

    def set_trial_system_attr(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage.set_trial_system_attr(self, *arguments, **options), _trouble)

    # What Optuna's cache in front of a database asks for by these names:

    def _create_new_trial(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage._create_new_trial(self, *arguments, **options), _trouble)

    def _set_trial_param(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage._set_trial_param(self, *arguments, **options), _trouble)

    def _get_trials(self, *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: RDBStorage._get_trials(self, *arguments, **options), _trouble)


def open_patiently(url: str) -> PatientStorage:
    """The storage behind an SQLAlchemy URL, its tables made where there are none.

    Raises:
        LaunchError: it cannot be reached.
    """
    in_file = url.startswith("sqlite")
    arguments: dict[str, Any] = {"connect_args": {"timeout": 5}} if in_file else {"pool_pre_ping": True}
    try:
        return patiently(lambda: PatientStorage(url, engine_kwargs=arguments), _opening_trouble if in_file else _race)
    except (DBAPIError, ImportError, NoSuchModuleError) as error:
        cause = getattr(error, "orig", None) or error
        raise LaunchError(
            f"cannot keep the study in {without_password(url)}: {str(cause).strip().partition(chr(10))[0]}"
        ) from error


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
    for cause in causes(error):
        if isinstance(cause, (OperationalError, InterfaceError)) or (
            isinstance(cause, DBAPIError) and cause.connection_invalidated
        ):
            text = str(cause.orig).strip().partition("\n")[0]
            in_file = type(cause.orig).__module__.startswith("sqlite3")
            if not in_file or text in _SQLITE_BUSY:
                return f"the study's database does not answer ({text})"
    return None
