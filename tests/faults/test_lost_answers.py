"""A database that carries out a transaction and cannot say so any more: what is done again is done once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from orchestration import patience
from orchestration.spec import load_sweep, spec_text
from orchestration.stored import open_storage
from orchestration.study import Search
from tests.faults.postgres import Postgres, Wire

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

CHANGES = [
    "method=tpe",
    "search={seed: 3, startup_trials: 2, enqueue: [{objective.beta: 0.5}]}",
    "run_cap=24",
    "constraints=['objective.beta <= 0.8']",
]


def train(search: Search, stop_after: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Asks and tells until there is no further trial; the last one is left running where it is to stop early."""
    asked: list[tuple[int, dict[str, Any]]] = []
    while len(asked) != stop_after and (job := search.ask()) is not None:
        number, _ = job
        search.began(number, "data")
        search.report(number, 1, float(number), annealed=True)
        asked.append(job)
        if len(asked) != stop_after:
            search.tell(number, "COMPLETE", "", float(number), 1.0)
    return asked


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_done_twice(
    tiny: Path, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.01)
    monkeypatch.setattr("orchestration.stored.PAUSE_S", 0.01)
    monkeypatch.setattr("optuna.storages._rdb.storage.time", SimpleNamespace(sleep=lambda seconds: None))
    spec = load_sweep(tiny, CHANGES)
    expected = train(Search.create(spec, f"sqlite:///{tmp_path / 'undisturbed.db'}", spec_text(spec)))
    wire = Wire(postgres.port, share=0.0, seed=seed)

    def opened(url: str) -> Any:
        """The first connection is waited for by nobody: its loss is told."""
        wire.share = 0.0
        storage = open_storage(url)
        wire.share = 0.3
        return storage

    monkeypatch.setattr("orchestration.stored.open_storage", opened)
    monkeypatch.setattr("orchestration.study.open_storage", opened)
    url = postgres.url.replace(str(postgres.port), str(wire.port))

    before = train(Search.create(spec, url, spec_text(spec)), stop_after=3)
    after = train(Search.resume(spec, url))
    wire.close()
    assert wire.cuts > 20, "the wire was cut often enough to say anything"
    assert before == expected[:3]
    assert after == expected[2:], "the third was running when the first driver ended"
    trials = optuna.load_study(study_name="tiny", storage=open_storage(postgres.url)).get_trials()
    assert not [trial for trial in trials if not trial.state.is_finished()]
    told = Counter(trial.user_attrs["number"] for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE)
    assert told == dict.fromkeys(range(24), 1)
    attempts = Counter(trial.user_attrs.get("number", "none") for trial in trials)
    assert {number: attempts[number] for number in range(24)} == {**dict.fromkeys(range(24), 1), 2: 2}, attempts
    assert attempts["none"] == sum("rejected" in trial.user_attrs for trial in trials), "none was made for nothing"
