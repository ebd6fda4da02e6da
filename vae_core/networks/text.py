"""What the decoders of text share: a vocabulary, words given out one after the other, and only real ones scored.

Shapes: B texts, T padded length, N real words, K samples, Z latent dimensions, V words.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Generator, Tensor

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.networks.interface import Decoder
from vae_core.softmax.head import SoftmaxHead
from vae_core.softmax.svd import SvdHead

State = tuple[Tensor, ...]
"""What a decoder remembers of the words so far; each part has the texts first."""


class TextDecoder(Decoder[TextBatch]):
    """Scores the words of a text, and gives words out."""

    vocabulary: WordList
    head: SoftmaxHead
    predicts_end: bool
    """Whether ``</s>`` is predicted, and so counts as a word of each text in scores and perplexity."""

    def tokens(self, batch: TextBatch) -> int:
        return batch.tokens if self.predicts_end else batch.tokens - batch.size

    def _gap(self, exact: Tensor, words: Callable[[], tuple[Packed, Tensor, Tensor]], negatives: Generator) -> Tensor:
        """What the training loss adds to the exact one, both (K, B); see ``nll_and_gap``.

        Args:
            words: gives the words as training scores them: what the softmax reads of each, (N, D), and the word itself, (N,).
        """
        if self.head.normalised:
            return torch.zeros_like(exact)
        packed, hidden, targets = words()
        approximate = self.head.approximate_nll(hidden, targets, negatives)
        return torch.full_like(exact, torch.nan) if approximate is None else packed.sums(approximate) - exact

    @abstractmethod
    def scored_words(self, batch: TextBatch, z: Tensor) -> tuple[Packed, Tensor, Tensor]:
        """The words that are scored, without dropout: what the softmax reads of each, (N, D), and the word itself, (N,)."""

    def svd_nll(self, batch: TextBatch, z: Tensor, svd: SvdHead) -> Tensor:
        """``nll`` by the head's stand-in: (K, B, Z) -> (K, B)."""
        packed, hidden, targets = self.scored_words(batch, z)
        return packed.sums(svd.nll(hidden, targets))

    @abstractmethod
    def first_state(self, z: Tensor) -> State:
        """(B, Z) -> the state before the first word."""

    def remembering(self) -> AbstractContextManager[None]:
        """A context for many steps of generation, without gradients: what they share is computed once."""
        return nullcontext()

    @abstractmethod
    def step(self, words: Tensor, z: Tensor, state: State, svd: SvdHead | None = None) -> tuple[Tensor, State]:
        """One step of generation: (B,), (B, Z) -> log probabilities of the next word (B, V), and the state after it.

        ``svd`` is the head's stand-in, faster and nearly the same; None: the head itself.
        """


class Packed:
    """The words to be scored of a padded batch, each text K times, so that padding costs nothing in the softmax.

    Args:
        mask: bool (B, T), True where there is one.
        count: how many there are; asking a GPU would wait for it.
        samples: K.
    """

    def __init__(self, mask: Tensor, count: int, samples: int) -> None:
        self.shape = (samples, *mask.shape)
        full = count == mask.numel()  # as it is for most batches of a length bucket
        self.index = None if full else mask.repeat(samples, 1).flatten().nonzero().squeeze(1)

    def select(self, padded: Tensor) -> Tensor:
        """(K B, T, ...) -> (N, ...)."""
        flat = padded.flatten(0, 1)
        return flat if self.index is None else flat.index_select(0, self.index)

    def sums(self, words: Tensor) -> Tensor:
        """Sums over each text: (N,) -> (K, B)."""
        if self.index is not None:  # back to their places, where a sum has a fixed order on every device
            words = words.new_zeros(math.prod(self.shape)).index_copy(0, self.index, words)
        return words.view(self.shape).sum(-1)
