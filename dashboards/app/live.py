"""What a page shows while its sweep runs is read again every few seconds; a switch, kept in the address, stops that."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboards.app.reading import REFRESH_S

KEY = "live"


def live(draw: Callable[[], bool], running: bool) -> None:
    """Draws a part of the page, and while the sweep runs draws it again and again.

    Args:
        draw: says whether the sweep still runs.
        running: whether it ran when the page was opened.
    """
    every = None
    if running and st.toggle(f"Live: read again every {REFRESH_S:.0f} s", value=True, key=KEY, bind="query-params"):
        every = REFRESH_S

    @st.fragment(run_every=every)
    def part() -> None:
        if not draw() and running:
            st.rerun()

    part()
