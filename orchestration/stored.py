"""Stored studies: where they are, and what is read of one without changing it."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from dashboards.home import without_password
from orchestration.errors import LaunchError
from orchestration.past import NUMBER, OUTCOME, Past, past_of
from orchestration.patience import PAUSE_S
from orchestration.spec import SweepSpec
from orchestration.spec.search_space import Assignment, SearchSpace

if TYPE_CHECKING:
    import optuna

SPEC = "spec"
"""Under which a study keeps its sweep file."""
MEMORY = "memory"
"""In place of a URL: a storage that ends with this process."""
_REPLICATES = "/replicates"


def replicates_of(sweep: str) -> str:
    """The name of the second study that a sweep with ``seeds`` has; no sweep is called so."""
    return f"{sweep}{_REPLICATES}"


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Optuna's storage behind an SQLAlchemy URL; where it is locked, or away later on, it is waited for.

    Raises:
        LaunchError: it cannot be reached.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url == MEMORY:
        return optuna.storages.InMemoryStorage()
    from orchestration.patient_storage import open_patiently

    return open_patiently(url)


def driven(study: optuna.Study, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """The study as its one driver holds it; one that ends with this process as it is, and without a database's libraries."""
    import optuna

    if isinstance(storage, optuna.storages.InMemoryStorage):
        return study
    from orchestration.driven_study import hold
    from orchestration.patient_storage import PatientStorage

    assert isinstance(storage, PatientStorage), "of open_storage"
    return hold(study, storage)


def together(study: optuna.Study) -> contextlib.AbstractContextManager[None]:
    """What is changed within reaches the study's database as a whole, or not at all."""
    of_driver = getattr(study._storage, "together", None)
    return contextlib.nullcontext() if of_driver is None else of_driver()


def new_study(spec: SweepSpec, url: str, text: str) -> optuna.Study:
    """A study that keeps ``text``; in place of one that a killed process had only begun to make.

    Raises:
        LaunchError: the name is taken.
    """
    import optuna

    storage = open_storage(url)
    make = functools.partial(
        optuna.create_study, study_name=spec.name, storage=storage, directions=[metric.goal for metric in spec.objectives]
    )
    try:
        study = make()
    except optuna.exceptions.DuplicatedStudyError:
        time.sleep(PAUSE_S)  # of another home on this storage, a process may be in the middle of it
        if not _is_half_made(optuna.load_study(study_name=spec.name, storage=storage)):
            raise LaunchError(f"the name {spec.name!r} is taken in {without_password(url)}: give another with --name") from None
        optuna.delete_study(study_name=spec.name, storage=storage)
        study = make()
    study.set_user_attr(SPEC, text)
    return driven(study, storage)


def let_go(storage: optuna.storages.BaseStorage) -> None:
    """Closes the connections to the database behind it, if there is one."""
    close = getattr(storage, "close", None)
    if close is not None:
        close()


@contextlib.contextmanager
def _reading(url: str) -> Iterator[optuna.storages.BaseStorage]:
    storage = open_storage(url)
    try:
        yield storage
    finally:
        let_go(storage)


def _last_trials(name: str, url: str) -> dict[int, optuna.trial.FrozenTrial]:
    """What the study of a sweep last said of each of its trials, by number."""
    import optuna

    with _reading(url) as storage:
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return {frozen.user_attrs[NUMBER]: frozen for frozen in trials if NUMBER in frozen.user_attrs}


def _is_half_made(study: optuna.Study) -> bool:
    """Whether its maker was killed before it could say what the study is for."""
    return not study.user_attrs and not study.get_trials(deepcopy=False)


def stored_names(url: str) -> list[str]:
    """The sweeps that the storage knows."""
    import optuna

    with _reading(url) as storage:
        summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    names = (summary.study_name for summary in summaries if summary.user_attrs)
    return sorted(name for name in names if not name.endswith(_REPLICATES))


def stored_text(url: str, name: str) -> str | None:
    """The sweep file with which the study was made, or None where there is no such study; empty where it is not one of ours."""
    import optuna

    with _reading(url) as storage:
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            return None
        return None if _is_half_made(study) else str(study.user_attrs.get(SPEC, ""))


def assignments_of(spec: SweepSpec, url: str, numbers: Collection[int]) -> dict[int, Assignment]:
    """What these finished trials of a stored sweep were trained with, by number."""
    import optuna

    space, last = SearchSpace(spec.parameters), _last_trials(spec.name, url)
    return {number: space.suggest(optuna.trial.FixedTrial(last[number // spec.seeds].params)) for number in numbers}


def ended_trials(spec: SweepSpec, url: str) -> int:
    """How many trials of a stored sweep have ended for good: all but those that a ``resume`` would take up again."""
    last = _last_trials(spec.name, url).values()
    return spec.seeds * sum(frozen.user_attrs.get(OUTCOME) not in (None, "STOPPED") for frozen in last)


def complete_trials(spec: SweepSpec, url: str) -> list[Past]:
    """The complete trials of a stored sweep, by number; of one with ``seeds`` its complete configurations, with their means."""
    last = _last_trials(spec.name, url)
    complete = {number: frozen for number, frozen in last.items() if frozen.user_attrs.get(OUTCOME) == "COMPLETE"}
    return [past_of(SearchSpace(spec.parameters), number, frozen) for number, frozen in sorted(complete.items())]
