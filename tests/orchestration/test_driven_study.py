"""A study that its driver holds in memory: the database has the same, in few transactions, however often each is carried out."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from orchestration.driven_study import DrivenStudy
from orchestration.patient_storage import PatientStorage
from orchestration.spec import load_sweep, spec_text
from orchestration.sqlite_journal import may_write_ahead, used_by_several_machines
from orchestration.stored import open_storage
from orchestration.study import Search

CHANGES = ["method=tpe", "search={seed: 3, startup_trials: 2, enqueue: [{objective.beta: 0.5}]}", "run_cap=6"]
CONSTRAINT = "constraints=['objective.beta <= 0.8']"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def driven(search: Search) -> DrivenStudy:
    storage = search._study._storage
    assert isinstance(storage, DrivenStudy)
    return storage


def train(search: Search, epochs: int = 3) -> None:
    while (job := search.ask()) is not None:
        number, _ = job
        search.began(number, "data")
        for epoch in range(1, epochs + 1):
            search.report(number, epoch, math.inf if epoch == 1 else float(number), annealed=epoch > 1)
        outcome: Any = ("COMPLETE", "PRUNED", "FAILED")[number % 3]
        search.tell(number, outcome, "why", float(number), 1.5, {"best/val/neg_elbo": float(number)})


def stored(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="tiny", storage=open_storage(url)).trials


def facts(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
    own = [(trial.number, trial.state, trial.values, trial.params, trial.distributions) for trial in trials]
    kept = [(trial.user_attrs, trial.system_attrs, trial.intermediate_values) for trial in trials]
    times = [(trial.datetime_start, trial.datetime_complete) for trial in trials]
    return [(*one, *two, *three) for one, two, three in zip(own, kept, times, strict=True)]


@pytest.mark.parametrize("twice", [False, True])
def test_the_database_has_what_the_driver_holds(tiny: Path, url: str, twice: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each transaction is carried out, its answer lost, and then carried out again."""
    lost: list[int] = []
    if twice:
        own = PatientStorage.transact

        def transact(self: PatientStorage, write: Any, durable: bool) -> Any:
            lost.append(1)
            own(self, write, durable)
            return own(self, write, durable)

        monkeypatch.setattr(PatientStorage, "transact", transact)
    spec = load_sweep(tiny, [*CHANGES, CONSTRAINT])
    search = Search.create(spec, url, spec_text(spec))
    train(search)
    held = driven(search).get_all_trials(0)
    assert len([trial for trial in held if "number" in trial.user_attrs]) == 6
    assert len(lost) == (36 if twice else 0), "six a trial"
    assert facts(stored(url)) == facts(held)
    assert facts(driven(Search.resume(spec, url)).get_all_trials(0)) == facts(held)


def test_a_home_of_several_machines_has_no_write_ahead_log(tiny: Path, url: str, tmp_path: Path) -> None:
    def mode() -> object:
        with contextlib.closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
            return database.execute("PRAGMA journal_mode").fetchone()[0]

    assert may_write_ahead(tmp_path / "optuna.db"), "the temporary directory is this machine's own"
    spec = load_sweep(tiny, CHANGES)
    search = Search.create(spec, url, spec_text(spec))
    assert mode() == "wal"
    driven(search)._database.engine.dispose()
    used_by_several_machines(tmp_path)
    train(Search.resume(spec, url))
    assert mode() == "delete", "also what was made before"
    assert len(stored(url)) == 6


def test_an_error_while_a_trial_is_made_shifts_no_other(tiny: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_sweep(tiny, CHANGES)
    search = Search.create(spec, url, spec_text(spec))
    with monkeypatch.context() as patch:
        patch.setattr(optuna.storages.InMemoryStorage, "create_new_trial", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            search.ask()
    search = Search.resume(spec, url)
    train(search)
    assert facts(stored(url)) == facts(driven(search).get_all_trials(0))


def test_a_trial_takes_six_transactions(tiny: Path, url: str) -> None:
    spec = load_sweep(tiny, CHANGES)
    search = Search.create(spec, url, spec_text(spec))
    commits: list[Any] = []
    sqlalchemy.event.listen(driven(search)._database.engine, "commit", commits.append)
    train(search)
    assert len(commits) == 6 * (1 + 1 + 3 + 1)


def test_what_belongs_together_is_written_whole_or_not_at_all(tiny: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_sweep(tiny, CHANGES)
    search = Search.create(spec, url, spec_text(spec))

    def struck(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DrivenStudy, "_write_trial", struck)  # behind the new trial's own row
        with pytest.raises(KeyboardInterrupt):
            search.ask()
    assert stored(url) == []
    assert Search.resume(spec, url).ask() == Search.create(spec.model_copy(update={"name": "other"}), url, "").ask()
