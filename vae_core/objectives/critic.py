"""A network that lives in an objective's state: its weights, and the Adam that moves them, are tensors that are replaced.

Shapes: N codes, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from vae_core.moment import State
from vae_core.networks.initialise import linear
from vae_core.objectives.options import Critic

_EPSILON = 1e-8
"""Of Adam, as torch has it."""
Score = Callable[[Tensor], Tensor]
"""The critic as a function of codes, (N, Z) -> (N,)."""
Loss = Callable[[Score], Tensor]
"""A scalar from the critic."""


class CriticNetwork:
    """Scores codes, (N, Z) -> (N,): linear layers with a leaky ReLU between them. It holds no weights.

    Args:
        config: its options.
        size: Z.
    """

    def __init__(self, config: Critic, size: int) -> None:
        self.config = config
        self._widths = [size, *[config.hidden] * config.layers, 1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(self._widths):
            layers += [nn.Linear(inputs, outputs, device="meta"), nn.LeakyReLU(0.2)]
        self._form = nn.Sequential(*layers[:-1])

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        """First weights from the generator, moments of 0."""
        state: State = {"adam.step": torch.zeros((), dtype=torch.float64, device=device)}
        for place, (inputs, outputs) in enumerate(pairwise(self._widths)):
            for name, weight in linear(inputs, outputs, generator).named_parameters():
                state[f"weight.{2 * place}.{name}"] = weight.detach().to(device)
        for name in self._names:
            state |= {f"adam.{moment}.{name}": torch.zeros_like(state[f"weight.{name}"]) for moment in ("mean", "square")}
        return state

    def score(self, state: State, z: Tensor) -> Tensor:
        """The codes' scores, with a gradient to the codes alone: (N, Z) -> (N,)."""
        return self._call({name: state[f"weight.{name}"] for name in self._names}, z)

    def fit(self, state: State, loss: Loss) -> tuple[State, Tensor]:
        """The state after one step of Adam down the loss, and the loss before it."""
        with torch.enable_grad():
            weights = {name: state[f"weight.{name}"].detach().requires_grad_() for name in self._names}
            value = loss(lambda z: self._call(weights, z))
            slopes = torch.autograd.grad(value, list(weights.values()))
        return state | self._adam(state, dict(zip(weights, slopes, strict=True))), value.detach()

    @property
    def _names(self) -> list[str]:
        return [name for name, _ in self._form.named_parameters()]

    def _call(self, weights: dict[str, Tensor], z: Tensor) -> Tensor:
        scores: Tensor = functional_call(self._form, {name: weight.to(z) for name, weight in weights.items()}, (z,))
        return scores.squeeze(-1)

    def _adam(self, state: State, slopes: dict[str, Tensor]) -> State:
        """Kingma & Ba 2015, alg. 1."""
        (first, second), step = self.config.betas, state["adam.step"] + 1.0
        moved: State = {"adam.step": step}
        for name, slope in slopes.items():
            mean = first * state[f"adam.mean.{name}"] + (1.0 - first) * slope
            square = second * state[f"adam.square.{name}"] + (1.0 - second) * slope.square()
            scale = (square / (1.0 - second**step).to(square)).sqrt() + _EPSILON
            change = self.config.lr * (mean / (1.0 - first**step).to(mean)) / scale
            moved |= {
                f"weight.{name}": state[f"weight.{name}"] - change,
                f"adam.mean.{name}": mean,
                f"adam.square.{name}": square,
            }
        return moved
