"""Figures of the search: what mattered, how it went on, and where the trials lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.analyses.scores import INACTIVE, is_number, is_wide
from dashboards.figures.style import COLORS, HEIGHT, MUTED, SEQUENTIAL, figure, text

if TYPE_CHECKING:
    import plotly.graph_objects as go


def importance(table: pd.DataFrame, metric: str) -> go.Figure:
    """Bars of ``analyses.importance``."""
    import plotly.graph_objects as go

    rows = table.iloc[::-1]
    drawn = figure("What mattered", "importance (PED-ANOVA, sum 1)", "", height=max(220, 60 + 34 * len(table)))
    drawn.add_trace(
        go.Bar(
            x=rows["importance"],
            y=[text(name) for name in rows["parameter"]],
            orientation="h",
            marker={"color": COLORS[0]},
            customdata=rows["trials"],
            hovertemplate="%{y}: %{x:.2f} of what makes " + text(metric) + " good; %{customdata} trials have it<extra></extra>",
        )
    )
    drawn.update_layout(margin={"l": 220})
    return drawn


def progress(table: pd.DataFrame, metric: str) -> go.Figure:
    """Scores and the best so far of ``analyses.progress``."""
    import plotly.graph_objects as go

    drawn = figure("The best so far", "trial", f"{text(metric)}")
    drawn.add_trace(go.Scatter(x=table["trial"], y=table["score"], mode="markers", name="a trial", marker={"color": MUTED}))
    line = {"shape": "hv", "color": COLORS[0], "width": 2.5}
    drawn.add_trace(go.Scatter(x=table["trial"], y=table["best"], mode="lines", name="best so far", line=line))
    if table["random"].notna().any():
        dashed = {"dash": "dash", "color": COLORS[1]}
        drawn.add_trace(
            go.Scatter(x=table["trial"], y=table["random"], mode="lines", name="expected of random draws", line=dashed)
        )
    return drawn


def parallel(trials: pd.DataFrame, parameters: Sequence[str], names: dict[str, str], metric: str) -> go.Figure:
    """Parallel coordinates of the comparable trials: categories keep their labels, wide positive ranges are logarithmic, and a
    parameter that a trial does not have stands at a place of its own, below the axis. Drawn as lines, which need no WebGL."""
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    axes = [*(_axis(trials[name], names[name]) for name in parameters), _axis(trials[metric], metric)]
    drawn = figure("Every trial", "", "", height=HEIGHT + 60)
    shades = sample_colorscale(SEQUENTIAL, [float(place) for place in axes[-1].places.fillna(0.0)])
    for row, number in enumerate(trials["trial"]):
        places = [axis.places.iloc[row] for axis in axes]
        words = "<br>".join(f"{axis.name}: {axis.words[row]}" for axis in axes)
        line = {"color": shades[row], "width": 1.5}
        hover = f"trial {number}<br>{words}<extra></extra>"
        drawn.add_trace(
            go.Scatter(x=list(range(len(axes))), y=places, mode="lines", line=line, hovertemplate=hover, showlegend=False)
        )
    for place, axis in enumerate(axes):
        drawn.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": "#888888", "width": 1})
        for at, word in axis.ticks:
            drawn.add_annotation(x=place, y=at, text=word, showarrow=False, xanchor="left", xshift=4, font={"size": 10})
    drawn.update_xaxes(tickvals=list(range(len(axes))), ticktext=[axis.name for axis in axes], showgrid=False, showline=False)
    drawn.update_xaxes(range=[-0.1, len(axes) - 1 + 0.45])
    drawn.update_yaxes(visible=False, range=[_BELOW - 0.06, 1.05])
    return drawn


_BELOW = -0.15
"""Where a parameter stands that a trial does not have; the axis goes from 0 to 1."""
_FEW = 5
"""Ticks of an axis."""


@dataclass(frozen=True)
class _Axis:
    """One parameter, or the metric, of every trial."""

    name: str
    places: pd.Series[Any]
    words: list[str]
    ticks: list[tuple[float, str]]


def _axis(values: pd.Series[Any], label: str) -> _Axis:
    import numpy as np

    there = values.dropna()
    absent = [(_BELOW, INACTIVE)] if len(there) < len(values) else []
    if is_number(values):
        log = is_wide(there)
        numbers = values.astype("float64")
        scaled = numbers.map(np.log10) if log else numbers
        low, high = float(scaled.min()), float(scaled.max())
        places = (scaled - low) / (high - low) if high > low else scaled * 0 + 0.5
        few = sorted(set(scaled.dropna()))
        ends = few if len(few) <= _FEW else np.linspace(low, high, _FEW)
        ticks = [((at - low) / (high - low) if high > low else 0.5, f"{10**at if log else at:.4g}") for at in ends]
        words = [INACTIVE if pd.isna(value) else f"{value:.4g}" for value in values]
        return _Axis(text(f"{label} (log)" if log else label), places.fillna(_BELOW), words, [*ticks, *absent])
    levels = sorted({str(value) for value in there})
    spread = max(1, len(levels) - 1)
    words = [INACTIVE if pd.isna(value) else str(value) for value in values]
    places = pd.Series([_BELOW if word == INACTIVE else levels.index(word) / spread for word in words])
    ticks = [(place / spread, text(level)) for place, level in enumerate(levels)]
    return _Axis(text(label), places, [text(word) for word in words], [*ticks, *absent])


def effect(table: pd.DataFrame, parameter: str, metric: str) -> go.Figure:
    """Means with intervals of ``analyses.effects.effect``."""
    import plotly.graph_objects as go

    drawn = figure(f"{text(parameter)}", text(parameter), text(metric), height=320)
    errors = {"type": "data", "array": table["high"] - table["mean"], "arrayminus": table["mean"] - table["low"]}
    drawn.add_trace(
        go.Scatter(
            x=[text(level) for level in table["level"]],
            y=table["mean"],
            error_y=errors,
            mode="markers",
            marker={"size": 9},
            name="mean, 95 %",
            customdata=table["trials"],
            hovertemplate="%{x}: %{y:.4g}, %{customdata} trials<extra></extra>",
        )
    )
    diamonds = {"symbol": "diamond-open", "size": 9, "color": COLORS[1]}
    levels = [text(level) for level in table["level"]]
    drawn.add_trace(go.Scatter(x=levels, y=table["best"], mode="markers", name="best", marker=diamonds))
    drawn.update_xaxes(type="category")
    return drawn
