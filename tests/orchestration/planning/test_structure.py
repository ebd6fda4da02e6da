"""Which trials compute the same, and when annealing ends: against what the trainer itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.planning.structure import count_structures, label_of, structure_of
from orchestration.spec import load_sweep
from orchestration.spec.annealing import annealing_end, first_candidate
from tests.conftest import ROOT
from vae_core.config import TrialConfig

BASE: dict[str, Any] = {
    "data": {"kind": "digits"},
    "model": {"encoder": {"kind": "mlp", "hidden": [8]}, "decoder": {"kind": "mlp", "hidden": [8]}},
    "training": {"epochs": 7, "batch_size": 200},
}


def config(**parts: Any) -> TrialConfig:
    return TrialConfig.from_dict({**BASE, **parts})


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"objective": {"kind": "elbo", "annealing": {"kind": "linear", "warmup": 0.37}}},
        {"objective": {"kind": "elbo", "annealing": {"kind": "cyclical", "cycles": 3, "ratio": 0.6}}},
        {
            "objective": {
                "kind": "elbo",
                "feedback": {"kind": "capacity", "nats": 3.0},
            }
        },
        {"objective": {"kind": "elbo", "feedback": {"kind": "pid", "nats": 3.0}}},
        {"objective": {"kind": "iwae", "samples": 2}},
        {"objective": {"kind": "wae_mmd", "annealing": {"kind": "sigmoid", "warmup": 0.2}}},
        {"objective": {"kind": "beta_tcvae", "annealing": {"kind": "cosine", "warmup": 0.5}}},
        {"objective": {"kind": "factor_vae", "annealing": {"kind": "linear", "warmup": 0.5}}},
        {
            "objective": {"kind": "elbo", "annealing": {"kind": "linear", "warmup": 0.5}},
            "training": {"epochs": 7, "batch_size": 200, "procedure": {"kind": "pretraining", "epochs": 2}},
        },
        {"training": {"epochs": 7, "batch_size": 200, "procedure": {"kind": "pretraining", "epochs": 3}}},
    ],
)
def test_annealing_ends_where_the_trainer_says(parts: dict[str, Any]) -> None:
    from vae_core.trainer import Trainer

    trial = config(**parts)
    trainer = Trainer(trial, trial.data.load())
    assert annealing_end(trial, trainer.total_steps) == trainer.annealing_end
    first = next(epoch for epoch in range(1, 9) if epoch * trainer.steps_per_epoch >= trainer.annealing_end)
    assert first_candidate(trial, trainer.steps_per_epoch) == first


def test_what_weighs_or_schedules_is_no_structure() -> None:
    same = [
        config(),
        config(seed=3),
        config(optimizer={"kind": "adam", "lr": 0.1}),
        config(objective={"kind": "elbo", "beta": 0.3, "annealing": {"kind": "cyclical", "cycles": 5, "ratio": 0.2}}),
        config(training={"epochs": 90, "batch_size": 200}),
    ]
    assert len({structure_of(each) for each in same}) == 1
    other = [
        config(optimizer={"kind": "sgd", "lr": 0.1}),
        config(training={"epochs": 7, "batch_size": 100}),
        config(objective={"kind": "iwae", "samples": 2}),
        config(objective={"kind": "iwae", "samples": 3}),
        config(model={**BASE["model"], "latent": {"kind": "gaussian", "size": 3}}),
        config(model={**BASE["model"], "encoder": {"kind": "mlp", "hidden": [8], "dropout": 0.2}}),
        config(data={"kind": "digits", "split": {"valid": 0.2, "test": 0.1, "seed": 0}}),
    ]
    assert len({structure_of(each) for each in [same[0], *other]}) == 1 + len(other)


@pytest.mark.parametrize(
    ("name", "count"), [("quickstart", 7), ("digits", 3), ("shakespeare_annealing", 1), ("wikitext2_softmax", 4)]
)
def test_structures_of_the_sweeps_that_are_here(name: str, count: int) -> None:
    assert count_structures(load_sweep(ROOT / "sweeps" / f"{name}.yaml")) == (count, True)


def test_variants_count_by_what_they_compute() -> None:
    spec = load_sweep(ROOT / "sweeps" / "wikitext2_collapse.yaml")
    assert count_structures(spec) == (7, True), "two annealings compute what plain does"


def test_many_are_bounded_at_once(tiny: Path) -> None:
    sizes = "{training.accumulate: {min: 1, max: 1000}, objective.samples: {min: 1, max: 500}, seed: {min: 0, max: 9}}"
    assert count_structures(load_sweep(tiny, [f"parameters={sizes}"])) == (500_000, False)


def test_a_label_names_what_is_searched_and_computed(tiny: Path) -> None:
    trial = config(model={**BASE["model"], "latent": {"kind": "gaussian", "size": 3}})
    assignment = {"model.latent.size": 3, "objective.beta": 0.5, "objective.annealing.kind": "constant"}
    assert label_of(assignment, structure_of(trial)) == "size=3"
    assert label_of({"objective.beta": 0.5}, structure_of(trial)) == "every trial"
