"""Two steps of each optimiser against its paper's equations, by hand; every option of the config must reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from vae_core.optimizer_config import Adam, AdamW, AnyOptimizer, LazyAdam, Sgd

LR = 0.1
START = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
GRADIENTS = torch.tensor([[0.5, -1.0, 2.0], [-1.0, 0.25, 4.0]], dtype=torch.float64)


def adam(weight: Tensor, betas: tuple[float, float], decay: float) -> Tensor:
    """Kingma & Ba 2015, algorithm 1; with Loshchilov & Hutter 2019, algorithm 2: w is scaled by 1 - lr decay at each step."""
    first = second = torch.zeros_like(weight)
    for step, gradient in enumerate(GRADIENTS, 1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        direction = first / (1 - betas[0] ** step) / ((second / (1 - betas[1] ** step)).sqrt() + 1e-8)
        weight = weight * (1 - LR * decay) - LR * direction
    return weight


def sgd(weight: Tensor, momentum: float) -> Tensor:
    """v = momentum v + g, w = w - lr v."""
    velocity = torch.zeros_like(weight)
    for gradient in GRADIENTS:
        velocity = momentum * velocity + gradient
        weight = weight - LR * velocity
    return weight


CASES: list[tuple[AnyOptimizer, Callable[[Tensor], Tensor]]] = [
    (Adam(lr=LR), lambda weight: adam(weight, (0.9, 0.999), 0.0)),
    (Adam(lr=LR, betas=(0.5, 0.7)), lambda weight: adam(weight, (0.5, 0.7), 0.0)),
    (LazyAdam(lr=LR, betas=(0.5, 0.7)), lambda weight: adam(weight, (0.5, 0.7), 0.0)),
    (AdamW(lr=LR, betas=(0.5, 0.7), weight_decay=0.3), lambda weight: adam(weight, (0.5, 0.7), 0.3)),
    (AdamW(lr=LR, weight_decay=0.0), lambda weight: adam(weight, (0.9, 0.999), 0.0)),
    (Sgd(lr=LR, momentum=0.0), lambda weight: sgd(weight, 0.0)),
    (Sgd(lr=LR, momentum=0.8), lambda weight: sgd(weight, 0.8)),
]


def test_every_optimiser_is_here():
    assert {type(config) for config, _ in CASES} == set(get_args(get_args(AnyOptimizer)[0]))


@pytest.mark.parametrize(("config", "expected"), CASES, ids=[repr(config) for config, _ in CASES])
def test_two_steps_are_those_of_the_paper(config: AnyOptimizer, expected: Callable[[Tensor], Tensor]):
    weight = nn.Parameter(START.clone())
    optimizer = config.build(nn.ParameterList([weight]))
    for gradient in GRADIENTS:
        weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), expected(START), rtol=1e-10, atol=0.0)
