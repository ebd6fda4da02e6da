"""A sweep over objectives: each with options of its own, and what it reports arrives in the records."""

from __future__ import annotations

from pathlib import Path

from dashboards import load_curves, load_trials
from orchestration import load_sweep, run_sweep

SWEEP = """\
version: 1
name: objectives
question: Which objective codes digits best?
trial:
  data: {kind: digits}
  model: {encoder: {kind: mlp, hidden: [16]}, decoder: {kind: mlp, hidden: [16]}, latent: {size: 4, variance: 0.01}}
  training: {epochs: 2, batch_size: 256}
  evaluation: {importance_samples: 3, importance_examples: 20, samples: 2}
method: grid
metric: {name: val/neg_elbo, goal: minimize}
parameters:
  objective:
    choices:
      elbo:
        gradient_variance: {value: 4}
        gradient: {choices: {reparametrised: {}, score: {baseline: {values: [none, running_mean]}}}}
      wae_mmd: {weight: {value: 50.0}, encoder: {values: [stochastic, deterministic]}}
      wae_adversary:
        critic: {choices: {jensen_shannon: {hidden: {value: 16}}, wasserstein: {hidden: {value: 16}, steps: {value: 1}}}}
      beta_tcvae: {beta: {value: 4.0}, estimator: {values: [weighted, stratified]}}
      factor_vae: {gamma: {value: 5.0}, discriminator.hidden: {value: 16}}
resources: {cpu: 1}
"""
OWN = {
    "elbo": {"train/gradient_variance"},
    "wae_mmd": {"train/mmd"},
    "wae_adversary": {"train/critic_loss"},
    "beta_tcvae": {"train/mutual_information", "train/total_correlation", "train/dimension_kl"},
    "factor_vae": {"train/total_correlation", "train/critic_loss"},
}
"""What each reports beyond the common metrics."""


def test_a_grid_over_all_of_them_runs_and_records_what_each_reports(tmp_path: Path) -> None:
    path, home = tmp_path / "objectives.yaml", tmp_path / "home"
    path.write_text(SWEEP)
    result = run_sweep(load_sweep(path), home=home, debug=True)
    assert [view.state for view in result.trials] == ["COMPLETE"] * 10
    trials = load_trials("objectives", home=home).set_index("trial")
    assert trials["objective.kind"].value_counts().to_dict() == {
        "elbo": 3, "wae_mmd": 2, "wae_adversary": 2, "beta_tcvae": 2, "factor_vae": 1
    }  # fmt: skip
    curves = load_curves("objectives", home=home)
    every = set.union(*OWN.values())
    for trial, kind in trials["objective.kind"].items():
        reported = curves[curves["trial"] == trial]
        assert set(reported["metric"]) & every == OWN[kind]
        assert set(reported.loc[reported["metric"].isin(OWN[kind]), "epoch"]) == {1, 2}
