"""Sequences of unlike lengths in one flat array, and the numbering of words as they are met.

Legend: n sequences, N items of all together.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vae_core.data.sentences import Tokens, to_words


class Ragged(NamedTuple):
    """Sequence i is ``tokens[offsets[i]:offsets[i + 1]]``."""

    tokens: npt.NDArray[np.int32]
    """(N,)."""
    offsets: npt.NDArray[np.int64]
    """(n + 1,)."""
    labels: npt.NDArray[np.int64] | None = None
    """(n,): of each sequence; None where there are none."""

    @classmethod
    def of(cls, rows: Sequence[npt.NDArray[np.int32]], labels: npt.NDArray[np.int64] | None) -> Ragged:
        """The rows, in this order; empty ones are left out, and their labels."""
        every = np.array([len(row) for row in rows], dtype=np.int64)
        kept = every > 0
        offsets = np.concatenate([[0], every[kept].cumsum()])
        flat = np.concatenate([np.zeros(0, dtype=np.int32), *rows])
        return cls(flat, offsets, None if labels is None else labels[kept])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,)."""
        return np.diff(self.offsets)

    def take(self, index: npt.NDArray[np.int64], longest: int) -> Ragged:
        """The sequences at these places, in this order, each cut to ``longest`` items."""
        lengths = np.minimum(self.lengths[index], longest)
        offsets = np.concatenate([[0], lengths.cumsum()])
        shift = np.repeat(self.offsets[index] - offsets[:-1], lengths)
        return Ragged(self.tokens[shift + np.arange(offsets[-1])], offsets, None if self.labels is None else self.labels[index])


class Interner:
    """Numbers words by first appearance, 0 upwards, over all the sources that it is given."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__

    @property
    def words(self) -> tuple[str, ...]:
        """Every word so far; its place is its number."""
        return tuple(self._numbers)

    def number(self, sentences: Iterable[str], tokens: Tokens, labels: npt.NDArray[np.int64] | None = None) -> Ragged:
        """The sentences as numbers of words; sentences without a word are left out, and their labels."""
        flat, lengths = array("i"), array("q")
        number = self._numbers.__getitem__
        for sentence in sentences:
            words = to_words(sentence, tokens)
            flat.extend(map(number, words))
            lengths.append(len(words))
        every = np.array(lengths, dtype=np.int64)
        kept = every > 0
        offsets = np.concatenate([[0], every[kept].cumsum()])
        return Ragged(np.array(flat, dtype=np.int32), offsets, None if labels is None else labels[kept])
