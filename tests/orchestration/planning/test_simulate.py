"""A sweep played through: lengths that can be computed by hand, and the real rules."""

from __future__ import annotations

import math

import pytest

from orchestration.planning.plan import limit_of, make_plan
from orchestration.planning.simulate import Course, Limit, play, replay
from orchestration.spec import parse_sweep
from orchestration.stopping import Asha, Hyperband, Median, Never
from tests.conftest import TINY


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
    """Two at once of 5 s each: two more are started at 0, 5 and 10 s; when the first two have ended, 10 s are used up."""
    courses = [Course(epochs=5, candidate=1)] * 10
    played = play(courses, Never(), at_once=2, seed=0, limit=Limit(wall_s=12.0))
    assert (played.started, played.finished, played.wall_s, played.ended_by) == (6, 6, 15.0, "wall_time")
    played = play(courses, Never(), at_once=2, seed=0, limit=Limit(trial_s=10.0))
    assert (played.started, played.finished, played.wall_s, played.ended_by) == (2, 2, 5.0, "device_hours")
    played = play(courses, Never(), at_once=2, seed=0, limit=Limit(wall_s=25.0, trial_s=60.0))
    assert (played.started, played.ended_by) == (10, "")


def test_the_budget_in_a_file_is_in_hours_of_its_devices() -> None:
    """A trial on a quarter of a GPU uses an hour of it in four; on two cores an hour in half of one."""
    head = TINY[: TINY.index("resources:")]
    text = head + "budget: {wall_time: 2h, device_hours: 1.0}\nresources: {RESOURCES}\n"
    quarter = limit_of(parse_sweep(text.replace("RESOURCES", "gpu: 0.25")))
    assert quarter == Limit(wall_s=7200.0, trial_s=4 * 3600.0)
    assert limit_of(parse_sweep(text.replace("RESOURCES", "cpu: 2"))) == Limit(wall_s=7200.0, trial_s=1800.0)
    assert limit_of(parse_sweep(TINY)) == Limit()


def test_without_a_profile_no_budget_in_seconds_is_applied() -> None:
    spec = parse_sweep(TINY + "early_terminate: {type: asha, min_epochs: 1, eta: 2}\nbudget: {wall_time: 1s, target: 1.0}\n")
    plan = make_plan(spec, profile="none")
    assert plan.rungs[0].reach == pytest.approx(spec.run_cap)
    assert any("budget.target: whether and when it is reached is not knowable before" in note for note in plan.notes)


def test_a_seed_is_a_sweep() -> None:
    courses = [Course(epochs=6, candidate=1)] * 20
    same = [play(courses, Asha(1, 2), 3, seed=4) for _ in range(2)]
    assert same[0] == same[1] != play(courses, Asha(1, 2), 3, seed=5)
