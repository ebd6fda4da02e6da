"""Figures that lay trials, or whole sweeps, on top of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from dashboards.figures.style import COLORS, figure, text, with_unit

if TYPE_CHECKING:
    import plotly.graph_objects as go


def curves(table: pd.DataFrame, metric: str, names: Mapping[str, str], *, height: int = 340) -> go.Figure:
    """One metric of runs, from the frame of ``load_curves``.

    Args:
        names: what each run is called, by its id, in the order of the colours.
    """
    import plotly.graph_objects as go

    drawn = figure(text(with_unit(metric)), "epoch", "", height=height)
    drawn.update_layout(showlegend=len(names) > 1)
    own = table[table["metric"] == metric]
    if len(own) and own["epoch"].max() <= 20:
        drawn.update_xaxes(dtick=1)
    for place, (run_id, name) in enumerate(names.items()):
        line = own[own["run_id"] == run_id]
        look = {"color": COLORS[place % len(COLORS)], "width": 2, "dash": "dash" if place >= len(COLORS) else "solid"}
        mode = "lines" if len(line) > 1 else "lines+markers"
        hover = f"{text(name)}, epoch %{{x}}: %{{y:.5g}}<extra></extra>"
        drawn.add_trace(go.Scatter(x=line["epoch"], y=line["value"], mode=mode, line=look, name=text(name), hovertemplate=hover))
    return drawn


def best_so_far(tables: Mapping[str, pd.DataFrame], metric: str) -> go.Figure:
    """The best so far of each sweep, from ``analyses.progress``, by how many trials it took."""
    import plotly.graph_objects as go

    drawn = figure("The best so far", "comparable trials", text(with_unit(metric)))
    for color, (name, table) in zip([*COLORS] * (1 + len(tables) // len(COLORS)), tables.items(), strict=False):
        count = list(range(1, len(table) + 1))
        line = {"shape": "hv", "color": color, "width": 2.5}
        drawn.add_trace(go.Scatter(x=count, y=table["best"], mode="lines", name=text(name), line=line))
        marks = {"color": color, "size": 5, "opacity": 0.4}
        drawn.add_trace(go.Scatter(x=count, y=table["score"], mode="markers", marker=marks, showlegend=False, hoverinfo="skip"))
    return drawn
