"""The dashboard's entry, which Streamlit runs anew for each reader and each click: ``vae-sweeps ui`` starts it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import streamlit as st

from dashboards.app import links, page_compare, page_sample, page_sweep, page_sweeps, page_trial, page_trials
from dashboards.app.pages import PAGES
from dashboards.app.settings import settings
from dashboards.app.shown import style, words
from dashboards.errors import NotFound, StoreError
from dashboards.home import HomeError


def main(path: str | None = None) -> None:
    """Draws a page.

    Args:
        path: which; None: the one that the address names.
    """
    st.set_page_config(page_title="vae-sweeps", layout="wide", initial_sidebar_state="expanded")
    style()
    bodies = {
        links.SWEEPS: (page_sweeps.draw, "Sweeps"),
        links.SWEEP: (page_sweep.draw, "Sweep"),
        links.TRIAL: (page_trial.draw, "Trial"),
        links.SAMPLE: (page_sample.draw, "Sample"),
        links.COMPARE: (page_compare.draw, "Sweeps compared"),
        links.TRIALS: (page_trials.draw, "Trials compared"),
    }
    for place, (draw, title) in bodies.items():
        PAGES[place] = st.Page(_guarded(draw), title=title, url_path=place, default=place == links.SWEEPS)
    chosen = st.navigation(list(PAGES.values()))
    with st.sidebar:
        _elsewhere()
    if path is None:
        chosen.run()
    else:
        _guarded(bodies[path][0])()


def _guarded(draw: Callable[[], None]) -> Callable[[], None]:
    """What is not there is a sentence on the page."""

    @functools.wraps(draw)
    def guarded() -> None:
        try:
            draw()
        except (NotFound, StoreError, HomeError) as error:
            st.error(words(error))

    return guarded


def _elsewhere() -> None:
    """Links onto other pages on the same records."""
    told = settings()
    if told.mlflow:
        st.link_button("MLflow", told.mlflow, type="tertiary", icon=":material/open_in_new:")
    if told.optuna:
        st.link_button("Optuna's dashboard", told.optuna, type="tertiary", icon=":material/open_in_new:")


if __name__ == "__main__":
    main()
