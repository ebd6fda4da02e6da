"""The importance-weighted bound (Burda et al. 2016) of the plain text VAE, in the two ways that one finds it written.

Shapes: B sentences, K samples, T padded length, Z latent dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.plain.text import PlainTextVae

_LOG_2PI = math.log(2 * math.pi)


@torch.no_grad()
def one_by_one(model: PlainTextVae, inputs: Tensor, targets: Tensor, lengths: Tensor, noise: Tensor) -> Tensor:
    """A batch of sentences, decoded once for each sample: noise (K, B, Z) -> the bound of each sentence, (B,)."""
    mean, log_variance = model.encode(targets, lengths)
    weights = []
    for part in noise:
        z = mean + torch.exp(0.5 * log_variance) * part
        weights.append(_log_weight(model, inputs, targets, mean, log_variance, z))
    return math.log(len(noise)) - torch.logsumexp(torch.stack(weights), dim=0)


@torch.no_grad()
def all_at_once(model: PlainTextVae, inputs: Tensor, targets: Tensor, lengths: Tensor, noise: Tensor) -> Tensor:
    """One sentence, B = 1, repeated for all its samples, as much memory as that may take: noise (K, 1, Z) -> (1,)."""
    mean, log_variance = model.encode(targets, lengths)
    count = len(noise)
    z = mean + torch.exp(0.5 * log_variance) * noise.squeeze(1)
    log_weight = _log_weight(model, inputs.expand(count, -1), targets.expand(count, -1), mean, log_variance, z)
    return math.log(count) - torch.logsumexp(log_weight, dim=0, keepdim=True)


def _log_weight(model: PlainTextVae, inputs: Tensor, targets: Tensor, mean: Tensor, log_variance: Tensor, z: Tensor) -> Tensor:
    """log p(x|z) + log p(z) - log q(z|x), (B,)."""
    logits = model.decode(inputs, z)
    words = cross_entropy(logits.transpose(1, 2), targets, ignore_index=model.pad, reduction="none")
    log_prior = -0.5 * (z.pow(2) + _LOG_2PI).sum(-1)
    log_posterior = -0.5 * ((z - mean).pow(2) / log_variance.exp() + log_variance + _LOG_2PI).sum(-1)
    return log_prior - words.sum(-1) - log_posterior
