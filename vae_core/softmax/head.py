"""What every member of the likelihood layer offers.

Shapes: N tokens (padding already removed), D features, V vocabulary size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn

TOLERANCE = 1e-3
"""Nats by which single precision may miss a sum of 1 over a large vocabulary, and more by far than it does."""


@dataclass(frozen=True)
class HeadSizes:
    """What a head is built from and the config cannot know."""

    features: int
    """D, the width of the hidden states that the head reads."""
    counts: np.ndarray
    """Frequency of each word in the training split, int64 (V,), index = word id; ids are sorted by falling frequency."""
    tied: nn.Parameter | None
    """The input embedding (V, D) to share, or None."""
    generator: Generator
    """Draws the initial weights."""

    @property
    def vocabulary(self) -> int:
        return len(self.counts)


class SoftmaxHead(nn.Module, ABC):
    """Maps hidden states to a distribution over the vocabulary; a training loss that may approximate, a score that may not.

    A tied table is registered in the head under its own name too: the same ``Parameter``, which ``parameters()`` gives once
    and ``state_dict()`` lists twice.
    """

    normalised: bool
    """True where the training loss is the exact negative log likelihood."""

    @abstractmethod
    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        """Training loss of each token, (N, D), (N,) -> (N,); ``generator`` draws the negatives, where there are any."""

    def approximate_nll(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor | None:
        """What training takes for the exact negative log likelihood of each token, (N, D), (N,) -> (N,).

        Its difference from ``nll`` is the gap that is reported. None where training knows no likelihood.
        """
        return self.loss(hidden, targets, generator)

    @abstractmethod
    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Exact negative log likelihood of each token in nats, (N, D), (N,) -> (N,); never makes the N x V logits."""

    @abstractmethod
    def log_probs(self, hidden: Tensor) -> Tensor:
        """Exact log probabilities, (N, D) -> (N, V)."""


class ReadsFewRows:
    """What heads share whose step reads few rows of weight and bias: of targets, and of what is drawn or stands with them."""

    weight: nn.Parameter
    bias: nn.Parameter
    sparse = False
    """Whether the gradients hold these rows alone, as sparse tensors."""


class UnnormalisedError(ValueError):
    """What a head gives for log probabilities is no distribution, so that nothing can be evaluated by it."""


@torch.no_grad()
def require_normalised(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    """Checks at some tokens, (N, D), (N,), that the head's score is that of a distribution over the vocabulary.

    What is not finite is left to whoever reads the score.

    Raises:
        UnnormalisedError: probabilities do not sum to 1, or ``nll`` is not the target's among them.
    """
    log_probs = head.log_probs(hidden)
    missing = log_probs.logsumexp(1).abs().max().item()
    if missing > TOLERANCE:
        raise UnnormalisedError(
            f"{type(head).__name__} is no softmax to evaluate by: the logarithm of the sum of its probabilities is {missing:.3g}"
            " off 0"
        )
    scored = head.nll(hidden, targets) + log_probs.gather(1, targets.unsqueeze(1)).squeeze(1)
    if (scored.abs() > TOLERANCE * (1.0 + log_probs.abs().amax(1))).any():
        raise UnnormalisedError(f"{type(head).__name__} scores words by another distribution than its log_probs")
