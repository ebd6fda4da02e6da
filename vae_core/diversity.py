"""How varied a set of sentences is, on lists of token ids: distinct n-grams and self-BLEU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Sentence = Sequence[int]
Gram = tuple[int, ...]
ORDER = 4
"""BLEU's longest n-gram."""
_EPSILON = 0.1


def distinct_n(sentences: Sequence[Sentence], n: int) -> float:
    """Different n-grams / n-grams over all sentences (Li et al. 2016, sec. 5.1); 0 where there is none.

    It falls as sentences are added, so that only sets of one size compare.
    """
    grams = Counter(gram for sentence in sentences for gram in _grams(sentence, n))
    return len(grams) / max(1, grams.total())


def self_bleu(sentences: Sequence[Sentence]) -> float:
    """Mean BLEU-4 of each sentence against all others as references (Zhu et al. 2018): 1 where all are the same.

    BLEU (Papineni et al. 2002) is min(1, exp(1 - r/c)) (p_1 p_2 p_3 p_4)^(1/4): p_n the share of the n-grams that a reference
    has, none counted more often than in the one that has it most often; c the length, r the closest reference's, of two the
    shorter. As in Texygen, which introduced the measure, a count of 0 is taken as 0.1 (Chen & Cherry 2014, method 1), a
    sentence too short for any n-gram has 0 of 1, and one that shares no word has BLEU 0.

    Raises:
        ValueError: there are fewer than two sentences.
    """
    if len(sentences) < 2:
        raise ValueError(f"self-BLEU compares each sentence with others: give two or more, not {len(sentences)}")
    matches = [_matches(sentences, n) for n in range(1, ORDER + 1)]
    lengths = Counter(len(sentence) for sentence in sentences)
    scores = [
        _bleu(len(sentence), _closest(len(sentence), lengths), found)
        for sentence, found in zip(sentences, zip(*matches, strict=True), strict=True)
    ]
    return math.fsum(scores) / len(scores)


def _bleu(length: int, reference: int, matches: Sequence[int]) -> float:
    if matches[0] == 0:
        return 0.0
    logs = [math.log((found or _EPSILON) / max(1, length - n)) for n, found in enumerate(matches)]
    return math.exp(min(0.0, 1.0 - reference / length) + math.fsum(logs) / ORDER)


def _matches(sentences: Sequence[Sentence], n: int) -> list[int]:
    """How many n-grams of each sentence another has too, clipped to the most that one other has of it.

    The two highest counts of an n-gram tell the highest among the others of each sentence.
    """
    counts = [Counter(_grams(sentence, n)) for sentence in sentences]
    highest: dict[Gram, tuple[int, int]] = {}
    for count in counts:
        for gram, times in count.items():
            first, second = highest.get(gram, (0, 0))
            highest[gram] = (times, first) if times > first else (first, max(second, times))
    return [sum(min(times, highest[gram][times == highest[gram][0]]) for gram, times in count.items()) for count in counts]


def _closest(length: int, lengths: Counter[int]) -> int:
    """The length closest to this one among the other sentences'; of two the shorter."""
    others = (other for other, count in lengths.items() if count > (other == length))
    return min(others, key=lambda other: (abs(other - length), other))


def _grams(sentence: Sentence, n: int) -> list[Gram]:
    return [tuple(sentence[start : start + n]) for start in range(len(sentence) - n + 1)]
