"""The vocabulary: words sorted by how often training has them, with the four special entries among them.

Legend: V entries, ids 0..V-1 by falling frequency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vae_core.data.arrays import read_only
from vae_core.data.errors import DataError

if TYPE_CHECKING:
    from vae_core.data.text_config import Vocabulary

UNK, EOS, BOS, PAD = "<unk>", "</s>", "<s>", "<pad>"
SPECIALS = (UNK, EOS, BOS, PAD)
RESERVED = (EOS, BOS, PAD)
"""What no text may contain, since the model adds it itself."""


@dataclass(frozen=True, eq=False)
class WordList:
    """Words and their training frequency, most frequent first, ties in code point order.

    The order is what adaptive softmax and a log-uniform proposal rely on. ``<unk>`` counts the training words that were
    left out, ``</s>`` the training sentences; ``<s>`` and ``<pad>`` are never predicted and count 0.
    """

    words: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    """(V,), falling."""
    lowercase: bool = False
    """``encode`` lowers its words first, as was done with the training text."""
    separator: str = " "
    """What ``decode`` puts between two words; nothing where they are characters."""
    merges: tuple[tuple[str, str], ...] | None = None
    """Of byte pair encoding, in order: then words are its tokens, see ``subwords``; None where words are words."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", read_only(np.asarray(self.counts, dtype=np.int64)))
        for fault in _faults(self.words, self.counts):
            raise DataError(f"this is no vocabulary: {fault}")

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], sentences: int, options: Vocabulary, separator: str = " ") -> WordList:
        """Keeps the ``options.max_size`` - 4 most frequent words that occur ``options.min_count`` times.

        Args:
            counts: occurrences in the training split; those of ``<unk>`` stay unknown.
            sentences: training sentences, hence occurrences of ``</s>``.
            options: sizes and letter case; with ``lowercase``, counts of the same lowered word are added up.

        Raises:
            DataError: a word of the text is one of the reserved ones, or no word is left.
        """
        if taken := [word for word in RESERVED if word in counts]:
            raise DataError(f"the text contains {taken[0]} as a word, which the model adds itself: remove it from the text")
        if options.lowercase:
            counts = _lowered(counts)
        ranked = sorted(((-count, word) for word, count in counts.items() if word != UNK and count >= options.min_count))
        kept = {word: -negative for negative, word in ranked[: options.max_size - len(SPECIALS)]}
        if not kept:
            most = max((count for word, count in counts.items() if word != UNK), default=0)
            raise DataError(
                f"no word is left for the vocabulary: the most frequent occurs {most} times in train,"
                f" data.vocabulary.min_count is {options.min_count}"
            )
        kept |= {UNK: sum(counts.values()) - sum(kept.values()), EOS: sentences, BOS: 0, PAD: 0}
        words = sorted(kept, key=lambda word: (-kept[word], word))
        return cls(tuple(words), np.array([kept[word] for word in words], dtype=np.int64), options.lowercase, separator)

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """The id of each word."""
        return {word: place for place, word in enumerate(self.words)}

    @property
    def unk(self) -> int:
        return self.index[UNK]

    @property
    def eos(self) -> int:
        return self.index[EOS]

    @property
    def bos(self) -> int:
        return self.index[BOS]

    @property
    def pad(self) -> int:
        return self.index[PAD]

    def encode(self, words: Iterable[str]) -> npt.NDArray[np.int32]:
        """The ids of the words, (n,); one that is not listed becomes ``<unk>``."""
        if self.lowercase and self.merges is None:  # tokens come of text that was lowered
            words = (word.lower() for word in words)
        index, unk = self.index, self.unk
        return np.fromiter((index.get(word, unk) for word in words), dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The words with the separator between them, up to the first ``</s>``; ``<s>`` and ``<pad>`` are left out.

        Tokens of byte pair encoding give the text that they spell.
        """
        words = []
        for place in ids:
            word = self.words[int(place)]
            if word == EOS:
                break
            if word not in (BOS, PAD):
                words.append(word)
        if self.merges is not None:
            from vae_core.data.subwords import text_of

            return text_of(words)
        return self.separator.join(words)

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for JSON; ``from_dict`` is its inverse."""
        counts = self.counts.tolist()
        plain = {"words": list(self.words), "counts": counts, "lowercase": self.lowercase, "separator": self.separator}
        return plain if self.merges is None else {**plain, "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> WordList:
        """Raises DataError where the dict is no vocabulary."""
        if missing := [key for key in ("words", "counts", "lowercase") if key not in plain]:
            raise DataError(f"this is no vocabulary: it has no {missing[0]!r}")
        counts = np.array(plain["counts"], dtype=np.int64)
        separator = str(plain.get("separator", " "))  # absent from what was written before characters could be words
        merges = plain.get("merges")
        pairs = None if merges is None else tuple((str(first), str(second)) for first, second in merges)
        return cls(tuple(plain["words"]), counts, bool(plain["lowercase"]), separator, pairs)


def _lowered(counts: Mapping[str, int]) -> dict[str, int]:
    lowered: dict[str, int] = {}
    for word, count in counts.items():
        lowered[word.lower()] = lowered.get(word.lower(), 0) + count
    return lowered


def _faults(words: tuple[str, ...], counts: npt.NDArray[np.int64]) -> Iterable[str]:
    if len(words) != len(counts):
        yield f"{len(words)} words, but {len(counts)} counts"
    if len(set(words)) != len(words):
        yield "a word is there twice"
    if missing := [special for special in SPECIALS if special not in words]:
        yield f"{missing[0]} is missing"
    if (np.diff(counts) > 0).any() or (counts < 0).any():
        yield "counts must fall and be 0 or more"
