"""What every objective offers to the trainer.

Shapes: B examples, K samples an example, Z latent dimensions. All losses are in nats an example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.seeding import Streams


@dataclass(frozen=True)
class ObjectiveSizes:
    """What an objective is built from and the config cannot know."""

    examples: int
    """Of the training split."""
    latent: int
    """Z."""


@dataclass(frozen=True)
class Terms:
    """Means over the examples of a batch, each a scalar tensor."""

    loss: Tensor
    """What is differentiated."""
    distortion: Tensor
    """-E_q log p(x|z), approximated where the softmax is; summed over tokens or pixels."""
    rate: Tensor
    """KL(q(z|x) || p(z)), unweighted and without any floor; summed over dimensions."""
    weight: Tensor | float
    """The effective weight in the loss of the rate, or of what the objective has in its place."""
    state: State
    """For the next step."""
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    """Further parts, scalars by the name under train/; the trainer reports their means over the epoch."""


class Objective(ABC):
    """A loss of a batch at a moment."""

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        """The state before the first step, empty where the loss depends on the step alone; the generator is on the CPU."""
        return {}

    @abstractmethod
    def annealing_end(self, total: int) -> int:
        """The first of ``total`` planned steps from which on no schedule changes the loss."""

    @abstractmethod
    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        """The loss and its parts."""
