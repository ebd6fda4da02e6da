"""What does not go with ``early_terminate: {type: pbt}``: each a fault with its place, and what can be done about it."""

from __future__ import annotations

import pytest

from orchestration.spec import SweepFileError, parse_sweep, spec_text
from tests.orchestration.test_population import POPULATION


def faults(text: str) -> list[str]:
    with pytest.raises(SweepFileError) as error:
        parse_sweep(text, "f")
    return [f"{fault.path}: {fault.message} [{fault.nearest}]" for fault in error.value.faults]


def changed(*changes: tuple[str, str]) -> str:
    text = POPULATION
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("method", ["random", "qmc"])
def test_it_is_read_and_written(method: str) -> None:
    spec = parse_sweep(changed(("method: random", f"method: {method}")))
    assert parse_sweep(spec_text(spec)) == spec


def test_a_grid_may_be_a_population() -> None:
    text = changed(("method: random", "method: grid"), ("{min: 0.1, max: 1.0}", "{values: [0.1, 1.0]}"), ("run_cap: 4\n", ""))
    spec = parse_sweep(text.replace("{distribution: log_uniform_values, min: 1e-3, max: 1e-2}", "{values: [1e-3, 1e-2]}"))
    assert spec.run_cap == 4


@pytest.mark.parametrize("method", ["tpe", "gp", "cmaes", "nsga2"])
def test_a_method_that_learns(method: str) -> None:
    [fault] = faults(changed(("method: random", f"method: {method}")))
    assert fault.startswith(f"method: {method} learns from trials that have ended")
    assert "random, qmc, grid do not" in fault


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("model.latent.size", "{min: 2, max: 8}"),
        ("training.epochs", "{values: [6, 8]}"),
        ("objective.annealing", "{choices: {constant: {}, linear: {}}}"),
        ("seed", "{values: [1, 2]}"),
    ],
)
def test_what_cannot_change(name: str, parameter: str) -> None:
    text = changed(
        ("objective.beta:", f"{name}: {parameter}\n  objective.beta:"), (", size: 4", ""), ("epochs: 7, ", "epochs: 7, ")
    )
    if name == "training.epochs":
        text = text.replace("{epochs: 7, batch_size: 64}", "{batch_size: 64}")
    found = [fault for fault in faults(text) if fault.startswith(f"parameters.{name}: cannot change")]
    [fault] = found
    assert "what can: optimizer.lr, optimizer.betas, training.clip_norm, " in fault
    assert "word_dropout" not in fault, "these are images"


def test_variants() -> None:
    [fault] = faults(changed(("objective.beta: {min: 0.1, max: 1.0}", "both: {variants: {a: {objective.beta: 0.5}, b: {}}}")))
    assert fault.startswith("parameters.both: variants cannot be searched with pbt")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("interval: 7", "early_terminate.interval: must be below the 7 epochs that a trial has"),
        ("interval: 2, quantile: 0.6", "early_terminate.quantile: must be less than or equal to 0.5"),
        ("interval: 2, perturb: [0.8, 1.0]", "early_terminate.perturb: perturb: 1.0 would change nothing"),
        ("interval: 2, perturb: []", "early_terminate.perturb: must hold at least 1"),
        ("interval: 2, parameters: [objective.bet]", "early_terminate.parameters[0]: is not searched"),
        ("intervall: 2", "early_terminate.interval: missing"),
    ],
)
def test_options(options: str, expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults(changed(("interval: 2", options))))


def test_the_nearest_name_of_a_parameter() -> None:
    [fault] = faults(changed(("interval: 2", "interval: 2, parameters: [objective.bet]")))
    assert fault.endswith("[objective.beta]")


def test_one_trial_is_no_population() -> None:
    [fault] = faults(changed(("run_cap: 4", "run_cap: 1")))
    assert fault.startswith("run_cap: must be at least 2")


def test_seeds() -> None:
    assert any(fault.startswith("seeds: a population is trained under one seed") for fault in faults(POPULATION + "seeds: 2\n"))


def test_annealing_that_leaves_no_barrier() -> None:
    text = changed(("{kind: elbo}", "{kind: elbo, annealing: {kind: linear, warmup: 0.95}}"))
    [fault] = faults(text)
    assert fault.startswith("early_terminate.interval: annealing takes about 7 of 7 epochs")
