"""What every objective offers to the trainer.

Shapes: B examples, K samples an example, Z latent dimensions. All losses are in nats an example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_core.model import VAE
from vae_core.networks.interface import BatchT
from vae_core.seeding import Streams

State = dict[str, Tensor]
"""What an objective carries from one step to the next, by name: float64 scalars. Replaced, never written to."""


@dataclass(frozen=True)
class Moment:
    """Where training stands; nothing in an objective counts."""

    step: int
    """The global step, from 0."""
    total: int
    """Planned steps."""
    state: State
    """What the step before left behind; at first ``Objective.initial``."""


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
    """The effective weight of the rate in the loss."""
    state: State
    """For the next step."""


class Objective(ABC):
    """A loss of a batch at a moment."""

    def initial(self, device: torch.device | str = "cpu") -> State:
        """The state before the first step: empty where the loss depends on the step alone."""
        return {}

    @abstractmethod
    def annealing_end(self, total: int) -> int:
        """The first of ``total`` planned steps from which on no schedule changes the loss."""

    @abstractmethod
    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        """The loss and its parts."""
