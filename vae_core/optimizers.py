"""The optimisers, in torch's fused form: one kernel over all weights instead of a loop, some three times as fast on a CPU."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn, optim

from vae_core.config import Adam, AdamW, AnyOptimizer


def build_optimizer(config: AnyOptimizer, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimiser that the config names, over these weights."""
    if isinstance(config, Adam):
        return optim.Adam(parameters, lr=config.lr, betas=config.betas, fused=True)
    if isinstance(config, AdamW):
        return optim.AdamW(parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True)
    return optim.SGD(parameters, lr=config.lr, momentum=config.momentum, fused=True)
