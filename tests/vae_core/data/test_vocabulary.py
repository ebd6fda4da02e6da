"""The vocabulary: order, cut-offs, special entries, round trips."""

from __future__ import annotations

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vae_core.data import DataError, Vocabulary
from vae_core.data.vocabulary import RESERVED, SPECIALS, UNK, WordList

COUNTS = {"the": 9, "cat": 4, "sat": 4, "mat": 2, "on": 3, "Cat": 1, "rare": 1}

words = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=6).filter(lambda word: word not in SPECIALS)
counted = st.dictionaries(words, st.integers(1, 50), min_size=1, max_size=30)


def test_order_is_by_falling_count_then_alphabet_with_the_specials_in_their_place() -> None:
    made = WordList.from_counts(COUNTS, sentences=5, options=Vocabulary(min_count=2))
    assert made.words == ("the", "</s>", "cat", "sat", "on", "<unk>", "mat", "<pad>", "<s>")
    assert made.counts.tolist() == [9, 5, 4, 4, 3, 2, 2, 0, 0]
    assert (made.unk, made.eos, made.bos, made.pad) == (5, 1, 8, 7)


def test_max_size_counts_the_four_specials_and_leaves_out_the_rarest() -> None:
    made = WordList.from_counts(COUNTS, sentences=1, options=Vocabulary(max_size=6, min_count=1))
    assert len(made) == 6
    assert set(made.words) == {"the", "cat", *SPECIALS}  # of cat and sat, equally frequent, the alphabet's first
    assert made.counts[made.unk] == 4 + 2 + 3 + 1 + 1


def test_unknown_words_of_the_text_are_counted_with_the_rare_ones() -> None:
    made = WordList.from_counts({"a": 3, "b": 1, UNK: 10}, sentences=1, options=Vocabulary(min_count=2))
    assert made.words[0] == UNK
    assert made.counts[0] == 11


def test_lowercase_adds_up_and_lowers_what_is_encoded() -> None:
    made = WordList.from_counts(COUNTS, sentences=1, options=Vocabulary(lowercase=True))
    assert made.counts[made.words.index("cat")] == 5
    assert "Cat" not in made.words
    assert made.encode(["CAT", "Sat"]).tolist() == [made.words.index("cat"), made.words.index("sat")]


@given(counted, st.integers(1, 1000), st.integers(5, 20), st.integers(1, 3), st.booleans())
def test_counts_fall_and_add_up_to_the_text(
    counts: dict[str, int], sentences: int, size: int, rare: int, lowercase: bool
) -> None:
    most = max(Counter(word.lower() if lowercase else word for word in counts for _ in range(counts[word])).values())
    assume(most >= rare)
    made = WordList.from_counts(counts, sentences, Vocabulary(max_size=size, min_count=rare, lowercase=lowercase))
    assert (np.diff(made.counts) <= 0).all()
    assert made.counts.sum() == sum(counts.values()) + sentences
    assert len(made) <= size
    assert all(made.words.count(special) == 1 for special in SPECIALS)
    ties = [(-count, word) for word, count in zip(made.words, made.counts.tolist(), strict=True)]
    assert ties == sorted(ties)


@given(counted)
def test_decode_undoes_encode(counts: dict[str, int]) -> None:
    made = WordList.from_counts(counts, 1, Vocabulary(min_count=1))
    ids = made.encode(counts)
    assert ids.dtype == np.int32
    assert made.decode(ids) == " ".join(counts)


def test_decode_stops_at_the_end_and_leaves_out_what_is_no_word() -> None:
    made = WordList.from_counts(COUNTS, 1, Vocabulary(min_count=1))
    the, cat = made.encode(["the", "cat"]).tolist()
    assert made.decode([made.bos, the, made.unk, made.pad, cat, made.eos, the]) == "the <unk> cat"
    assert made.encode(["unheard-of"]).tolist() == [made.unk]


def test_survives_json_and_pickle() -> None:
    made = WordList.from_counts(COUNTS, 3, Vocabulary(lowercase=True))
    for again in (WordList.from_dict(json.loads(json.dumps(made.to_dict()))), pickle.loads(pickle.dumps(made))):
        assert again.words == made.words
        assert again.counts.tolist() == made.counts.tolist()
        assert again.lowercase


def test_counts_are_shared_and_cannot_be_written() -> None:
    made = WordList.from_counts(COUNTS, 3, Vocabulary())
    with pytest.raises(ValueError, match="read-only"):
        made.counts[0] = 0


@pytest.mark.parametrize("word", RESERVED)
def test_a_text_that_holds_a_reserved_word_is_refused(word: str) -> None:
    with pytest.raises(DataError, match=f"{word} as a word.*remove"):
        WordList.from_counts({"a": 2, word: 1}, 1, Vocabulary())


def test_no_word_left_says_how_frequent_the_best_is() -> None:
    with pytest.raises(DataError, match=r"occurs 9 times.*min_count is 10"):
        WordList.from_counts(COUNTS, 1, Vocabulary(min_count=10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": [1]}, "words, but 1 counts"),
        ({"words": ["a", "a", *SPECIALS], "counts": [1, 1, 1, 0, 0, 0]}, "twice"),
        ({"words": ["a", "<unk>", "</s>", "<s>"], "counts": [1, 1, 1, 0]}, "<pad> is missing"),
        ({"words": ["a", *SPECIALS], "counts": [0, 1, 1, 1, 1]}, "fall"),
    ],
)
def test_a_damaged_vocabulary_file_is_refused(change: dict[str, object], message: str) -> None:
    plain = WordList.from_counts(COUNTS, 1, Vocabulary()).to_dict()
    with pytest.raises(DataError, match=message):
        WordList.from_dict(plain | change)
    with pytest.raises(DataError, match="'words'"):
        WordList.from_dict({"counts": []})
