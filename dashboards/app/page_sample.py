"""One sample of a trial, large: a text, a reconstruction, a picture."""

from __future__ import annotations

import streamlit as st

from dashboards.analysis import searched
from dashboards.app import links, reading
from dashboards.app.code_map_view import code_map_of
from dashboards.app.exhibits import KINDS
from dashboards.app.exhibits_view import kinds_of, piece
from dashboards.app.pages import go, link
from dashboards.app.picking import pick_sweep, pick_trial
from dashboards.app.shown import small, title
from dashboards.summary import configuration


def draw() -> None:
    """The page."""
    sweep = pick_sweep()
    if sweep is None:
        return
    trial = pick_trial(reading.trials_of(str(sweep["name"])))
    if trial is None:
        return
    name, number, run_id = str(sweep["name"]), int(trial["trial"]), str(trial["run_id"])
    held = code_map_of(run_id)
    drawn = kinds_of(run_id, None if held is None or held.is_text else tuple(held.inputs.shape[1:]))
    link(links.TRIAL, f"Trial {number}", icon=":material/arrow_back:", sweep=name, trial=number)
    if not drawn:
        small(f"Trial {number} ({str(trial['state']).lower()}) keeps no samples: only a complete one does.")
        return
    with st.sidebar:
        # the address holds what the reader sees: no other words for it
        kind = st.selectbox("Kind", list(drawn), key="kind", bind="query-params")
    pieces = drawn[kind]
    asked = st.query_params.get("number", "1")
    place = min(max(int(asked) if asked.isdecimal() else 1, 1), len(pieces))
    title(f"{KINDS[kind]}, {place} of {len(pieces)}")
    small(f"{name} · trial {number} · {configuration(trial, searched(sweep))}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Before", icon=":material/chevron_left:", disabled=place == 1):
            go(links.SAMPLE, sweep=name, trial=number, kind=kind, number=place - 1)
        if st.button("Next", icon=":material/chevron_right:", disabled=place == len(pieces)):
            go(links.SAMPLE, sweep=name, trial=number, kind=kind, number=place + 1)
    piece(pieces[place - 1])
