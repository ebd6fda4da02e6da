"""Decisions at a barrier: pure functions of what the members have shown, the seed and the space."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.schedules import Stint
from orchestration.lineage import owners
from orchestration.population import Barrier, Explorer, Population, neighbour, pairs, perturbed
from orchestration.spec import SweepSpec, make_trial_config, parse_sweep
from orchestration.spec.early_terminate import Pbt
from orchestration.spec.parameters import Range, Values
from tests.conftest import TINY

POPULATION = (
    TINY.replace(
        "  objective.annealing:\n    choices:\n      constant: {}\n      linear: {warmup: {min: 0.1, max: 0.5}}\n", ""
    ).replace("epochs: 3", "epochs: 7")
    + "early_terminate: {type: pbt, interval: 2}\n"
)


def spec_of(text: str = POPULATION, **changes: str) -> SweepSpec:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return parse_sweep(text)


def population(members: int = 8, **rule: object) -> Population:
    spec = spec_of()
    found = Population(spec, Pbt(type="pbt", interval=2, **rule), [])
    for number in range(members):
        found.join(number, {"optimizer.lr": 1e-3 * (number + 1), "objective.beta": 0.5})
        found.arrive(number, float(number))
    return found


VALUES = st.dictionaries(st.integers(0, 50), st.sampled_from([0.0, 1.0, 2.5, -3.0, math.inf]), min_size=1, max_size=20)


@given(VALUES, st.floats(0.01, 0.5), st.text(max_size=5))
def test_the_worst_take_over_from_the_best(values: dict[int, float], quantile: float, seed: str) -> None:
    found = pairs(values, quantile, seed)
    count = max(1, math.floor(quantile * len(values)))
    ranked = sorted(values.values())
    assert len(found) <= count
    assert not found.keys() & set(found.values()), "nobody gives and takes"
    for taker, donor in found.items():
        assert values[donor] < values[taker]
        assert values[donor] <= ranked[count - 1]
        assert values[taker] >= ranked[-count]
    assert pairs(dict(reversed(values.items())), quantile, seed) == found, "whoever came first"


def test_how_many_take_over() -> None:
    values = {number: float(number) for number in range(8)}
    assert set(pairs(values, 0.25, "")) == {6, 7}
    assert set(pairs(values, 0.25, "").values()) <= {0, 1}
    assert set(pairs(values, 0.01, "")) == {7}
    assert pairs({3: 1.0}, 0.5, "") == {}
    assert pairs({3: 1.0, 4: 1.0}, 0.5, "") == {}, "none is better"
    assert pairs({3: math.inf, 4: 1.0}, 0.5, "") == {3: 4}
    assert {pairs(values, 0.25, str(seed))[7] for seed in range(20)} == {0, 1}, "drawn among the best"


NUMBERS = st.integers(1, 1000)


@given(
    st.one_of(
        st.tuples(NUMBERS, NUMBERS).map(lambda ends: Range(min=min(ends) / 100, max=max(ends) / 100 + 0.01)),
        st.tuples(NUMBERS, NUMBERS).map(lambda ends: Range(min=-max(ends), max=min(ends))),
        st.tuples(NUMBERS, NUMBERS).map(lambda ends: Range(min=0.0, max=ends[0] * 0.1 + 0.1, q=0.1)),
        NUMBERS.map(lambda end: Range(min=1e-5, max=end / 10, distribution="log_uniform_values")),
    ),
    st.floats(0.0, 1.0),
    st.sampled_from([0.5, 0.8, 1.25, 3.0]),
)
def test_a_perturbed_number_is_one_of_the_range(range_: Range, share: float, factor: float) -> None:
    low, high = range_.ends
    value = range_.nearest(min(max(low + share * (high - low), low), high))
    if range_.integer:
        value = round(value)
    moved = perturbed(range_, value, factor)
    assert low <= moved <= high
    assert type(moved) is type(value)
    assert range_.nearest(moved) == moved
    up = (factor > 1.0) == (value >= 0)
    assert moved >= value if up else moved <= value
    if range_.step is not None and value != (high if up else low):
        assert moved != value, "a step at least"


def test_a_continuous_number_is_multiplied() -> None:
    assert perturbed(Range(min=0.0, max=10.0), 4.0, 1.25) == 5.0
    assert perturbed(Range(min=0.0, max=10.0), 9.0, 1.25) == 10.0
    assert perturbed(Range(min=1, max=9), 2, 1.25) == 3
    assert perturbed(Range(min=1, max=9), 2, 0.8) == 1


def test_a_value_moves_to_one_beside_it() -> None:
    values = Values(values=(0.1, 0.2, 0.5))
    assert (neighbour(values, 0.2, 0.0), neighbour(values, 0.2, 0.9)) == (0.1, 0.5)
    assert {neighbour(values, 0.5, share) for share in (0.0, 0.9)} == {0.2}
    assert neighbour(Values(values=(0.1,)), 0.1, 0.5) == 0.1


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=8))
def test_explored_parameters_lie_in_the_space(seed: str) -> None:
    spec = spec_of()
    explorer = Explorer(spec, Pbt(type="pbt", interval=2))
    found = explorer.explore({"optimizer.lr": 0.001, "objective.beta": 0.99}, seed)
    assert 1e-3 <= found["optimizer.lr"] <= 1e-2
    assert 0.1 <= found["objective.beta"] <= 1.0
    assert explorer.explore({"optimizer.lr": 0.001, "objective.beta": 0.99}, seed) == found
    make_trial_config(spec, found)


@pytest.mark.parametrize(("factors", "lr", "beta"), [((1.25,), 1e-2, 1.0), ((0.8,), 1e-3, 0.1), ((0.8, 1.25), 1e-2, 1.0)])
def test_a_taker_is_no_clone_of_its_donor(factors: tuple[float, ...], lr: float, beta: float) -> None:
    """Also where the factors lead out of every range, and nothing is to be drawn anew."""
    explorer = Explorer(spec_of(), Pbt(type="pbt", interval=2, perturb=factors, resample=0.0))
    taken = {"optimizer.lr": lr, "objective.beta": beta}
    for seed in range(30):
        found = explorer.explore(taken, str(seed))
        assert found != taken
        assert 1e-3 <= found["optimizer.lr"] <= 1e-2


def test_a_dropout_of_zero_is_left(tmp_path: Path) -> None:
    """Which no factor moves."""
    spec = spec_of(POPULATION.replace("objective.beta: {min: 0.1, max: 1.0}", "model.decoder.dropout: {min: 0.0, max: 0.5}"))
    explorer = Explorer(spec, Pbt(type="pbt", interval=2, parameters=("model.decoder.dropout",), resample=0.0))
    taken = {"optimizer.lr": 0.005, "model.decoder.dropout": 0.0}
    assert 0.0 < explorer.explore(taken, "")["model.decoder.dropout"] <= 0.5


def test_resample_says_how_often_it_is_drawn_anew() -> None:
    taken = {"optimizer.lr": 0.004, "objective.beta": 0.5}
    never, always = (Explorer(spec_of(), Pbt(type="pbt", interval=2, resample=share)) for share in (0.0, 1.0))
    moves = Counter(never.explore(taken, str(seed))["optimizer.lr"] / 0.004 for seed in range(50))
    assert set(moves) == {0.8, 1.25}
    assert min(moves.values()) >= 10
    assert len({always.explore(taken, str(seed))["objective.beta"] for seed in range(50)}) == 50


def test_parameters_that_are_not_named_are_taken_over_as_they_are() -> None:
    explorer = Explorer(spec_of(), Pbt(type="pbt", interval=2, parameters=("optimizer.lr",)))
    for seed in range(20):
        found = explorer.explore({"optimizer.lr": 0.004, "objective.beta": 0.5}, str(seed))
        assert found["objective.beta"] == 0.5
        assert found["optimizer.lr"] != 0.004


def test_constraints_hold_for_what_is_explored() -> None:
    spec = spec_of(POPULATION + 'constraints: ["objective.beta <= optimizer.lr * 100"]\n')
    explorer = Explorer(spec, Pbt(type="pbt", interval=2))
    for seed in range(30):
        found = explorer.explore({"optimizer.lr": 0.005, "objective.beta": 0.5}, str(seed))
        assert found["objective.beta"] <= found["optimizer.lr"] * 100
    narrow = spec_of(POPULATION + 'constraints: ["objective.beta == 0.5"]\n')
    taken = {"optimizer.lr": 0.005, "objective.beta": 0.5}
    assert Explorer(narrow, Pbt(type="pbt", interval=2)).explore(taken, "") == taken, "nothing else is allowed"


def test_a_chain_grows_by_a_stint_at_each_barrier() -> None:
    found = population(4)
    first = found.decide(2, range(4))
    assert found.schedule(3)[-1].from_epoch == 0, "deciding changes nothing"
    found.remember(first)
    [(taker, chain)] = first.takers.items()
    assert (taker, [stint.number for stint in chain], [stint.from_epoch for stint in chain]) == (3, [0, 3], [0, 2])
    assert not any(map(found.waits, range(4)))
    assert not found.is_barrier(2)
    assert found.is_barrier(4)
    for number, value in {0: 9.0, 1: 5.0, 2: 5.0, 3: 0.0}.items():
        found.arrive(number, value)
    second = found.decide(4, range(4))
    assert [(stint.from_epoch, stint.number) for stint in second.takers[0]] == [(0, 0), (2, 3), (4, 0)]
    assert owners(second.takers[0], 6) == {1: 0, 2: 0, 3: 3, 4: 3, 5: 0, 6: 0}


def test_a_decision_is_the_same_when_it_is_read_again() -> None:
    found = population(8)
    found.arrive(5, math.inf)
    barrier = found.decide(2, range(8))
    again = Barrier.from_dict(json.loads(json.dumps(barrier.to_dict())))
    assert again == barrier
    later = Population(spec_of(), Pbt(type="pbt", interval=2), [again])
    [one, two] = barrier.takers
    assert later.join(one, {"optimizer.lr": 1.0}) == barrier.takers[one][-1].parameters
    assert later.join(0, {"optimizer.lr": 1.0}) == {"optimizer.lr": 1.0}
    assert later.schedule(two) == barrier.takers[two]


def test_those_that_have_left_count_for_nothing() -> None:
    found = population(4)
    assert set(found.decide(2, [1, 2]).takers) == {2}
    assert found.decide(2, [1, 2]).takers[2][0] == Stint(0, 1, {"optimizer.lr": 2e-3, "objective.beta": 0.5})


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_barriers_lie_at_multiples_of_the_interval(epoch: int) -> None:
    assert not population().is_barrier(epoch)
