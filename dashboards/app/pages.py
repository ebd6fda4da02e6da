"""The pages by their paths, for links between them; Streamlit knows a page by an object that it makes anew for each run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st
from streamlit.runtime.state import get_session_state

PAGES: dict[str, Any] = {}
"""Filled by ``main``; which object stands for a page does not matter, only its path."""


def go(path: str, **query: object) -> None:
    """Opens a page in place of this one; a list stands in the address value by value."""
    _release(query)
    st.switch_page(PAGES[path], query_params={name: _words(value) for name, value in query.items()})


def _release(names: Iterable[str]) -> None:
    """Streamlit sets nothing in an address that is bound to a widget, not even of a page that is about to go."""
    with get_session_state().query_params() as held:
        for name in names:
            if (binding := held.get_binding_for_param(name)) is not None:
                held.unbind_widget(binding.widget_id)


def link(path: str, label: str, icon: str | None = None, **query: object) -> None:
    """A link onto a page; the label is Markdown."""
    st.page_link(PAGES[path], label=label, icon=icon, query_params={name: str(value) for name, value in query.items()})


def _words(value: object) -> str | list[str]:
    return [str(each) for each in value] if isinstance(value, list) else str(value)
