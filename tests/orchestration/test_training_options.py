"""A sweep over how steps are taken: the options reach the trials, and their records."""

from __future__ import annotations

from pathlib import Path

from dashboards import load_curves, load_trials
from orchestration import load_sweep, run_sweep
from vae_core.schedules import Linear

SWEEP = """\
version: 1
name: steps
question: Does a warm-up pay?
trial:
  data: {kind: digits}
  model: {encoder: {kind: mlp, hidden: [16]}, decoder: {kind: mlp, hidden: [16]}, latent: {kind: gaussian, size: 4}}
  training: {epochs: 4, batch_size: 128, patience: 3, rollback: {patience: 1, decay: 0.5}}
  evaluation: {importance_samples: 3, importance_examples: 20, samples: 2}
  optimizer: {kind: adam, lr: 0.01}
method: grid
metric: {name: val/neg_elbo, goal: minimize}
parameters:
  training.accumulate: {values: [1, 3]}
  training.precision: {values: [float32, bfloat16]}
  training.lr_schedule.warmup: {choices: {constant: {}, linear: {warmup: {value: 0.5}}}}
  training.rollback.optimizer: {value: reset}
resources: {cpu: 1}
"""
STEPS = {1: 12, 3: 4}
"""An epoch's 12 batches, by how many are put together."""


def test_a_grid_over_the_options_runs_and_records_them(tmp_path: Path) -> None:
    path, home = tmp_path / "steps.yaml", tmp_path / "home"
    path.write_text(SWEEP)
    result = run_sweep(load_sweep(path), home=home, debug=True)
    assert [view.state for view in result.trials] == ["COMPLETE"] * 8
    trials = load_trials("steps", home=home).set_index("trial")
    for name, values in {
        "training.accumulate": {1, 3},
        "training.precision": {"float32", "bfloat16"},
        "training.lr_schedule.warmup.kind": {"constant", "linear"},
        "training.rollback.optimizer": {"reset"},
    }.items():
        assert trials[name].value_counts().to_dict() == dict.fromkeys(values, 8 // len(values))
    curves = load_curves("steps", home=home).set_index(["trial", "metric", "epoch"])["value"]
    for trial, row in trials.iterrows():
        steps = STEPS[row["training.accumulate"]]
        assert curves[trial, "train/step", 2] == 2 * steps
        share = Linear(warmup=0.5)(steps, 4 * steps) if row["training.lr_schedule.warmup.kind"] == "linear" else 1.0
        assert abs(curves[trial, "train/lr", 1] - 0.01 * share) < 1e-15
