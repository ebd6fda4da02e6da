"""Optuna's storage for a sweep that outlives its database's troubles. Imports Optuna: import it inside functions.

A database can carry out a transaction and die before it has said so. Each is done again then, so each must be such that
doing it twice is doing it once. Most are: they set a value. A new trial carries a mark, by which it is found again, and a
trial's state is looked at first; both under the lock of the row that the first attempt would have held, so that one which is
still under way is waited for. Whoever repeats finds nobody's work but its own: a study has one driver.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from dashboards.home import without_password
from orchestration.errors import LaunchError, StudyRefused
from orchestration.patience import causes, no_room, patiently
from orchestration.refusals import first_line, refusal

_SQLITE_BUSY = ("database is locked", "database table is locked")
_MARK = "request"
"""The system attribute that says for which call a trial was made."""


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
        StudyRefused: by every method, where waiting is no use.
    """

    _tried = ""
    """The mark of the last trial that was to be made."""

    def _patiently(self, act: Callable[[], Any]) -> Any:
        try:
            return patiently(act, _trouble)
        except (StorageInternalError, DBAPIError) as error:
            raise StudyRefused(f"the study's database {without_password(self.url)} refuses: {_words(error)}") from error

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        marked = copy.copy(template_trial or create_trial(state=TrialState.RUNNING))
        marked.system_attrs = {**marked.system_attrs, _MARK: uuid.uuid4().hex}
        return self._patiently(lambda: RDBStorage._create_new_trial(self, study_id, marked))  # type: ignore[no-any-return]

    def _get_prepared_new_trial(self, study_id: int, template_trial: FrozenTrial | None, session: Session) -> models.TrialModel:
        """Called with the study's row locked; also by repetitions of Optuna's own."""
        assert template_trial is not None
        mark = template_trial.system_attrs[_MARK]
        if mark == self._tried:
            attribute = models.TrialSystemAttributeModel
            made = session.query(models.TrialModel).join(attribute)
            found = made.filter(attribute.key == _MARK, attribute.value_json == json.dumps(mark)).one_or_none()
            if found is not None:
                return found
        self._tried = mark
        return super()._get_prepared_new_trial(study_id, template_trial, session)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        again = False

        def act() -> bool:
            nonlocal again
            if again and self._state_of(trial_id) == state:
                return True
            again = True
            return RDBStorage.set_trial_state_values(self, trial_id, state, values)

        return bool(self._patiently(act))

    def _state_of(self, trial_id: int) -> TrialState:
        """Waits for a transaction that is still changing it."""
        with self.scoped_session() as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
            return trial.state  # type: ignore[return-value]  # Optuna's columns are typed as columns

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
    set_study_system_attr = _patient("set_study_system_attr")
    get_study_user_attrs = _patient("get_study_user_attrs")
    get_study_system_attrs = _patient("get_study_system_attrs")
    get_study_directions = _patient("get_study_directions")
    get_trial = _patient("get_trial")
    set_trial_intermediate_value = _patient("set_trial_intermediate_value")
    set_trial_user_attr = _patient("set_trial_user_attr")
    set_trial_system_attr = _patient("set_trial_system_attr")
    # What Optuna's cache in front of a database asks for by these names:
    _set_trial_param = _patient("_set_trial_param")
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
