"""Text as the pages show it: what others wrote is text, never Markdown, HTML, TeX, an icon or a picture."""

from __future__ import annotations

import html
import re

import streamlit as st

from dashboards.reports import clean

_MARKS = re.compile(r"([!-/:-@\[-`{-~])")
_ICON = re.compile(r":(?=[A-Za-z+\-])")
_STYLE = """<style>
.block-container { padding: 2.6rem 2.5rem 3rem; }
.vs-small { color: #667085; font-size: 14px; margin: 0; }
.vs-title { font-size: 27px; font-weight: 650; line-height: 1.25; margin: 2px 0 8px; overflow-wrap: anywhere; }
.vs-answer { border-left: 5px solid #0072b2; background: #f6f8fb; padding: 10px 16px; border-radius: 6px; font-size: 16.5px; }
.vs-answer p { margin: 5px 0; overflow-wrap: anywhere; }
.vs-how { color: #667085; font-size: 13.5px; margin: 6px 0 0; }
</style>"""


def style() -> None:
    """What the classes below look like."""
    st.html(_STYLE)


def small(text: str) -> None:
    """A line of less weight."""
    st.html(f'<p class="vs-small">{html.escape(clean(text))}</p>')


def title(text: str) -> None:
    """The page's heading."""
    st.html(f'<div class="vs-title" role="heading" aria-level="1">{html.escape(clean(text))}</div>')


def answer(sentences: list[str]) -> None:
    """What a reader looks for, set off from the rest."""
    st.html(f'<div class="vs-answer">{"".join(f"<p>{html.escape(clean(told))}</p>" for told in sentences)}</div>')


def how(text: str) -> None:
    """How to read what stands below."""
    st.html(f'<p class="vs-how">{html.escape(clean(text))}</p>')


def words(text: object) -> str:
    """For a label, which Streamlit reads as Markdown: each mark escaped, and no colon that could begin an icon's name."""
    return _MARKS.sub(r"\\\1", _ICON.sub(":\u200b", clean(text)))
