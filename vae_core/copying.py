"""Whether sentences were copied from the training split: verbatim, and the nearest one by edit distance.

Shapes: S sentences, n training sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from vae_core.data.text import TextSplit

Sentence = Sequence[int]
WORK = 2**27
"""Pairs of a sentence and a training sentence, times the latter's tokens: about a second at most."""


@dataclass(frozen=True)
class Nearest:
    """The training sentence that takes the fewest insertions, deletions and replacements of tokens; of several the first."""

    place: int
    """In the training split."""
    distance: int
    """How many it takes (Levenshtein 1966)."""


def copied(sentences: Sequence[Sentence], train: TextSplit) -> list[bool]:
    """Whether each sentence stands in train token for token, (S,)."""
    ours = _strings(sentences)
    wanted, found = set(ours), set()
    text, offsets = _text(train.tokens), train.offsets.tolist()
    for start, end in pairwise(offsets):
        if text[start:end] in wanted:
            found.add(text[start:end])
    return [sentence in found for sentence in ours]


def searched(sentences: Sequence[Sentence], train: TextSplit, work: int = WORK) -> np.ndarray:
    """The training sentences that ``nearest`` looks at: all, or as many as the work allows, evenly spread; int64 (n,)."""
    n = len(train)
    most = work // max(1, len(sentences) * -(-len(train.tokens) // n))
    count = min(n, max(1, most))
    return np.arange(count, dtype=np.int64) * n // count


def nearest(sentences: Sequence[Sentence], train: TextSplit, places: np.ndarray) -> list[Nearest]:
    """The nearest of the training sentences at ``places`` to each sentence, (S,)."""
    text = _text(train.tokens)
    candidates = [text[train.offsets[place] : train.offsets[place + 1]] for place in places]
    distances = cdist(_strings(sentences), candidates, scorer=Levenshtein.distance, dtype=np.uint16)
    best = distances.argmin(1)
    return [Nearest(int(places[column]), int(row[column])) for row, column in zip(distances, best, strict=True)]


def _strings(sentences: Sequence[Sentence]) -> list[str]:
    return [_text(np.array(sentence, dtype=np.int32)) for sentence in sentences]


def _text(ids: np.ndarray) -> str:
    """One character a token, the fastest form for comparisons; ids must lie below 0x110000, as characters do."""
    return ids.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
