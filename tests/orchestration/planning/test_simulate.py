"""A sweep played through: lengths that can be computed by hand, and the real rules."""

from __future__ import annotations

import math

import pytest

from orchestration.planning.simulate import Course, play, replay
from orchestration.stopping import Asha, Hyperband, Median, Never


def test_nothing_stopped_takes_what_the_trials_take() -> None:
    courses = [Course(epochs=3, candidate=1, start_s=1.0, epoch_s=2.0, final_s=0.5)] * 5
    played = play(courses, Never(), at_once=2, seed=0)
    assert played.wall_s == 3 * 7.5, "two workers: three rounds"
    assert played.trial_s == pytest.approx(5 * 7.5)
    assert (played.started, played.finished, played.epochs) == (5, 5, 15)
    assert not played.stopped_at


def test_trials_of_unlike_length_fill_the_workers() -> None:
    courses = [Course(epochs=length, candidate=1) for length in (4, 1, 1, 1, 1)]
    assert play(courses, Never(), at_once=2, seed=0).wall_s == 4.0


def test_asha_lets_pass_what_theory_says() -> None:
    """One after the other, in random order: the j-th at a rung goes on with probability ceil(j/eta)/j, the first eta - 1 do."""
    courses, eta = [Course(epochs=6, candidate=1)] * 12, 3
    played = replay(courses, lambda: Asha(2, eta), at_once=1, times=2000)
    expected = sum(1.0 if j < eta else math.ceil(j / eta) / j for j in range(1, 13))
    going_on = sum(one.reached[2] - one.stopped_at[2] for one in played) / len(played)
    assert going_on == pytest.approx(expected, abs=0.1)
    assert all(one.reached[2] == one.judged_at[2] == 12 for one in played)
    assert all(set(one.stopped_at) <= {2} for one in played), "the rung at 6 is the end"
    assert all(one.epochs == 2 * one.stopped_at[2] + 6 * one.finished for one in played)


@pytest.mark.parametrize("rule", [lambda: Asha(1, 2), lambda: Hyperband(1, 2, 2), lambda: Median(1, 2)])
def test_no_rule_stops_what_still_anneals(rule) -> None:  # type: ignore[no-untyped-def]  # a maker of rules
    annealing = [Course(epochs=8, candidate=8)] * 10
    assert all(one.finished == 10 for one in replay(annealing, rule, at_once=2, times=20))
    free = [Course(epochs=8, candidate=1)] * 10
    assert sum(one.finished for one in replay(free, rule, at_once=2, times=20)) < 200


def test_the_budget_ends_what_is_started() -> None:
    played = play([Course(epochs=5, candidate=1)] * 10, Never(), at_once=2, seed=0, limit_s=12.0)
    assert (played.started, played.finished, played.wall_s) == (6, 6, 15.0)


def test_a_seed_is_a_sweep() -> None:
    courses = [Course(epochs=6, candidate=1)] * 20
    same = [play(courses, Asha(1, 2), 3, seed=4) for _ in range(2)]
    assert same[0] == same[1] != play(courses, Asha(1, 2), 3, seed=5)
