"""The figures of a sweep's page, kept as they are drawn: looked at again, or after a click elsewhere, they are there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboards.page.figures import figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

Drawing = tuple[str, "go.Figure"]
_KEPT = 8
"""Pages whose figures are kept, over all visitors."""


def drawings(
    key: Hashable, trials: pd.DataFrame, sweep: pd.Series[Any], curves: pd.DataFrame, kl: pd.DataFrame
) -> Iterator[Drawing]:
    """``figures``, one after the other as they are drawn; from what is kept, if they were drawn of the same.

    Args:
        key: of what they are drawn: the version of the store from before it was read, the sweep, and what was chosen on its page.
    """
    kept = _kept()
    if (there := kept.get(key)) is not None:
        kept.move_to_end(key)
        yield from there
        return
    drawn = []
    for each in figures(trials, sweep, curves, kl):
        drawn.append(each)
        yield each
    kept[key] = drawn
    while len(kept) > _KEPT:
        kept.popitem(last=False)


@st.cache_resource(show_spinner=False)
def _kept() -> OrderedDict[Hashable, list[Drawing]]:
    return OrderedDict()
