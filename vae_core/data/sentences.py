"""From text to sentences and words: for plain prose, and for text whose words are already apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

Tokens = Literal["spaces", "words", "character", "bpe"]
"""``bpe`` is told apart by what is learned of train, see ``subwords``; all others by ``to_words``."""

_ABBREVIATIONS = (
    "Mr",
    "Mrs",
    "Ms",
    "Messrs",
    "Dr",
    "Prof",
    "Rev",
    "Hon",
    "St",
    "Jr",
    "Sr",
    "Gen",
    "Col",
    "Maj",
    "Capt",
    "Lt",
    "Sgt",
    "Vol",
    "Fig",
    "vs",
    "cf",
    "e.g",
    "i.e",
    "E.g",
    "I.e",
    "approx",
)
_ENDS = (".", "!", "?")
_ALONE = re.compile(r"(?<=\s)[.,](?=\s)")
_ATTACHED = re.compile(r"(?<=\w)[.,](?=\s)")
_WORD = re.compile(
    rf"""
      <unk>
    | (?:{"|".join(map(re.escape, _ABBREVIATIONS))})\.(?!\w)  # keeps its full stop
    | (?:[^\W\d_]\.){{2,}}                                    # U.S.
    | \d+(?:[.,:]\d+)*(?![.'’-]?\w)                            # 1,000.5
    | \w+(?:[.'’-]\w+)*                                       # don't, well-known, str.format, __init__
    | \.\.\.+ | --+                                           # as one sign
    | [^\w\s]
    """,
    re.VERBOSE,
)
_CHARACTER = re.compile(r"<unk>|.", re.DOTALL)
_BOUNDARY = re.compile(r"(?P<end>[.!?…]+)[\"'”’»)\]]*(?P<gap>\s+)(?=[\"'“‘«(\[]*(?P<next>[^\W_]))")
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_]-)\n\s*(?=[^\W\d_])")
_BLANK_LINE = re.compile(r"\n\s*\n")
_HEADING = re.compile(r"\s*=.*=\s*")


def detect_tokens(text: str) -> Tokens:
    """``spaces`` where ``<unk>`` is a word of the text, or its full stops and commas mostly stand alone; else ``words``."""
    if re.search(r"(?<!\S)<unk>(?!\S)", text):
        return "spaces"
    alone = sum(1 for _ in _ALONE.finditer(text))
    attached = sum(1 for _ in _ATTACHED.finditer(text + "\n"))
    return "spaces" if alone >= attached else "words"


def to_words(sentence: str, tokens: Tokens) -> list[str]:
    """What stands between spaces; or words and signs, taken apart; or characters, runs of white space as one space."""
    assert tokens != "bpe", "Subwords.encode"
    if tokens == "character":
        return _CHARACTER.findall(" ".join(sentence.split()))
    return sentence.split() if tokens == "spaces" else _WORD.findall(sentence)


def lines(text: str) -> Iterator[str]:
    """Every line that is not blank."""
    return (line for line in text.split("\n") if line and not line.isspace())


def sentences(text: str, tokens: Tokens) -> Iterator[str]:
    """The sentences of a text.

    Words already apart (``spaces``): a line is a paragraph, a lone ``.``, ``!`` or ``?`` ends a sentence, and headings such as
    ``= = History = =`` are left out. Prose (all others): lines are joined up to the next blank one.
    """
    if tokens == "spaces":
        for line in lines(text):
            if not _HEADING.fullmatch(line):
                yield from _sentences_of_words(line.split())
    else:
        for paragraph in _BLANK_LINE.split(text):
            yield from split_prose(paragraph)


def split_prose(paragraph: str) -> Iterator[str]:
    """The sentences of one paragraph of prose, each on one line with single spaces.

    A sentence ends at ``.``, ``!``, ``?`` or ``…`` and closing quotes or brackets, where what follows begins with a capital or a
    digit; not after an abbreviation (Mr., e.g.) or an initial (J. Smith). A word broken at its hyphen is joined again.
    """
    paragraph = " ".join(_BROKEN_WORD.sub("", paragraph).split())
    start = 0
    for match in _BOUNDARY.finditer(paragraph):
        if match["next"].islower() or (match["end"] == "." and _abbreviated(paragraph, match.start())):
            continue
        yield paragraph[start : match.start("gap")]
        start = match.end("gap")
    if start < len(paragraph):
        yield paragraph[start:]


def _abbreviated(text: str, stop: int) -> bool:
    """Whether the word before the full stop at ``stop`` is an abbreviation or an initial."""
    word = text[text.rfind(" ", 0, stop) + 1 : stop].lstrip("\"'“‘«([")
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")


def _sentences_of_words(words: list[str]) -> Iterator[str]:
    """Cuts after a lone end sign, and after the quote that closes there: one that makes the sentence's quotes even."""
    start = 0
    for place in (place for place, word in enumerate(words) if word in _ENDS):
        stop = place + 1
        if stop <= start:
            continue
        if words[stop : stop + 1] == ['"'] and words[start:stop].count('"') % 2:
            stop += 1
        yield " ".join(words[start:stop])
        start = stop
    if start < len(words):
        yield " ".join(words[start:])
