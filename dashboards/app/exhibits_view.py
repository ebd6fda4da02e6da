"""Samples and reconstructions on a page."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboards.app import links, reading
from dashboards.app.exhibits import KINDS, Piece, enlarged, pieces_of, pixels_of
from dashboards.app.pages import link
from dashboards.reports import lines_of

_MOST = 8
"""Pieces of text that are shown before the reader asks for more."""


def side_by_side(sweep: str, trials: Mapping[int, str]) -> None:
    """What each of the trials drew, one column each.

    Args:
        trials: their run ids, by number.
    """
    for heading, shown in reading.exhibits_of(dict(trials)).items():
        st.subheader(heading)
        for column, exhibit in zip(st.columns(max(2, len(shown)), gap="small"), shown, strict=False):
            with column.container(border=True):
                link(links.TRIAL, f"trial {exhibit.trial}", sweep=sweep, trial=exhibit.trial)
                if exhibit.image:
                    st.image(exhibit.image, width="stretch")
                else:
                    st.code(lines_of(exhibit.text), language=None, wrap_lines=True)


def kinds_of(run_id: str, shape: tuple[int, ...] | None) -> dict[str, list[Piece]]:
    """All that a trial drew, by kind."""
    samples, diagnosis = reading.artifacts_of(run_id, "samples"), reading.artifacts_of(run_id, "diagnosis")
    found = {kind: pieces_of(kind, samples, diagnosis, shape) for kind in KINDS}
    return {kind: pieces for kind, pieces in found.items() if pieces}


def kind_of_a_trial(kind: str, pieces: list[Piece], run_id: str, sweep: str, trial: int) -> None:
    """One kind on the trial's page: texts one by one, pictures as the one grid that they are kept in."""
    if pieces[0].pixels is not None:
        picture = reading.artifacts_of(run_id, "samples")[f"{kind}.png"]
        st.image(enlarged(pixels_of(picture), 64))
    else:
        for piece in pieces[:_MOST]:
            st.code(lines_of(piece.text), language=None, wrap_lines=True)
    if len(pieces) > 1:
        link(links.SAMPLE, f"One by one: {len(pieces)}", icon=":material/zoom_in:", sweep=sweep, trial=trial, kind=kind)


def piece(shown: Piece) -> None:
    """One piece, large."""
    if shown.pixels is not None:
        st.image(enlarged(shown.pixels, 320))
    else:
        st.code(lines_of(shown.text), language=None, wrap_lines=True)
