"""The figure of configurations compared seed by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from dashboards.figures.style import COLORS, MUTED, figure, text, with_unit

if TYPE_CHECKING:
    import plotly.graph_objects as go


def seeds(table: pd.DataFrame, metric: str) -> go.Figure:
    """The differences of ``analyses.seeds.paired`` from the best, with intervals; what cannot be told apart from it is open."""
    import plotly.graph_objects as go

    others = table[table["pairs"] > 0]
    title = "Differences from the best, seed by seed"
    drawn = figure(title, f"{text(with_unit(metric))}: own minus the best's", "", height=150 + 34 * (len(others) + 1))
    for apart, name, color, symbol in (
        (False, "cannot be told apart", MUTED, "circle-open"),
        (True, "told apart (paired t, Holm)", COLORS[1], "circle"),
    ):
        own = others[others["apart"] == apart]
        if len(own):
            errors = {"type": "data", "array": own["high"] - own["difference"], "arrayminus": own["difference"] - own["low"]}
            drawn.add_trace(
                go.Scatter(
                    x=own["difference"],
                    y=[head(trial, words) for trial, words in zip(own["configuration"], own["words"], strict=True)],
                    error_x=errors,
                    mode="markers",
                    name=name,
                    marker={"color": color, "symbol": symbol, "size": 10},
                    customdata=own[["pairs", "p_holm", "mean"]],
                    hovertemplate="mean %{customdata[2]:.4g}; %{x:.3g} over %{customdata[0]} seeds, p %{customdata[1]:.3f}"
                    "<extra></extra>",
                )
            )
    best = table[table["place"] == 1]
    heads = [head(trial, words) for trial, words in zip(table["configuration"], table["words"], strict=True)]
    if len(best):
        star = {"color": COLORS[0], "symbol": "star", "size": 13}
        drawn.add_trace(go.Scatter(x=[0.0], y=heads[:1], mode="markers", name="the best", marker=star, hoverinfo="skip"))
    drawn.add_vline(x=0, line={"color": MUTED, "dash": "dot"})
    drawn.update_yaxes(categoryorder="array", categoryarray=heads, autorange="reversed")
    drawn.update_layout(margin={"l": 320})
    return drawn


def head(trial: int, words: str) -> str:
    """A configuration on an axis."""
    return f"{text(words if len(words) <= 44 else words[:43] + '…')} ({trial})"
