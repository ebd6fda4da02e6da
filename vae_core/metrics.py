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
    Metric("train/beta", "1", None, "effective weight of the KL at the epoch's last step, set by a schedule or a feedback"),
    Metric("train/lr", "1", None, "learning rate"),
    Metric("train/step", "steps", None, "optimiser steps so far"),
    Metric("train/examples_per_s", "1/s", "maximize", "training speed, validation left out"),
    Metric("train/tokens_per_s", "1/s", "maximize", "training speed in target tokens, padding left out", "text"),
)
_EVALUATED = (
    Metric("neg_elbo", "nats/example", "minimize", "distortion + rate: beta 1, exact likelihood, one posterior sample"),
    Metric("distortion", "nats/example", "minimize", "-E_q log p(x|z), exact"),
    Metric("rate", "nats/example", None, "KL(q(z|x) || p(z))"),
    Metric("perplexity", "1", "minimize", "exp(negative ELBO / tokens, </s> counted): an upper bound", "text"),
    Metric("active_units", "dimensions", "maximize", "dimensions with Var_x(E_q z) > 0.01"),
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
    Metric("test/iw_perplexity", "1", "minimize", "exp(test/iw_nll / tokens, </s> counted)", "text"),
)
FINAL = (Metric("best/epoch", "epochs", None, "the selected epoch: the best val/neg_elbo from annealing's end on"), *BEST, *TEST)
METRICS = (*TRAINING, *VALIDATION, *FINAL)
