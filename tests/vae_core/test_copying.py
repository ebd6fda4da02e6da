"""Copies are found, and the nearest sentence is the nearest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.copying import Nearest, copied, nearest, searched
from vae_core.data.text import TextSplit

IDS = st.lists(st.integers(0, 3), max_size=6)


def split(sentences: list[list[int]]) -> TextSplit:
    offsets = np.cumsum([0, *map(len, sentences)], dtype=np.int64)
    return TextSplit(np.array([word for sentence in sentences for word in sentence], dtype=np.int32), offsets)


def edits(one: list[int], other: list[int]) -> int:
    """Levenshtein 1966, by its recursion."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b)))
    return row[-1]


def test_a_copy_is_the_whole_sentence_word_for_word() -> None:
    train = split([[1, 2, 3], [4, 5]])
    ours = [[1, 2, 3], [4, 5], [1, 2], [2, 3], [3, 4], [1, 2, 3, 4, 5], [3, 2, 1], []]
    assert copied(ours, train) == [True, True, False, False, False, False, False, False]


def test_large_word_ids_are_told_apart() -> None:
    """Also those that are no characters by themselves, from 0xD800 to 0xDFFF."""
    train = split([[0xD800, 70_000], [0xDFFF, 1_000_000]])
    ours = [[0xDFFF, 1_000_000], [0xDFFF, 70_000]]
    assert copied(ours, train) == [True, False]
    assert nearest(ours, train, np.arange(2)) == [Nearest(1, 0), Nearest(0, 1)]


@given(st.lists(IDS, min_size=1, max_size=8), st.lists(IDS, min_size=1, max_size=5))
def test_the_nearest_is_the_first_of_least_distance(sentences: list[list[int]], ours: list[list[int]]) -> None:
    places = np.arange(len(sentences))
    for sentence, found in zip(ours, nearest(ours, split(sentences), places), strict=True):
        distances = [edits(sentence, other) for other in sentences]
        assert found == Nearest(distances.index(min(distances)), min(distances))
        assert copied([sentence], split(sentences)) == [found.distance == 0]


@pytest.mark.parametrize(("work", "count"), [(2**27, 100), (4 * 5 * 50, 50), (4 * 5 * 50 - 1, 49), (0, 1)])
def test_the_search_is_bounded_and_evenly_spread(work: int, count: int) -> None:
    train = split([[1, 2, 3, 4, 5]] * 100)
    places = searched([[1]] * 4, train, work)
    assert len(places) == count
    assert (places >= 0).all()
    assert (places < 100).all()
    assert len(places) < 2 or set(np.diff(places)) <= {100 // count, -(-100 // count)}
