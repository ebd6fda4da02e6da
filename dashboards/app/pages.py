"""The pages by their paths, for links between them; Streamlit knows a page by an object that it makes anew for each run."""

from __future__ import annotations

from typing import Any

import streamlit as st

PAGES: dict[str, Any] = {}
"""Filled by ``main``; which object stands for a page does not matter, only its path."""


def go(path: str, **query: object) -> None:
    """Opens a page in place of this one; a list stands in the address value by value."""
    st.switch_page(PAGES[path], query_params={name: _words(value) for name, value in query.items()})


def link(path: str, label: str, icon: str | None = None, **query: object) -> None:
    """A link onto a page; the label is Markdown."""
    st.page_link(PAGES[path], label=label, icon=icon, query_params={name: str(value) for name, value in query.items()})


def _words(value: object) -> str | list[str]:
    return [str(each) for each in value] if isinstance(value, list) else str(value)
