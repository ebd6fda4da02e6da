"""What a method cannot do, and what constraints, start points and metrics may not say: each a fault with its place."""

from __future__ import annotations

import pytest

from orchestration.spec import SweepFileError, parse_sweep, spec_text
from tests.conftest import TINY

ONE_METRIC = "metric: {name: val/neg_elbo, goal: minimize}"
FLAT = TINY.replace(
    "  objective.annealing:\n    choices:\n      constant: {}\n      linear: {warmup: {min: 0.1, max: 0.5}}\n", ""
).replace("latent: {kind: gaussian, size: 4}", "latent: {kind: gaussian}").replace(
    "run_cap", "  model.latent.size: {min: 2, max: 8}\nrun_cap"
)  # fmt: skip


def faults(text: str) -> list[str]:
    with pytest.raises(SweepFileError) as error:
        parse_sweep(text, "f")
    return [f"{fault.line}:{fault.column} {fault.path}: {fault.message}" for fault in error.value.faults]


def with_(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("method", ["gp", "cmaes", "nsga2", "nsga3"])
def test_a_parameter_that_only_some_trials_have(method: str) -> None:
    [fault] = faults(with_(TINY, ("random", method)))
    place = "parameters.objective.annealing" if method == "cmaes" else "parameters.objective.annealing.choices.linear.warmup"
    assert fault.split(" ")[1] == f"{place}:"
    assert "tpe takes it" in fault


@pytest.mark.parametrize("form", ["{values: [2, 4]}", "{choices: {x: {}, y: {}}}"])
def test_cmaes_takes_what_has_an_order_alone(form: str) -> None:
    text = with_(FLAT, ("random", "cmaes"), ("model.latent.size: {min: 2, max: 8}", "model.latent.size: {values: [2, 4]}"))
    assert "this has no order" in faults(text)[0]
    assert parse_sweep(with_(FLAT, ("random", "cmaes"))).method == "cmaes"


SEARCH = {
    "{seed: 1, population: 8}": ("random has no generations", "population"),
    "{seed: 1, warm_start: {from: [a]}}": ("does not learn from earlier trials; tpe, gp, cmaes do", "warm_start"),
    "{seed: 1, warm_start: {from: []}}": ("at least 1", "warm_start.from"),
    "{seed: 1, enqueue: [{objective.beta: 3}]}": ("a number from 0.1 to 1.0", "enqueue[0].objective.beta"),
    "{seed: 1, enqueue: [{objective.betta: 1.0}]}": ("not searched", "enqueue[0].objective.betta"),
    "{seed: 1, enqueue: [{objective.annealing.kind: lin}]}": ("one of: constant, linear", "enqueue[0].objective.annealing.kind"),
    "{seed: 1, enqueue: [{objective.annealing.warmup: 0.3}]}": ("has to be said too", "enqueue[0].objective.annealing.warmup"),
}


@pytest.mark.parametrize(("search", "wanted"), SEARCH.items())
def test_search(search: str, wanted: tuple[str, str]) -> None:
    [fault] = faults(with_(TINY, ("{seed: 1}", search)))
    assert fault.startswith("11:")
    assert wanted[0] in fault
    assert f"search.{wanted[1]}" in fault


CONSTRAINTS = {
    "objective.betta < 1": "no trial has objective.betta",
    "data.kind < 1": "data.kind is no number but 'digits'",
    "objective.beta <": "a number or a name is wanted where the end stands (character 17)",
    "objective.beta": "a comparison",
}


@pytest.mark.parametrize(("text", "message"), CONSTRAINTS.items())
def test_constraints(text: str, message: str) -> None:
    [fault] = faults(with_(TINY, ("run_cap", f"constraints: ['{text}']\nrun_cap")))
    assert fault.startswith("20:15 constraints[0]")
    assert message in fault


def test_a_start_point_that_violates_the_constraints() -> None:
    text = with_(FLAT, ("{seed: 1}", "{enqueue: [{objective.beta: 1.0, optimizer.lr: 2e-3, model.latent.size: 8}]}"))
    assert parse_sweep(text)
    assert "violates the sweep's own constraints" in faults(text + "constraints: ['model.latent.size < 8']\n")[0]


def test_outcome_constraints_speak_of_metrics() -> None:
    text = with_(TINY, ("run_cap", "outcome_constraints: ['val/rats >= 1']\nrun_cap"))
    assert "val/rats: no trial reports it" in faults(text)[0]
    (told,) = faults(with_(TINY, ("run_cap", "outcome_constraints: ['test/neg_elbo >= 1']\nrun_cap")))
    assert "test/neg_elbo: the test split may not be searched on" in told
    assert "cmaes cannot be told" in faults(with_(FLAT, ("random", "cmaes")) + "outcome_constraints: ['val/rate >= 1']\n")[0]


def test_a_wrong_member_is_one_fault_and_too_few_another() -> None:
    notify = "notify: {{url: 'http://127.0.0.1/', on: {}}}\n"
    (told,) = faults(TINY + notify.format("[finish]"))
    assert "notify.on[0]: must be 'finished'" in told
    (told,) = faults(TINY + notify.format("[]"))
    assert "must hold at least 1, and holds 0" in told


METRICS = {
    "[{name: val/neg_elbo}]": "must hold at least 2",
    "[{name: val/rate}, {name: val/rate}]": "is there twice",
    "[{name: val/rate}, {name: val/perplexity}]": "reported for text only",
    "[{name: val/rate}, {name: val/active_units, goal: minimize}]": "must be maximize",
    "[{name: val/rate}, {name: test/neg_elbo}]": "the test split may not be searched on",
}


@pytest.mark.parametrize(("metrics", "message"), METRICS.items())
def test_several_metrics(metrics: str, message: str) -> None:
    [fault] = faults(with_(TINY, (ONE_METRIC, f"metrics: {metrics}")))
    assert fault.startswith("12:")
    assert message in fault


def test_several_metrics_go_without_what_needs_one() -> None:
    text = with_(TINY, (ONE_METRIC, "metrics: [{name: val/distortion}, {name: val/rate}]"))
    spec = parse_sweep(text)
    assert (spec.metric.name, len(spec.objectives)) == ("val/distortion", 2)
    assert parse_sweep(spec_text(spec)) == spec
    assert "no trial can be stopped early" in faults(text + "early_terminate: {type: asha}\n")[0]
    assert "take it out" in faults(text + f"{ONE_METRIC}\n")[0]


def test_all_of_it_is_written_out_and_read_again() -> None:
    search = "{seed: 1, enqueue: [{objective.beta: 0.5}], warm_start: {from: [a, b]}}"
    text = with_(TINY, ("random", "tpe"), ("{seed: 1}", search)) + "constraints: ['objective.beta < 0.9']\n"
    spec = parse_sweep(text + "outcome_constraints: ['val/rate >= 1']\n")
    assert parse_sweep(spec_text(spec)) == spec
    assert spec.search.warm_start is not None
    assert spec.search.warm_start.from_ == ("a", "b")
