"""Vectors of the vocabulary's words, as encoders and decoders read them.

Shapes: V words, E width of their vectors; ids of any shape (...).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

from torch import Generator, Tensor, nn

from vae_core.dropout import embedding_dropout, locked_mask


class WordVectors(nn.Module, ABC):
    """A vector for each word id."""

    embedding_dim: int
    """E."""

    @abstractmethod
    def forward(self, words: Tensor) -> Tensor:
        """The words' vectors, int64 (...) -> (..., E)."""

    @abstractmethod
    def all(self) -> Tensor:
        """Those of all words, (V, E)."""

    def remembering(self) -> AbstractContextManager[None]:
        """A context without gradients, and in which no weight changes: no word's vector is computed twice in it."""
        return nullcontext()


class WordTable(nn.Embedding, WordVectors):
    """A vector a word, learned each by itself."""

    weight: nn.Parameter

    def all(self) -> Tensor:
        return self.weight


class DroppedTypes:
    """Word vectors, of which those of some word types are zero: embedding dropout of the whole vocabulary, drawn at once.

    For where it is not known beforehand which words will be read; else ``embed`` draws for the types of the batch alone.
    """

    def __init__(self, table: WordVectors, words: int, rate: float, generator: Generator, like: Tensor) -> None:
        self.table = table
        self.kept = None if rate == 0.0 else locked_mask((words, 1), rate, generator, like.dtype)

    def __call__(self, words: Tensor) -> Tensor:
        vectors: Tensor = self.table(words)
        return vectors if self.kept is None else vectors * self.kept[words]

    def all(self) -> Tensor:
        vectors = self.table.all()
        return vectors if self.kept is None else vectors * self.kept


def embed(table: WordVectors, words: Tensor, rate: float, generator: Generator | None) -> Tensor:
    """Word vectors (B, T, E) of (B, T); with a generator, all vectors of a word type are dropped at the rate."""
    vectors: Tensor = table(words)
    return vectors if generator is None else embedding_dropout(vectors, words, rate, generator)
