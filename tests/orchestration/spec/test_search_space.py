"""Parameters: their values, their names in Optuna and in the trial, their grids."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from pydantic import TypeAdapter, ValidationError

from orchestration.spec import SweepSpec, parse_sweep
from orchestration.spec.parameters import AnyParameter, Range
from orchestration.spec.search_space import SearchSpace, make_trial_config
from tests.conftest import TINY

optuna.logging.set_verbosity(optuna.logging.ERROR)


def space(plain: dict[str, Any]) -> SearchSpace:
    return SearchSpace(TypeAdapter(dict[str, AnyParameter]).validate_json(json.dumps(plain)))


def draws(plain: dict[str, Any], number: int = 200) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space(plain).suggest(study.ask()) for _ in range(number)]


RANGES: dict[str, tuple[dict[str, Any], type, float, float]] = {
    "uniform": ({"min": 0.5, "max": 2.0}, float, 0.5, 2.0),
    "named uniform of whole ends": ({"min": 0, "max": 1, "distribution": "uniform"}, float, 0.0, 1.0),
    "int_uniform": ({"min": 2, "max": 5}, int, 2, 5),
    "int_uniform with step": ({"min": 2, "max": 12, "q": 4}, int, 2, 10),
    "q_uniform": ({"min": 0.1, "max": 0.75, "q": 0.2}, float, 0.1, 0.7),
    "log_uniform_values": ({"min": 1e-4, "max": 1e-1, "distribution": "log_uniform_values"}, float, 1e-4, 1e-1),
    "log of whole ends": ({"min": 1, "max": 1000, "distribution": "log_uniform_values"}, float, 1, 1000),
    "q_log_uniform_values": ({"min": 8, "max": 512, "distribution": "q_log_uniform_values", "q": 8}, int, 8, 512),
    "logarithmic integers": ({"min": 1, "max": 64, "distribution": "q_log_uniform_values", "q": 1}, int, 1, 64),
    "a point": ({"min": 3, "max": 3}, int, 3, 3),
}


@pytest.mark.parametrize(("plain", "kind", "low", "high"), RANGES.values(), ids=RANGES)
def test_draws_of_a_range_have_its_type_and_stay_in_it(plain: dict[str, Any], kind: type, low: float, high: float) -> None:
    values = [assignment["x"] for assignment in draws({"x": plain})]
    assert {type(value) for value in values} == {kind}
    assert min(values) >= low
    assert max(values) <= high
    range_ = Range.from_dict(plain)
    assert range_.ends == (low, high)
    if range_.count is not None:
        assert range_.count == len(list(range_.points()))
        assert set(values) <= set(range_.points())
        assert range_.count > 20 or set(values) == set(range_.points()), "every point is drawn"


def test_logarithmic_draws_are_even_over_the_decades() -> None:
    values = [d["x"] for d in draws({"x": {"min": 1e-4, "max": 1e0, "distribution": "log_uniform_values"}}, 400)]
    # Binomial(400, 1/4): mean 100, standard deviation 8.7; four of them are allowed.
    for decade in range(-4, 0):
        assert 65 < sum(10**decade <= value < 10 ** (decade + 1) for value in values) < 135


def test_steps_are_the_decimal_numbers_that_were_written() -> None:
    assert list(Range(min=0.1, max=0.5, q=0.1).points()) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert Range(min=0.0, max=1.0, q=0.1).count == 11
    assert Range(min=0.1, max=1.0, q=0.25).ends == (0.1, 0.85)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"min": 2, "max": 1}, "min (2) is above max (1)"),
        ({"min": 0, "max": 1.0, "distribution": "log_uniform_values"}, "above 0"),
        ({"min": -1.0, "max": 1.0, "distribution": "q_log_uniform_values", "q": 0.5}, "above 0"),
        ({"min": 0.0, "max": 1.0, "q": 0}, "q must be above 0"),
        ({"min": 0.0, "max": 1.0, "q": 2}, "larger than max - min"),
        ({"min": 0.0, "max": 1.0, "distribution": "q_uniform"}, "needs q"),
        ({"min": 0.0, "max": 1.0, "distribution": "uniform", "q": 0.5}, "q_uniform"),
        ({"min": 0.5, "max": 3, "distribution": "int_uniform"}, "needs integers"),
        ({"min": 0, "max": 2**60}, "2**53"),
        ({"min": 0, "max": 10.0, "q": 1e-320}, None),
        ({"values": [1, 1.0]}, "twice"),
        ({"values": [[1, 2], [1, 2]]}, "twice"),
        ({"values": [{"a": 1}]}, "a mapping is searched by choices"),
        ({"values": []}, "at least 1"),
        ({"choices": {}}, "at least 1"),
        ({"min": 1}, "max"),
        ({}, "must be a mapping with value"),
        (3, "must be a mapping with value"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(plain: object, message: str | None) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyParameter)
    if message is None:  # absurdly fine, but sound
        assert adapter.validate_json(json.dumps(plain)).count > 10**300
        return
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json(json.dumps(plain))
    assert message in str(caught.value)


NESTED: dict[str, Any] = {
    "p": {
        "choices": {
            "a": {},
            "b": {"c": {"values": [1, 2]}, "q": {"choices": {"x": {"y": {"value": 0.5}}, "z": {}}}},
            "d": {"c": {"min": 10, "max": 12}},
        }
    },
    "l": {"values": [[1, 2], [3], None, "s"]},
}


def test_conditional_parameters_are_asked_under_their_option_and_assigned_below_the_choice() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    shapes = set()
    for _ in range(100):
        trial = study.ask()
        assignment = space(NESTED).suggest(trial)
        shapes.add((frozenset(trial.params), frozenset(assignment)))
        if assignment["p.kind"] == "d":
            assert 10 <= assignment["p.c"] <= 12
        study.tell(trial, 0.0)
    common = {"p.kind", "l"}
    assert shapes == {
        (frozenset(common), frozenset(common)),
        (frozenset(common | {"p.d.c"}), frozenset(common | {"p.c"})),
        (frozenset(common | {"p.b.c", "p.b.q.kind"}), frozenset(common | {"p.c", "p.q.kind"})),
        (frozenset(common | {"p.b.c", "p.b.q.kind", "p.b.q.x.y"}), frozenset(common | {"p.c", "p.q.kind", "p.q.y"})),
    }


def test_lists_come_back_as_lists_of_their_own() -> None:
    values = [d["l"] for d in draws(NESTED)]
    assert [3] in values
    assert None in values
    next(value for value in values if value == [3]).append(4)
    assert [3] in [d["l"] for d in draws(NESTED)]


def test_names_are_those_of_every_option() -> None:
    assert space(NESTED).names == ["p.kind", "p.c", "p.q.kind", "p.q.y", "l"]


def test_the_grid_has_its_size_and_each_point_goes_through_optuna() -> None:
    grid = space(NESTED)
    points = list(grid.grid())
    assert len(points) == grid.size() == (1 + 2 * 2 + 3) * 4
    assert len({repr(sorted(point.items(), key=repr)) for point in points}) == len(points)
    study = optuna.create_study()
    seen = []
    for point in points:
        study.enqueue_trial(point)
        trial = study.ask()
        assignment = grid.suggest(trial)
        assert trial.params == point, "Optuna drew nothing of its own"
        assert grid.suggest(optuna.trial.FixedTrial(point)) == assignment
        seen.append(repr(assignment))
    assert len(set(seen)) == len(points)


def test_a_huge_grid_is_counted_and_begun_without_being_made() -> None:
    plain = {f"p{number}": {"min": 0, "max": 9} for number in range(60)}
    assert space(plain).size() == 10**60
    assert len(next(iter(space(plain).grid()))) == 60


def test_a_continuous_range_has_no_grid() -> None:
    assert space({"x": {"min": 0.0, "max": 1.0}}).size() is None
    with pytest.raises(ValueError, match="no grid"):
        space({"x": {"min": 0.0, "max": 1.0}}).grid()


def tiny() -> SweepSpec:
    return parse_sweep(TINY)


def test_a_trial_config_is_the_trial_with_the_assignment_in_it() -> None:
    spec = tiny()
    annealing = {"objective.annealing.kind": "linear", "objective.annealing.warmup": 0.2}
    assignment = {"optimizer.lr": 0.005, "objective.beta": 0.5, **annealing}
    config = make_trial_config(spec, assignment)
    flat = config.flat()
    assert {name: flat[name] for name in assignment} == assignment
    assert flat["training.epochs"] == 3
    assert flat["optimizer.kind"] == "adam", "the family's default, since only its lr is searched"
    assert "beta" not in spec.trial["objective"], "the spec is as it was"


def test_an_assignment_that_makes_no_trial_says_why() -> None:
    with pytest.raises(ValueError, match=r"objective\.beta: must be greater than or equal to 0"):
        make_trial_config(tiny(), {"objective.beta": -1.0})
    with pytest.raises(ValueError, match=r"seed\.x: seed is no mapping"):
        make_trial_config(tiny(), {"seed": 3, "seed.x": 1})
    with pytest.raises(ValueError, match=r"data\.kind: digits is image"):
        make_trial_config(tiny(), {"model.encoder.kind": "lstm", "model.encoder.hidden": 3})


def test_the_example_is_an_assignment_of_the_space() -> None:
    assert space(NESTED).example() == {"p.kind": "a", "l": [1, 2]}
    assert make_trial_config(tiny(), SearchSpace(tiny().parameters).example()).flat()["optimizer.lr"] == 1e-3
