"""Words of its own that a decoder is fed in training (Bengio et al. 2015; Goyal et al. 2017).

Shapes: B sentences, T positions, N places, V words, E width of the word vectors, H hidden units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from vae_core.networks.word_vectors import DroppedTypes
from vae_core.precision import widened


class NextWord(ABC):
    """Turns a prediction into what is fed. A function of what it is handed: fed again, it is the same."""

    @abstractmethod
    def vectors(self, log_probs: Tensor, uniform: Tensor, table: DroppedTypes) -> Tensor:
        """Log probabilities (N, V), uniform numbers (N,) -> (N, E)."""


class DrawnWord(NextWord):
    """The vector of a word drawn from the prediction (Bengio et al. 2015, sec. 2.4); no gradient goes through the draw."""

    def vectors(self, log_probs: Tensor, uniform: Tensor, table: DroppedTypes) -> Tensor:
        cumulated = log_probs.detach().double().exp().cumsum(1)
        place = torch.searchsorted(cumulated, uniform.double().unsqueeze(1) * cumulated[:, -1:], right=True)
        return table(place.squeeze(1).clamp(max=log_probs.shape[1] - 1))


class SoftWord(NextWord):
    """The soft argmax sum_w e_w p_w^(1 / t) / sum_v p_v^(1 / t) (Goyal et al. 2017, eq. 2), with a gradient to the prediction."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def vectors(self, log_probs: Tensor, uniform: Tensor, table: DroppedTypes) -> Tensor:
        return (log_probs / self.temperature).softmax(1) @ table.all()


class OwnWords:
    """Where in a batch the decoder is fed words of its own, and what it is fed there.

    Args:
        words: the true ones, int64 (B, T).
        probability: of the true word, at each place by itself.
        keep_ids: what is never replaced: ``<s>`` and padding.
        next_word: makes what is fed of a prediction.
        predict: hidden states (N, H) -> log probabilities (N, V).
        table: the word vectors.
        generator: on the device of the words.
    """

    def __init__(
        self,
        words: Tensor,
        probability: float,
        keep_ids: Sequence[int],
        next_word: NextWord,
        predict: Callable[[Tensor], Tensor],
        table: DroppedTypes,
        generator: Generator,
    ) -> None:
        chance, self.uniform = torch.rand((2, *words.shape), generator=generator, device=words.device)
        replaced = chance >= probability
        for kept in keep_ids:
            replaced &= words != kept
        self.rows = [column.nonzero().squeeze(1) for column in replaced.unbind(1)]
        self.next_word, self.predict, self.table = next_word, predict, table

    def replace(self, place: int, vectors: Tensor, hidden: Tensor) -> Tensor:
        """The word vectors (B, E) at a place, some of them replaced by what the hidden states (B, H) before it predict."""
        rows = self.rows[place]
        if len(rows) == 0:
            return vectors
        log_probs, uniform = widened(self.predict(hidden.index_select(0, rows))), self.uniform[rows, place]
        return vectors.index_copy(0, rows, self.next_word.vectors(log_probs, uniform, self.table).to(vectors.dtype))
