"""The benchmarks can be started, and what early stopping is measured with replays a sweep as it would have gone."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from benchmarks.stopping_regret import Recorded, recorded, replay
from orchestration import run_sweep
from orchestration.stopping import Asha, Never
from tests.conftest import ROOT

MODULES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_each_says_what_it_does(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert module.__doc__.partition("\n")[0].split()[0] in capsys.readouterr().out
    assert f"python -m benchmarks.{name}" in module.__doc__


def trials(scores: list[float]) -> list[Recorded]:
    return [Recorded(number, 1.0, score, {}) for number, score in enumerate(scores)]


def test_without_stopping_every_epoch_is_trained() -> None:
    found = replay(trials([3.0, 1.0, 2.0]), {0: {}, 1: {}, 2: {}}, Never(), workers=2, epochs=4)
    assert (found.winner.number, found.epochs, found.seconds) == (1, 12, 8.0)


def test_a_stopped_trial_frees_its_worker() -> None:
    watched = {number: dict.fromkeys(range(1, 9), value) for number, value in enumerate((1.0, 3.0, 2.0))}
    found = replay(trials([1.0, 3.0, 2.0]), watched, Asha(2, 2), workers=1, epochs=8)
    assert (found.winner.number, found.epochs, found.seconds) == (0, 8 + 2 + 4, 14.0)


def test_a_misleading_loss_loses_the_best() -> None:
    """The best is the third to come to the rung, by a loss that says it is the worst."""
    watched = {number: dict.fromkeys(range(1, 9), value) for number, value in enumerate((1.0, 2.0, 9.0))}
    assert replay(trials([2.0, 3.0, 1.0]), watched, Asha(2, 2), workers=1, epochs=8).winner.number == 0


CHANGES = [
    "trial.objective={annealing: {kind: linear, warmup: 0.5}}",
    "parameters={optimizer.lr: {values: [0.001, 0.002]}}",
    "run_cap=2",
]


def test_a_recorded_sweep_is_read(tiny: Path, home: Path) -> None:
    """Past annealing begins where the sweep itself would begin to judge."""
    run_sweep(tiny, home=home, debug=True, overrides=CHANGES)
    first, second = recorded("tiny", home)
    exact, past = first.watched["the exact metric, at any epoch"], first.watched["the exact metric, past annealing"]
    assert (sorted(exact), sorted(past)) == ([1, 2, 3], [2, 3])
    assert past[3] == exact[3]
    assert first.score == min(past.values())
    assert set(second.watched["the training loss"]) == {1, 2, 3}
