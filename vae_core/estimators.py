"""Estimators of evaluation on plain tensors; ``evaluate`` feeds them a model's numbers.

Shapes: n, N, B examples, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from vae_core.latent.interface import Posterior

ACTIVE = 0.01
"""Var_x(E_q z) above which a dimension is in use (Burda et al. 2016), in units of the prior's variance."""


def perplexity(nll: float, tokens: int) -> float:
    """exp(summed NLL / predicted tokens); inf where that overflows. ``</s>`` counts as a token, ``<s>`` and padding do not."""
    per_token = nll / tokens
    return math.exp(per_token) if per_token < 700.0 else math.inf


def active_units(means: Tensor) -> int:
    """#{d : Var_x(E_q z_d) > 0.01}, (n, Z); Burda et al. 2016, app. C. In two passes: one would lose a small variance."""
    deviation = means - means.mean(0)
    return int((deviation.square().mean(0) > ACTIVE).sum())


def mutual_information(posterior: Posterior, z: Tensor, max_bytes: int = 2**26) -> float:
    """I(x; z) under q in nats, at most log N: mean_i [log q(z_i|x_i) - log 1/N sum_j q(z_i|x_j)] (Hoffman & Johnson 2016).

    Biased downwards where the true value is near log N or above: a figure without its N means nothing.

    Args:
        posterior: q(z|x_j) of N examples, in float64.
        z: one sample of each, (N, Z).
        max_bytes: bounds the matrix of log densities that is held at a time.
    """
    count, total = len(z), 0.0
    rows = max(1, max_bytes // (8 * count))
    for start in range(0, count, rows):
        densities = posterior.pairwise_log_prob(z[start : start + rows])
        information = densities.diagonal(start) - densities.logsumexp(1) + math.log(count)
        total += information.sum().item()
    return total / count


def importance_weighted_nll(posterior: Posterior, log_joint: Callable[[Tensor], Tensor], noise: Iterable[Tensor]) -> Tensor:
    """-[logsumexp_k (log p(x, z_k) - log q(z_k|x)) - log K] of each example, (B,) in float64 (Burda et al. 2016, eq. 8).

    Args:
        posterior: q(z|x), (B, Z).
        log_joint: log p(x, z) of samples (k, B, Z) -> (k, B).
        noise: standard normal, as many samples at a time as are to be decoded at once: each (k, B, E), K together.
    """
    parts, samples = [], 0
    for part in noise:
        z = posterior.sample(part)
        log_weight = log_joint(z).double() - posterior.log_prob(z).double()
        parts.append(log_weight.logsumexp(0))
        samples += len(part)
    return math.log(samples) - torch.stack(parts).logsumexp(0)
