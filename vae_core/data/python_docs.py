"""English sentences from the interpreter's own documentation, ``pydoc_data.topics``.

The pages are what Sphinx writes as plain text: paragraphs wrapped at 72 columns and indented by what they belong to,
with literals in double quotes, headings underlined, tables drawn with ``+--`` and code indented by three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vae_core.data.errors import DataError
from vae_core.data.sentences import split_prose

_UNDERLINE = re.compile(r"\s*([=*~^#+.\"'-])\1{2,}\s*")
_NOT_PROSE = re.compile(r"\s*(\||\+[-=]|>>>|\.\.\.|.*::=|\[\d+\]$)")
_BULLET = re.compile(r"(\s*)(\*|-|\d+\.|\[\d+\])\s+(?=\S)")
_VERSION = re.compile(r"\s*(?:New|Added|Changed|Deprecated\S*(?: since)?|Removed)(?: in)?(?: version)? [\d.]+\d(?:[^.:]*:|\.)\s*")
_LITERAL_NAME = re.compile(r"\"([A-Za-z_][\w.]*?)(?:\(\))?\"")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(\w(?:[^*]*\w)?)\1(?![\w*])")
_FOOTNOTE = re.compile(r"\s*\[\d+\]")
_CODE_SIGNS = re.compile(r"[=<>{}\[\]|\\@#$%^&*+~_\"`/]")
_WORDS = re.compile(r"[A-Za-z]+")
_SHORT_LITERAL = re.compile(r"\"(?=[^\"]*[A-Za-z]{2})[^\" ][^\"]{0,19}\"(?!\w)")
_PLAIN_QUOTES = str.maketrans("“”‘’", "\"\"''")
_NAME = re.compile(r"(?<!\w)_*[A-Za-z]\w*(?:\.\w+)*")
_CODE_INDENT = 3
_FEWEST_WORDS = 4


def documentation_sentences() -> list[str]:
    """Every sentence once, in the order of the pages' names: pages quote one another.

    What cannot be read as English is left out: headings, tables, grammar, code, signatures, and sentences that quote code
    other than a name or a few characters. The same interpreter gives the same sentences; another version's documentation differs.

    Raises:
        DataError: this interpreter has no documentation.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "data.kind: python_docs needs the module pydoc_data, which this Python lacks: install its full standard library,"
            " or use data.kind: text_file"
        ) from error
    found: dict[str, None] = {}
    for name in sorted(topics):
        for paragraph in _paragraphs(topics[name]):
            for sentence in split_prose(_without_markup(paragraph)):
                bare = sentence[1:-1] if sentence.startswith("(") and sentence.endswith(".)") else sentence
                if _is_english(bare):
                    found[bare] = None
    return list(found)


def _paragraphs(page: str) -> Iterator[str]:
    """Runs of lines with one indentation; headings, tables, grammar, and the code that a colon announces are left out."""
    block: list[str] = []
    indent = 0
    code_depth: int | None = None
    announced = False
    for line in [*page.split("\n"), ""]:
        if _UNDERLINE.fullmatch(line):  # what stands above it is a heading
            block = []
            continue
        bullet = _BULLET.match(line)
        text = " " * bullet.end() + line[bullet.end() :] if bullet else line
        depth = len(text) - len(text.lstrip())
        blank = not text.strip()
        if block and (blank or bullet or depth != indent):
            announced = block[-1].endswith(":")
            yield "\n".join(block)
            block = []
        if blank or (code_depth is not None and depth >= code_depth):
            continue
        code_depth = depth if announced and depth >= indent + _CODE_INDENT else None
        announced = False
        if code_depth is None:
            indent = depth
            if not _NOT_PROSE.match(text):
                block.append(text.strip())


def _without_markup(paragraph: str) -> str:
    """Version notes, footnote marks, emphasis and the quotes around a single name are markup; the words stay."""
    text = _VERSION.sub("", paragraph, count=1) if _VERSION.match(paragraph) else paragraph
    text = _FOOTNOTE.sub("", text)
    text = _LITERAL_NAME.sub(r"\1", text)
    return _EMPHASIS.sub(r"\2", text).translate(_PLAIN_QUOTES)


def _is_english(sentence: str) -> bool:
    """Begins with a capital, ends with an end sign, has some words, closes its brackets, and quotes short code at most."""
    return (
        sentence[0].isupper()
        and sentence.endswith((*".!?:", ".)"))
        and len(_WORDS.findall(sentence)) >= _FEWEST_WORDS
        and sentence.count("(") == sentence.count(")")
        and not _CODE_SIGNS.search(_NAME.sub("", _SHORT_LITERAL.sub("", sentence)))
    )
