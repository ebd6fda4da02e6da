"""Sentences and words, from prose and from text whose words are already apart; the interpreter's documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.data.python_docs import documentation_sentences
from vae_core.data.sentences import detect_tokens, sentences, split_prose, to_words

PROSE = """\
"Well, Prince," said Mr. Scherer, "so Genoa and
Lucca are now e.g. Paris." He was right! Was he? "Yes."

J. Smith came at 3.15 on the well-
known road... and left. (He hurried.) 1805 was
a year of war.
"""


def test_prose_is_split_at_ends_of_sentences_within_paragraphs() -> None:
    assert list(sentences(PROSE, "words")) == [
        '"Well, Prince," said Mr. Scherer, "so Genoa and Lucca are now e.g. Paris."',
        "He was right!",
        "Was he?",
        '"Yes."',
        "J. Smith came at 3.15 on the well-known road... and left.",
        "(He hurried.)",
        "1805 was a year of war.",
    ]


def test_prose_is_not_split_where_a_small_letter_follows() -> None:
    assert list(split_prose('"What?" said Anna. “No!” cried he.')) == ['"What?" said Anna.', "“No!” cried he."]


@given(st.text("aB.!?\"' \n(", max_size=60))
def test_splitting_prose_loses_nothing_but_white_space(text: str) -> None:
    found = list(split_prose(text))
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence == " ".join(sentence.split()) and sentence for sentence in found)


def test_words_already_apart_end_a_sentence_at_a_lone_full_stop() -> None:
    text = (
        " = = Early life = = \n"
        ' It rained . the day was 3 @.@ 5 hours long ! Mr. Smith , of the U.S. Army , said " Go . " He went \n'
        "\n"
        ' He asked , " Why ? Because . " \n'
    )
    assert list(sentences(text, "spaces")) == [
        "It rained .",
        "the day was 3 @.@ 5 hours long !",
        'Mr. Smith , of the U.S. Army , said " Go . "',
        "He went",
        'He asked , " Why ?',
        "Because .",
        '"',
    ]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Speak, speak.", ["Speak", ",", "speak", "."]),
        ("Don't ask Mr. Bell; it's the U.S.", ["Don't", "ask", "Mr.", "Bell", ";", "it's", "the", "U.S."]),
        ("1,000.5 of 3-tuples, 2.x--well...", ["1,000.5", "of", "3-tuples", ",", "2.x", "--", "well", "..."]),
        ("Natásha’s <unk> __init__() “ok”", ["Natásha’s", "<unk>", "__init__", "(", ")", "“", "ok", "”"]),
        ("e.g. this", ["e.g.", "this"]),
    ],
)
def test_words_and_signs(sentence: str, expected: list[str]) -> None:
    assert to_words(sentence, "words") == expected


@given(st.text(max_size=60))
def test_taking_words_apart_loses_nothing_but_white_space(text: str) -> None:
    assert "".join(to_words(text, "words")) == "".join(text.split())
    assert to_words(text, "spaces") == text.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Speak , speak .\nHark .", "spaces"),
        ("Speak, speak.\nHark.", "words"),
        ("no punctuation at all", "spaces"),
        ("mr. <unk> is chairman of n.v. the dutch group", "spaces"),
        ("The (<unk>) sign, as such.", "words"),
    ],
)
def test_whether_words_are_apart_is_seen_from_the_text(text: str, expected: str) -> None:
    assert detect_tokens(text) == expected


def test_documentation_is_a_few_thousand_clean_sentences() -> None:
    found = documentation_sentences()
    assert found == documentation_sentences()
    assert 1500 < len(found) < 10000
    assert len(set(found)) == len(found)
    for sentence in found:
        assert sentence[0].isupper(), sentence
        assert sentence.endswith((".", "!", "?", ":", ".)")), sentence
        assert "\n" not in sentence
        assert "  " not in sentence
    text = "\n".join(found)
    for remains in (">>>", "::=", "+---", "====", "****", "Changed in version", "New in version", "**PEP", "import pdb"):
        assert remains not in text, remains
    assert "A class definition is an executable statement." in found
