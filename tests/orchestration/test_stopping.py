"""The family's contract, over its table; and each rule against sets whose right decisions can be written down."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from orchestration.spec import early_terminate as options
from orchestration.stopping import Asha, CollapseRule, Hyperband, Median, Never, Patient, StoppingRule, stopping_rule

RULES: list[options.AnyStopping] = [
    options.NoStopping(type="none"),
    options.Asha(type="asha", min_epochs=2, eta=2),
    options.Hyperband(type="hyperband", min_epochs=2, eta=2, brackets=3),
    options.Median(type="median", warmup_epochs=2, min_trials=3),
    options.Patient(type="patient", patience=3, min_delta=100.0),
    options.Wilcoxon(type="wilcoxon"),
    options.Pbt(type="pbt", interval=2),
]
JUDGE_NO_EPOCH = ("none", "wilcoxon", "pbt")
"""They stop no trial at an epoch; what the last two do instead has tests of its own."""
EPOCHS, TRIALS = 16, 24
family = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.type)
Verdicts = dict[tuple[int, int], str | None]


def curves(seed: int) -> list[list[float]]:
    """Noisy learning curves; the later, the worse, so that the first is the best at every epoch."""
    draw = random.Random(seed)
    return [[10.0 * trial + 100.0 / epoch + draw.uniform(0.0, 5.0) for epoch in range(1, EPOCHS + 1)] for trial in range(TRIALS)]


def tell(rule: StoppingRule, told: list[list[float]], order: list[int], again: bool = False) -> Verdicts:
    """Tells every trial's epochs, those of a trial in their order, trials in turns as ``order`` says; until they are stopped."""
    verdicts: Verdicts = {}
    at, stopped = dict.fromkeys(range(len(told)), 0), set()
    for trial in order:
        if trial in stopped or at[trial] == len(told[trial]):
            continue
        at[trial] += 1
        value = told[trial][at[trial] - 1]
        verdicts[trial, at[trial]] = rule.verdict(trial, at[trial], value)
        for past in range(1, at[trial] + 1) if again else ():
            rule.verdict(trial, past, told[trial][past - 1])
        if verdicts[trial, at[trial]]:
            stopped.add(trial)
    return verdicts


def shuffled(seed: int) -> list[int]:
    order = [trial for trial in range(TRIALS) for _ in range(EPOCHS)]
    random.Random(seed).shuffle(order)
    return order


def test_the_contract_covers_the_family() -> None:
    assert {type(rule) for rule in RULES} == set(get_args(get_args(options.AnyStopping)[0]))


@family
@pytest.mark.parametrize("seed", range(5))
def test_hearing_epochs_again_changes_nothing(rule: options.AnyStopping, seed: int) -> None:
    once = tell(stopping_rule(rule), curves(seed), shuffled(seed))
    assert tell(stopping_rule(rule), curves(seed), shuffled(seed), again=True) == once
    assert any(once.values()) == (rule.type not in JUDGE_NO_EPOCH), "the rule is at work here"


@family
@pytest.mark.parametrize("seed", range(5))
def test_what_the_others_told_is_the_same_in_whatever_order_they_told_it(rule: options.AnyStopping, seed: int) -> None:
    told, verdicts = curves(seed), []
    for shuffle in range(3):
        fresh = stopping_rule(rule)
        for trial in (trial for trial in shuffled(shuffle) if trial != TRIALS // 2):
            for epoch in range(1, EPOCHS + 1):
                fresh.verdict(trial, epoch, told[trial][epoch - 1])
        verdicts.append([fresh.verdict(TRIALS // 2, epoch, told[TRIALS // 2][epoch - 1]) for epoch in range(1, EPOCHS + 1)])
    assert verdicts[0] == verdicts[1] == verdicts[2]


@family
@pytest.mark.parametrize("seed", range(5))
def test_the_best_trial_is_never_stopped(rule: options.AnyStopping, seed: int) -> None:
    verdicts = tell(stopping_rule(rule), curves(seed), shuffled(seed))
    assert [verdicts[0, epoch] for epoch in range(1, EPOCHS + 1)] == [None] * EPOCHS


@family
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_stopped_before_the_first_epoch(rule: options.AnyStopping, seed: int) -> None:
    verdicts = tell(stopping_rule(rule), curves(seed), shuffled(seed))
    first = min((epoch for (_, epoch), verdict in verdicts.items() if verdict), default=None)
    if rule.type in JUDGE_NO_EPOCH:
        assert first is None
    else:
        assert isinstance(rule, options.Stopping)
        assert first == rule.first_epoch


def test_brackets_are_a_pure_function_of_the_number() -> None:
    rule = Hyperband(min_epochs=1, eta=3, brackets=3)
    cycle = [rule.bracket_of(trial) for trial in range(17)]
    assert [cycle.count(bracket) for bracket in range(3)] == [9, 5, 3], "ceil(3/3 * 9), ceil(3/2 * 3), ceil(3/1 * 1)"
    assert [rule.bracket_of(trial) for trial in range(17, 34)] == cycle
    assert set(cycle[:4]) == {0, 1, 2}, "spread, not one bracket after the other"
    assert [bracket.min_epochs for bracket in rule.brackets] == [1, 3, 9]


def test_a_bracket_judges_its_own_trials_alone() -> None:
    rule = Hyperband(min_epochs=1, eta=2, brackets=2)
    first, second = ([trial for trial in range(9) if rule.bracket_of(trial) == bracket] for bracket in range(2))
    assert rule.verdict(first[0], 1, 1.0) is None
    assert rule.verdict(second[0], 1, 9.0) is None, "its first rung is epoch 2"
    assert rule.verdict(second[0], 2, 9.0) is None, "alone at the rung of its bracket"
    assert rule.verdict(first[1], 1, 9.0) == "not among the best 1 of 2 at epoch 1 in bracket 0"
    assert rule.verdict(second[1], 2, 9.5) == "not among the best 1 of 2 at epoch 2 in bracket 1"


def test_the_median_of_running_averages() -> None:
    rule = Median(warmup_epochs=1, min_trials=3)
    for trial, values in enumerate([(4.0, 2.0), (6.0, 4.0), (9.0, 7.0)]):  # running averages at epoch 2: 3, 5, 8
        assert [rule.verdict(trial, epoch, value) for epoch, value in enumerate(values, 1)] == [None, None]
    assert rule.verdict(3, 1, 99.0) is None, "warm-up"
    assert rule.verdict(3, 2, 5.0) is None, "its best is the median"
    assert rule.verdict(4, 1, 99.0) is None
    # averages at epoch 2: 3, 5, 8, and 52 of trial 3; their median is 6.5
    assert rule.verdict(4, 2, 6.6) == "its best is worse than the median of 4 running averages at epoch 2"
    assert rule.verdict(5, 1, 6.0) is None
    assert rule.verdict(5, 2, 99.0) is None, "judged by its best so far"


def test_the_median_waits_for_enough_others() -> None:
    rule = Median(warmup_epochs=0, min_trials=2)
    assert rule.verdict(0, 1, 1.0) is None
    assert rule.verdict(0, 2, 1.0) is None
    assert rule.verdict(1, 1, 9.0) is None, "one other"
    assert rule.verdict(2, 2, 9.0) is None, "one other has come as far as epoch 2"


def test_patience_counts_from_the_best_and_spares_the_leader() -> None:
    rule = Patient(patience=2, min_delta=0.5)
    assert [rule.verdict(0, epoch, value) for epoch, value in enumerate([5.0, 5.0, 5.0, 5.0], 1)] == [None] * 4, "it leads"
    assert rule.verdict(1, 1, 9.0) is None
    assert rule.verdict(1, 2, 8.0) is None
    assert rule.verdict(1, 3, 7.6) is None, "better by less than min_delta: one epoch"
    assert rule.verdict(1, 4, 7.5) == "not better by more than 0.5 since epoch 2, for 2 epochs"
    assert rule.verdict(2, 1, 4.0) is None
    assert rule.verdict(0, 5, 5.0) == "not better by more than 0.5 since epoch 1, for 4 epochs", "led by trial 2 now"


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
