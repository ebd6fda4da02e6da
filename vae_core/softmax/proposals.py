"""Where negative classes are drawn from: O(V) once, then O(log V) a draw.

Symbols: q the probability of a class, S classes drawn, T tries made for them, V classes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Generator, Tensor, nn

from vae_core.softmax.config import ProposalConfig

TICKETS = 2**20
"""Of a class that was seen once: rounds its probability by less than 1e-6, and leaves room for 10^12 tokens."""


class Proposal(nn.Module, ABC):
    """A distribution over class ids; the generator lives on the module's device."""

    log_q: Tensor
    """log q of each class, float64 (V,)"""

    def __init__(self, q: Tensor) -> None:
        assert q.dtype == torch.float64
        super().__init__()
        self.register_buffer("log_q", q.log(), persistent=False)

    @abstractmethod
    def draw(self, count: int, generator: Generator) -> Tensor:
        """``count`` ids with replacement, int64 (count,)."""


class Uniform(Proposal):
    """q = 1 / V."""

    def __init__(self, counts: np.ndarray) -> None:
        super().__init__(torch.full((len(counts),), 1 / len(counts), dtype=torch.float64))

    def draw(self, count: int, generator: Generator) -> Tensor:
        return torch.randint(len(self.log_q), (count,), generator=generator, device=generator.device)


class LogUniform(Proposal):
    """q(id) = log((id + 2) / (id + 1)) / log(V + 1): Zipf's law, for ids sorted by falling frequency; drawn by its inverse."""

    def __init__(self, counts: np.ndarray) -> None:
        ids = torch.arange(len(counts), dtype=torch.float64)
        super().__init__(torch.log1p(1 / (ids + 1)) / math.log(len(counts) + 1))

    def draw(self, count: int, generator: Generator) -> Tensor:
        classes = len(self.log_q)
        uniform = torch.rand(count, dtype=torch.float64, generator=generator, device=generator.device)
        ids = torch.exp(uniform * math.log(classes + 1)).long() - 1
        return ids.clamp_(max=classes - 1)  # exp may round up to V + 1


class Unigram(Proposal):
    """q ~ count^power, counts over the training split; a count of 0 is taken as 1, so that every class can be drawn.

    A class holds tickets in proportion to q, whole numbers, so that draws follow ``log_q`` exactly.
    """

    cumulative: Tensor
    """Tickets up to and with each class, int64 (V,)"""

    def __init__(self, counts: np.ndarray, power: float = 1.0) -> None:
        floored = np.maximum(counts, 1).astype(np.float64)
        tickets = torch.from_numpy(np.rint(floored**power * TICKETS).astype(np.int64))
        super().__init__(tickets.double() / tickets.sum())
        self._total = int(tickets.sum())
        self.register_buffer("cumulative", tickets.cumsum(0), persistent=False)

    def draw(self, count: int, generator: Generator) -> Tensor:
        tickets = torch.randint(self._total, (count,), generator=generator, device=generator.device)
        return torch.searchsorted(self.cumulative, tickets, right=True)


PROPOSALS: dict[str, type[Uniform] | type[LogUniform] | type[Unigram]] = {
    "unigram": Unigram,
    "log_uniform": LogUniform,
    "uniform": Uniform,
}
"""The family's table."""


def make_proposal(config: ProposalConfig, counts: np.ndarray) -> Proposal:
    """The proposal that the config names."""
    return Unigram(counts, config.exponent) if config.proposal == "unigram" else PROPOSALS[config.proposal](counts)


def draw_distinct(proposal: Proposal, count: int, generator: Generator, tries: int) -> tuple[Tensor, int]:
    """Draws until ``count`` distinct classes are there: their ids (count,) in the order drawn, and the tries made.

    ``tries`` is how many draws to make at a time: any number is right, `expected_tries` the fastest. Drawing every
    class is no matter of chance: all ids, and 0 tries.
    """
    classes = len(proposal.log_q)
    if count == classes:
        return torch.arange(classes, device=proposal.log_q.device), 0
    drawn = proposal.draw(tries, generator)
    while True:
        ids, inverse = torch.unique(drawn, return_inverse=True)
        if len(ids) >= count:
            break
        drawn = torch.cat([drawn, proposal.draw(tries, generator)])
    places = torch.arange(len(drawn), device=drawn.device)
    first = torch.full_like(ids, len(drawn)).scatter_reduce_(0, inverse, places, "amin")
    kept = first.sort().values[:count]
    return drawn[kept], int(kept[-1]) + 1


def expected_tries(log_q: Tensor, count: int) -> int:
    """The least T at which sum 1 - (1 - q)^T, the expected number of distinct classes, reaches ``count`` < V."""
    low, high = count - 1, count
    while float(log_expected_count(log_q, high).exp().sum()) < count:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = float(log_expected_count(log_q, middle).exp().sum()) >= count
        low, high = (low, middle) if enough else (middle, high)
    return high


def log_expected_count(log_q: Tensor, tries: int) -> Tensor:
    """log(1 - (1 - q)^T), the log of the expected count of a class where repeats are thrown away."""
    return torch.log(-torch.expm1(tries * torch.log1p(-log_q.exp())))
