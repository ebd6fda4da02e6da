"""ASHA against sets whose right decisions can be written down; collapse has one definition."""

from __future__ import annotations

import pytest

from orchestration.stopping import Asha, CollapseRule, Never


def test_never_keeps_everything() -> None:
    assert not any(Never().verdict(trial, epoch, 1e9) for trial in range(5) for epoch in range(5))


def test_rungs_are_powers_of_eta() -> None:
    rule = Asha(min_epochs=2, eta=3)
    for trial in range(9):
        for epoch in range(1, 20):
            rule.verdict(trial, epoch, float(trial))
    assert sorted(rule.rungs) == [2, 6, 18]


def test_the_best_third_goes_on() -> None:
    rule = Asha(min_epochs=1, eta=3)
    cut = [rule.verdict(trial, 1, value) for trial, value in enumerate([5.0, 6.0, 7.0, 4.0, 4.5, 3.0])]
    # The first two cannot be judged; 7 is the worst of three; 4 is best of four (two are kept); 4.5 second; 3 best of six.
    assert cut == [None, None, "not among the best 1 of 3 at epoch 1", None, None, None]


def test_hearing_a_value_twice_changes_nothing() -> None:
    once, twice = Asha(1, 2), Asha(1, 2)
    for trial, value in enumerate([3.0, 2.0, 5.0, 1.0]):
        first = once.verdict(trial, 1, value)
        assert twice.verdict(trial, 1, value) == first
        assert twice.verdict(trial, 1, value) == first
    assert once.rungs == twice.rungs


def test_a_trial_that_missed_a_rung_counts_for_nobody_there() -> None:
    rule = Asha(min_epochs=1, eta=2)
    rule.verdict(0, 1, 2.0)
    assert rule.verdict(1, 2, 0.1) is None  # annealed only by epoch 2: the first at that rung
    assert set(rule.rungs[1]) == {0}


@pytest.mark.parametrize(
    ("units", "rate", "collapsed"), [(0.0, 5.0, True), (2.0, 0.05, True), (1.0, 5.0, True), (2.0, 0.1, False), (9.0, 8.0, False)]
)
def test_collapse(units: float, rate: float, collapsed: bool) -> None:
    verdict = CollapseRule(min_active_units=2, min_rate=0.1).verdict({"val/active_units": units, "val/rate": rate})
    assert (verdict is not None) == collapsed


def test_collapse_says_why() -> None:
    rule = CollapseRule(min_active_units=2, min_rate=0.1)
    assert rule.verdict({"val/active_units": 1.0, "val/rate": 9.0}) == "1 active units, fewer than 2"
    assert rule.verdict({"best/val/active_units": 3.0, "best/val/rate": 0.01}, "best/val/") == "rate 0.01 nats, below 0.1"
