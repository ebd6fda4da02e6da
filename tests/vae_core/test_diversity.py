"""Distinct n-grams and self-BLEU: by hand, and against figures of NLTK."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.diversity import _matches, distinct_n, self_bleu

SENTENCES = st.lists(st.lists(st.integers(0, 3), max_size=7), min_size=2, max_size=6)

# nltk 3.10: mean of sentence_bleu(the others, sentence, smoothing_function=SmoothingFunction().method1)
NLTK = {
    "three of a kind": ([[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 7, 4, 5, 8]], 0.5168902357813905),
    "short and empty": ([[1, 1, 2], [1, 2, 1, 1, 3, 2], [2, 1], []], 0.15844323613169414),
}


@pytest.mark.parametrize(("sentences", "expected"), NLTK.values(), ids=NLTK)
def test_self_bleu_is_that_of_nltk(sentences: list[list[int]], expected: float) -> None:
    assert self_bleu(sentences) == pytest.approx(expected, rel=1e-12)


def test_self_bleu_at_its_ends() -> None:
    assert self_bleu([[1, 2, 3, 4, 5]] * 3) == pytest.approx(1.0, rel=1e-12)
    assert self_bleu([[1, 2, 3], [4, 5, 6]]) == 0.0
    with pytest.raises(ValueError, match="two or more, not 1"):
        self_bleu([[1, 2, 3]])


def test_a_brevity_penalty_by_hand() -> None:
    """(1 2 3 4) in (1 2 3 4 5): all n-grams match, exp(1 - 5/4). Back: 4/5, 3/4, 2/3, 1/2, which multiply to 1/5."""
    assert self_bleu([[1, 2, 3, 4], [1, 2, 3, 4, 5]]) == pytest.approx((2.718281828459045**-0.25 + 0.2**0.25) / 2, rel=1e-12)


@given(SENTENCES, st.integers(1, 4))
def test_matches_are_clipped_to_the_other_that_has_most(sentences: list[list[int]], n: int) -> None:
    grams = [[tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1)] for sentence in sentences]
    for place, (own, found) in enumerate(zip(grams, _matches(sentences, n), strict=True)):
        others = grams[:place] + grams[place + 1 :]
        assert found == sum(min(own.count(gram), max(other.count(gram) for other in others)) for gram in set(own))


@given(SENTENCES)
def test_the_order_does_not_matter(sentences: list[list[int]]) -> None:
    assert self_bleu(sentences) == pytest.approx(self_bleu(sentences[::-1]), abs=1e-12)
    assert distinct_n(sentences, 2) == distinct_n(sentences[::-1], 2)


def test_distinct_by_hand() -> None:
    sentences = [[1, 2, 1, 2], [2, 1], [], [3]]
    assert distinct_n(sentences, 1) == pytest.approx(3 / 7)
    assert distinct_n(sentences, 2) == pytest.approx(2 / 4)  # 12 21 12; 21: pairs cross no sentence's end
    assert distinct_n([[], []], 1) == 0.0
