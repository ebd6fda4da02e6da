"""What every encoder and every decoder offers to the model.

Shapes: B examples, K posterior samples an example, Z latent dimensions, S features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from torch import Generator, Tensor, nn

from vae_core.data.batching import ImageBatch, TextBatch
from vae_core.moment import Moment
from vae_core.seeding import Streams

BatchT = TypeVar("BatchT", bound=TextBatch | ImageBatch)


class Encoder(nn.Module, ABC, Generic[BatchT]):
    """Summarises each example."""

    features: int
    """S, the width of the summary."""

    @abstractmethod
    def forward(self, batch: BatchT, generator: Generator | None) -> Tensor:
        """The summary (B, S); the generator draws the dropout, without one there is none."""


class Decoder(nn.Module, ABC, Generic[BatchT]):
    """Scores each example given samples of its code. All scores are in nats, summed over tokens or pixels."""

    @abstractmethod
    def training_nll(self, batch: BatchT, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        """What training minimises, with every dropout on: (K, B, Z) -> (K, B)."""

    @abstractmethod
    def nll(self, batch: BatchT, z: Tensor) -> Tensor:
        """Exact -log p(x|z) without dropout: (K, B, Z) -> (K, B)."""

    @abstractmethod
    def nll_and_gap(self, batch: BatchT, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        """``nll``, and what the training loss adds to it without dropout, each (K, B).

        The gap is 0 where training is exact, and NaN where its loss stands for no likelihood.
        """

    @abstractmethod
    def bytes_per_sample(self, batch: BatchT) -> int:
        """Rough working memory of ``nll`` for one sample of one example, which bounds how many are decoded at once."""

    def tokens(self, batch: BatchT) -> int:
        """How many words are scored; 0 for images."""
        return 0
