"""A study as its driver holds it: in memory, and behind that in a database. Imports Optuna: import it inside functions.

A study has one driver, so nothing is read from the database once it is loaded. What the driver changes ``together`` reaches the
database as one transaction, or not at all; before that nobody acts on it. A transaction can be carried out and its answer be
lost: it is done again then, and leaves the same rows.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import InMemoryStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, delete, insert, select, update

from orchestration.patient_storage import PatientStorage

_USER, _SYSTEM = models.StudyUserAttributeModel, models.StudySystemAttributeModel
_TRIAL_USER, _TRIAL_SYSTEM = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
_STUDY = 0
"""The only one that is held."""


def hold(study: optuna.Study, database: PatientStorage) -> optuna.Study:
    """The study, kept in ``database``, as its one driver holds it."""
    database.write_ahead()
    return optuna.load_study(study_name=study.study_name, storage=DrivenStudy(database, study.study_name))


@dataclass
class _Changes:
    """What the database does not know yet of a trial."""

    new: bool = False
    attempted: bool = False
    """Of a new one: whether the database may have it by now."""
    state: bool = False
    params: set[str] = field(default_factory=set)
    user: set[str] = field(default_factory=set)
    system: set[str] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)


class DrivenStudy(InMemoryStorage):
    """One study of a database.

    Raises:
        StudyRefused: by whatever changes something, where waiting for the database is no use; it is then tried again with what is
            changed next.
    """

    def __init__(self, database: PatientStorage, name: str) -> None:
        super().__init__()
        self._database = database
        self._row = database.get_study_id_from_name(name)
        self._rows: dict[int, int] = {}
        """Of each trial the primary key, once it has one."""
        self._changes: dict[int, _Changes] = {}
        self._user_keys: set[str] = set()
        self._system_keys: set[str] = set()
        """Of the study, what the database does not know yet."""
        self._depth = 0
        self._load(name)

    def close(self) -> None:
        """Closes the connections to the database, which are made again where they are needed."""
        self._database.close()

    def _load(self, name: str) -> None:
        super().create_new_study(self._database.get_study_directions(self._row), name)
        for key, value in self._database.get_study_user_attrs(self._row).items():
            super().set_study_user_attr(_STUDY, key, value)
        for key, value in self._database.get_study_system_attrs(self._row).items():
            super().set_study_system_attr(_STUDY, key, value)
        for frozen in self._database._get_trials(self._row, None, set(), -1):
            self._rows[super().create_new_trial(_STUDY, frozen)] = frozen._trial_id
        known = self._studies[_STUDY]
        for frozen in known.trials:
            known.param_distribution.update(frozen.distributions)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is changed within reaches the database when the outermost of these ends; with the next change if it raises."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self._settle()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_user_attr(study_id, key, _plain(value))
        self._user_keys.add(key)
        self._settle()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_system_attr(study_id, key, _plain(value))
        self._system_keys.add(key)
        self._settle()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._changes[trial_id] = _Changes(new=True)
        self._settle()
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._changed(trial_id).params.add(param_name)
        self._settle()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        done = super().set_trial_state_values(trial_id, state, values)
        self._changed(trial_id).state = True
        self._settle()
        return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changed(trial_id).steps.add(step)
        self._settle()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, _plain(value))
        self._changed(trial_id).user.add(key)
        self._settle()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, _plain(value))
        self._changed(trial_id).system.add(key)
        self._settle()

    def _changed(self, trial_id: int) -> _Changes:
        return self._changes.setdefault(trial_id, _Changes())

    def _settle(self) -> None:
        if self._depth or not (self._changes or self._user_keys or self._system_keys):
            return
        # An end is what nobody would say again; an epoch that a power cut takes is trained or told again.
        ends = any(self._get_trial(trial_id).state.is_finished() for trial_id in self._changes)
        self._rows |= self._database.transact(self._write, durable=ends)
        self._changes.clear()
        self._user_keys.clear()
        self._system_keys.clear()

    def _write(self, connection: Connection) -> dict[int, int]:
        """All changes, whatever of them is there already; the new trials' primary keys."""
        studies = models.StudyModel.__table__
        if connection.dialect.name == "postgresql":  # a lock that somebody holds is said, like any trouble that passes
            connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        # Whoever comes again waits here for what is still under way from before.
        connection.execute(select(studies.c.study_id).where(studies.c.study_id == self._row).with_for_update())
        owner, study = {"study_id": self._row}, self._studies[_STUDY]
        _put(connection, _USER.__table__, owner, "key", _attributes(study.user_attrs, self._user_keys))
        _put(connection, _SYSTEM.__table__, owner, "key", _attributes(study.system_attrs, self._system_keys))
        made: dict[int, int] = {}
        for trial_id, changes in self._changes.items():
            trial, row = self._get_trial(trial_id), self._rows.get(trial_id)
            if changes.new:
                row = made[trial_id] = self._write_new(connection, trial, changes)
                changes = _Changes(  # whole, in case an earlier attempt has left only a part of it
                    params=set(trial.params),
                    user=set(trial.user_attrs),
                    system=set(trial.system_attrs),
                    steps=set(trial.intermediate_values),
                    state=trial.values is not None,
                )
            assert row is not None, "what is not new has a row"
            self._write_trial(connection, row, trial, changes)
        return made

    def _write_new(self, connection: Connection, trial: FrozenTrial, changes: _Changes) -> int:
        trials = models.TrialModel.__table__
        if changes.attempted:
            found = select(trials.c.trial_id).where(trials.c.study_id == self._row, trials.c.number == trial.number)
            row = connection.execute(found).scalar_one_or_none()
            if row is not None:
                connection.execute(update(trials).where(trials.c.trial_id == row).values(_state(trial)))
                return int(row)
        changes.attempted = True
        values = {"study_id": self._row, "number": trial.number, **_state(trial)}
        key = connection.execute(insert(trials).values(values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def _write_trial(self, connection: Connection, row: int, trial: FrozenTrial, changes: _Changes) -> None:
        owner = {"trial_id": row}
        if changes.state:
            trials = models.TrialModel.__table__
            connection.execute(update(trials).where(trials.c.trial_id == row).values(_state(trial)))
            _put(connection, models.TrialValueModel.__table__, owner, "objective", _values(trial.values or []))
        params = [_param(trial, name) for name in trial.params if name in changes.params]  # in the order of the draw
        _put(connection, models.TrialParamModel.__table__, owner, "param_name", params)
        steps = [_step(step, trial.intermediate_values[step]) for step in sorted(changes.steps)]
        _put(connection, models.TrialIntermediateValueModel.__table__, owner, "step", steps)
        _put(connection, _TRIAL_USER.__table__, owner, "key", _attributes(trial.user_attrs, changes.user))
        _put(connection, _TRIAL_SYSTEM.__table__, owner, "key", _attributes(trial.system_attrs, changes.system))


def _put(connection: Connection, table: Table, owner: Mapping[str, int], key: str, rows: Collection[Mapping[str, Any]]) -> None:
    """The rows of one owner in place of those with the same keys."""
    if not rows:
        return
    (column, value), *_ = owner.items()
    keys = [row[key] for row in rows]
    connection.execute(delete(table).where(table.c[column] == value, table.c[key].in_(keys)))
    connection.execute(insert(table), [{**owner, **row} for row in rows])


def _attributes(attributes: Mapping[str, Any], keys: Container[str]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items() if key in keys]


def _param(trial: FrozenTrial, name: str) -> dict[str, Any]:
    distribution = trial.distributions[name]
    value = distribution.to_internal_repr(trial.params[name])
    return {"param_name": name, "param_value": value, "distribution_json": distribution_to_json(distribution)}


def _step(step: int, value: float) -> dict[str, Any]:
    kept, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"step": step, "intermediate_value": kept, "intermediate_value_type": kind}


def _values(values: Sequence[float]) -> list[dict[str, Any]]:
    kept = map(models.TrialValueModel.value_to_stored_repr, values)
    return [{"objective": at, "value": value, "value_type": kind} for at, (value, kind) in enumerate(kept)]


def _state(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state,
        "datetime_start": _utc(trial.datetime_start),
        "datetime_complete": _utc(trial.datetime_complete),
    }


def _utc(local: datetime.datetime | None) -> datetime.datetime | None:
    """As Optuna's tables have it, from what Optuna's trials have."""
    return None if local is None else local.astimezone(datetime.UTC).replace(tzinfo=None)


def _plain(value: Any) -> Any:
    """As it will be read from the database."""
    return json.loads(json.dumps(value))
