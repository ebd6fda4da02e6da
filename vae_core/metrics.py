"""The names of everything that a trial reports; one table, read by the sweep file's checks and by the docs."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """One reported quantity."""

    name: str
    unit: str
    goal: Literal["minimize", "maximize"] | None
    """Which way is better; None where neither is."""
    meaning: str
    modality: Literal["text", "image"] | None = None
    """None: both."""


TRAINING = (
    Metric("train/loss", "nats/example", "minimize", "what the optimiser sees: annealed, and approximated where the softmax is"),
    Metric("train/distortion", "nats/example", "minimize", "its reconstruction part"),
    Metric("train/rate", "nats/example", None, "its KL part, unweighted"),
    Metric("train/beta", "1", None, "effective weight of the KL, or of what stands in its place, at the epoch's last step"),
    Metric("train/lr", "1", None, "learning rate at the epoch's last step, by its schedule and after rollbacks"),
    Metric("train/step", "steps", None, "optimiser steps so far"),
    Metric("train/examples_per_s", "1/s", "maximize", "training speed, validation left out"),
    Metric("train/tokens_per_s", "1/s", "maximize", "training speed in target tokens, padding left out", "text"),
)
OBJECTIVES = (
    Metric("train/mmd", "1", None, "wae_mmd: MMD^2 of codes and prior, without bias and so at times negative"),
    Metric("train/critic_loss", "nats/example", None, "wae_adversary, factor_vae: of the critic; Wasserstein's has no unit"),
    Metric("train/mutual_information", "nats/example", None, "beta_tcvae: between x and z, by the objective's estimator"),
    Metric("train/total_correlation", "nats/example", None, "beta_tcvae, factor_vae: of the codes, by the objective's estimator"),
    Metric("train/dimension_kl", "nats/example", None, "beta_tcvae: of each dimension's codes from the prior, by its estimator"),
    Metric("train/gradient_variance", "1", None, "of an example's loss by its posterior's parameters, summed over them"),
)
"""Those that only some objectives have, or only where an option asks for them."""
PROCEDURES = (Metric("train/encoder_updates", "updates", None, "aggressive: updates of the encoder alone, so far"),)
"""Those that only some training procedures have."""
_EVALUATED = (
    Metric("neg_elbo", "nats/example", "minimize", "distortion + rate: beta 1, exact likelihood, one posterior sample"),
    Metric("distortion", "nats/example", "minimize", "-E_q log p(x|z), exact"),
    Metric("rate", "nats/example", None, "KL(q(z|x) || p(z))"),
    Metric("perplexity", "1", "minimize", "exp(negative ELBO / tokens, </s> counted if predicted): an upper bound", "text"),
    Metric("active_units", "dimensions", "maximize", "dimensions with Var_x(E_q z) > 0.01 of the standard prior's variance"),
    Metric("mutual_information", "nats", "maximize", "between x and z under q, at most log N"),
    Metric("mutual_information_n", "examples", None, "the N of it"),
    Metric("softmax_gap", "nats/example", None, "approximated minus exact loss", "text"),
)
VALIDATION = tuple(metric._replace(name=f"val/{metric.name}") for metric in _EVALUATED)
BEST = tuple(
    metric._replace(name=f"best/val/{metric.name}", meaning=f"{metric.meaning}; at the selected epoch") for metric in _EVALUATED
)
TEST = (
    *(metric._replace(name=f"test/{metric.name}") for metric in _EVALUATED),
    Metric("test/iw_nll", "nats/example", "minimize", "importance-weighted bound with evaluation.importance_samples samples"),
    Metric("test/iw_nll_se", "nats/example", None, "its standard error over examples"),
    Metric("test/iw_nll_n", "examples", None, "the examples that it was computed on"),
    Metric("test/iw_perplexity", "1", "minimize", "exp(test/iw_nll / tokens, </s> counted if predicted)", "text"),
)
SVD = (
    Metric("test/svd_perplexity", "1", "minimize", "test/perplexity by the SVD softmax of evaluation.svd", "text"),
    Metric("test/svd_gap", "nats/example", None, "SVD softmax minus exact loss, at the same samples", "text"),
)
"""Where ``evaluation.svd`` asks for them."""
FINAL = (Metric("best/epoch", "epochs", None, "the selected epoch: the best val/neg_elbo from annealing's end on"), *BEST, *TEST)
DIAGNOSIS = (
    Metric("test/marginal_kl", "nats", None, "KL(q(z) || p(z)) of the aggregate posterior: rate - mutual information, same N"),
    Metric("test/distinct_1", "1", None, "different words / words of 200 samples", "text"),
    Metric("test/distinct_2", "1", None, "different pairs of neighbours / pairs of 200 samples", "text"),
    Metric("test/self_bleu", "1", None, "mean BLEU-4 of each of 200 samples against the others; 1: all the same", "text"),
    Metric("test/copied", "1", None, "share of 200 samples that stand in train word for word", "text"),
)
"""What the diagnosis of the selected weights adds at the end."""
METRICS = (*TRAINING, *OBJECTIVES, *PROCEDURES, *VALIDATION, *FINAL, *SVD, *DIAGNOSIS)
