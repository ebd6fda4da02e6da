"""Schedules: closed forms, and what holds for every member of the family, at any number of planned steps."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vae_core.schedules import AnySchedule, Constant, Cosine, Cyclical, Linear, Schedule, Sigmoid

MEMBERS: tuple[type[Schedule], ...] = get_args(get_args(AnySchedule)[0])

shares = st.floats(0.0, 1.0)
ratios = st.floats(1e-9, 1.0)
OPTIONS = {
    Constant: st.builds(Constant),
    Linear: st.builds(Linear, warmup=shares),
    Sigmoid: st.builds(Sigmoid, warmup=shares, steepness=st.floats(0.01, 100.0)),
    Cosine: st.builds(Cosine, warmup=shares),
    Cyclical: st.builds(Cyclical, cycles=st.integers(1, 30), ratio=ratios),
}
schedules = st.one_of(*(OPTIONS.get(member, st.builds(member)) for member in MEMBERS))
totals = st.integers(0, 400)


def test_every_member_is_drawn_from() -> None:
    assert set(OPTIONS) == {member for member in MEMBERS if member.__module__ == Schedule.__module__}


@given(schedules, totals)
def test_end_is_the_first_step_from_which_the_weight_stays_one(schedule: Schedule, total: int) -> None:
    weights = [schedule(step, total) for step in range(total + 50)]
    end = schedule.end(total)
    assert 0 <= end <= total
    assert all(weight == 1.0 for weight in weights[end:])
    assert end == 0 or weights[end - 1] < 1.0


@given(schedules, totals)
def test_weights_lie_between_zero_and_one(schedule: Schedule, total: int) -> None:
    assert all(0.0 <= schedule(step, total) <= 1.0 for step in range(total + 2))


@given(st.one_of(OPTIONS[Linear], OPTIONS[Sigmoid], OPTIONS[Cosine]), totals)
def test_a_warm_up_starts_at_zero_and_never_falls(schedule: Linear | Sigmoid | Cosine, total: int) -> None:
    weights = [schedule(step, total) for step in range(total + 2)]
    assert weights == sorted(weights)
    assert weights[0] == (0.0 if schedule.end(total) > 0 else 1.0)


@given(schedules, totals, st.integers(0, 500))
def test_a_weight_is_a_pure_function_of_the_step(schedule: Schedule, total: int, step: int) -> None:
    expected = schedule(step, total)
    for other in range(0, total, 7):  # asking for other steps advances nothing
        schedule(other, total)
    assert schedule(step, total) == expected == type(schedule).from_dict(schedule.to_dict())(step, total)


@given(st.integers(1, 12), ratios, st.integers(1, 400))
def test_each_cycle_starts_at_zero_and_is_one_after_its_fraction(cycles: int, ratio: float, total: int) -> None:
    """Fu et al. 2019 with t - 1 = step, also where the number of cycles does not divide the number of steps."""
    schedule, period = Cyclical(cycles=cycles, ratio=ratio), -(-total // cycles)
    for step in range(total):
        tau = (step % period) / (total / cycles)
        assert schedule(step, total) == pytest.approx(min(1.0, tau / ratio), abs=1e-9)
        if step % period == 0:
            assert schedule(step, total) == 0.0
        if tau >= ratio * (1 + 1e-9):
            assert schedule(step, total) == 1.0


def test_four_cycles_of_ten_steps() -> None:
    schedule = Cyclical(cycles=4, ratio=0.5)
    cycle = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert [schedule(step, 40) for step in range(40)] == pytest.approx(cycle * 4)
    assert schedule.end(40) == 35


def test_a_last_cycle_that_is_cut() -> None:
    schedule = Cyclical(cycles=4, ratio=0.5)  # 10 steps: cycles of 3, 3, 3 and 1, which rise over 1.25 steps
    assert [schedule(step, 10) for step in range(12)] == pytest.approx([0, 0.8, 1, 0, 0.8, 1, 0, 0.8, 1, 0, 1, 1])
    assert schedule.end(10) == 10


def test_linear_by_hand() -> None:
    assert [Linear(warmup=0.5)(step, 8) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert Linear(warmup=0.0)(0, 8) == 1.0


def test_seven_hundredths_of_a_hundred_steps_are_seven() -> None:
    assert 0.07 * 100 > 7  # in floating point
    for schedule in (Linear(warmup=0.07), Sigmoid(warmup=0.07), Cosine(warmup=0.07)):
        assert (schedule.end(100), schedule(7, 100)) == (7, 1.0)


def test_sigmoid_by_hand() -> None:
    schedule = Sigmoid(warmup=1.0, steepness=4.0)
    # s(2) = 0.880797, s(-2) = 0.119203, s(-1) = 0.268941: (0.268941 - 0.119203) / (0.880797 - 0.119203)
    assert [schedule(step, 4) for step in range(5)] == pytest.approx([0.0, 0.196612, 0.5, 0.803388, 1.0], abs=1e-6)


def test_cosine_by_hand() -> None:
    """(1 - cos 60) / 2 = 1/4, a half at the middle, (1 - cos 120) / 2 = 3/4."""
    schedule = Cosine(warmup=0.5)
    assert [schedule(step, 12) for step in (0, 2, 3, 4, 6, 9)] == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0, 1.0], rel=1e-15)
    assert schedule.end(12) == 6


def test_a_steep_sigmoid_is_a_step_and_a_flat_one_a_line() -> None:
    steep, flat = Sigmoid(warmup=1.0, steepness=100.0), Sigmoid(warmup=1.0, steepness=0.01)
    assert steep(40, 100) < 1e-3 < 1 - 1e-3 < steep(60, 100) < 1.0
    assert [flat(step, 8) for step in range(9)] == pytest.approx([step / 8 for step in range(9)], abs=1e-5)


def test_constant() -> None:
    assert [Constant()(step, 5) for step in range(7)] == [1.0] * 7
    assert Constant().end(5) == 0


@pytest.mark.parametrize(
    ("member", "option"),
    [
        (Linear, {"warmup": 1.5}),
        (Linear, {"warmup": -0.1}),
        (Sigmoid, {"steepness": 0.0}),
        (Cosine, {"warmup": 1.5}),
        (Cyclical, {"cycles": 0}),
        (Cyclical, {"ratio": 0.0}),
    ],
)
def test_options_out_of_range_are_refused(member: type[Schedule], option: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(option))):
        member(**option)
