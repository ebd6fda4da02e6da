"""Figures of the search: what mattered, how it went on, and where the trials lie."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dashboards.analyses.scores import INACTIVE, is_number, is_wide
from dashboards.analyses.slices import LEVELS
from dashboards.figures.style import COLORS, HEIGHT, MUTED, SEQUENTIAL, figure, text, with_unit

if TYPE_CHECKING:
    import plotly.graph_objects as go


def importance(table: pd.DataFrame, metric: str) -> go.Figure:
    """Bars of ``analyses.importance``."""
    import plotly.graph_objects as go

    rows = table.iloc[::-1]
    drawn = figure("What mattered", "importance, PED-ANOVA", "", height=max(220, 135 + 30 * len(table)))
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

    drawn = figure("The best so far", "trial", text(with_unit(metric)))
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
    shares = axes[-1].places.fillna(0.0).clip(0.0, 1.0).to_numpy()
    words = [axis.words for axis in axes]
    hovers = [
        f"trial {number}<br>" + "<br>".join(f"{axis.name}: {of[row]}" for axis, of in zip(axes, words, strict=True))
        for row, number in enumerate(trials["trial"])
    ]
    lines = [[*(float(axis.places.iloc[row]) for axis in axes), None] for row in range(len(trials))]
    bands = (shares * (_SHADES - 1)).round().astype(int)  # one trace a shade: thousands would stall a browser
    for band in sorted(set(bands), reverse=True):
        rows = [row for row in range(len(trials)) if bands[row] == band]
        color = sample_colorscale(SEQUENTIAL, [band / (_SHADES - 1)])[0]
        drawn.add_trace(
            go.Scatter(
                x=[*range(len(axes)), None] * len(rows),
                y=[place for row in rows for place in lines[row]],
                customdata=[hovers[row] for row in rows for _ in lines[row]],
                mode="lines",
                line={"color": color, "width": 1.5},
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=False,
            )
        )
    for place, axis in enumerate(axes):
        drawn.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": "#888888", "width": 1})
        for at, word in axis.ticks:
            note = {"font": {"size": 11}, "bgcolor": "rgba(255,255,255,0.8)", "borderpad": 1}  # over the lines, and still read
            drawn.add_annotation(x=place, y=at, text=word, showarrow=False, xanchor="left", xshift=4, **note)
    drawn.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[_stacked(axis.name) for axis in axes],
        tickangle=0,
        automargin=False,
        showgrid=False,
        showline=False,
    )
    drawn.update_xaxes(range=[-0.1, len(axes) - 1 + 0.45])
    lowest = min((at for axis in axes for at, _ in axis.ticks), default=0.0)
    drawn.update_yaxes(visible=False, range=[lowest - 0.06, 1.05])
    drawn.update_layout(margin={"b": 110})
    return drawn


def _stacked(name: str) -> str:
    """A dotted or sectioned name in lines, so that none hides its neighbour's."""
    return re.sub(r"(?<=[./])", "<br>", text(name))


_BELOW = -0.15
"""Where a parameter stands that a trial does not have; the axis goes from 0 to 1."""
_FEW = 5
"""Ticks of an axis."""
_SHADES = 24
_WHOLE = 12
"""A span of whole numbers that has a tick for each."""


@dataclass(frozen=True)
class _Axis:
    """One parameter, or the metric, of every trial."""

    name: str
    places: pd.Series[Any]
    words: list[str]
    ticks: list[tuple[float, str]]


def _axis(values: pd.Series[Any], label: str) -> _Axis:
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

    drawn = figure(f"{text(parameter)}", text(parameter), text(with_unit(metric)), height=320)
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


def slices(table: pd.DataFrame, metric: str) -> go.Figure:
    """Panels of ``analyses.slices``, one a parameter; a wide range is logarithmic."""
    import plotly.graph_objects as go

    names = list(dict.fromkeys(table["parameter"]))
    columns = min(3, max(1, len(names)))
    rows = -(-len(names) // columns)
    drawn = figure("Scores by each parameter", "", "", height=110 + 270 * max(1, rows))
    width, height = 1 / columns, 1 / max(1, rows)
    for place, name in enumerate(names):
        own = table[table["parameter"] == name]
        number = own["number"].notna().all()
        row, column = divmod(place, columns)
        end = "" if place == 0 else str(place + 1)
        x = own["number"] if number else [text(level) for level in own["level"]]
        marker = {"color": COLORS[0], "size": 7, "opacity": 0.7}
        hover = "trial %{customdata}: %{x}, %{y:.4g}<extra></extra>"
        drawn.add_trace(
            go.Scatter(x=x, y=own["score"], mode="markers", marker=marker, customdata=own["trial"], hovertemplate=hover)
        )
        drawn.data[-1].update(xaxis=f"x{end}", yaxis=f"y{end}", showlegend=False)
        kind = "category" if not number else "log" if is_wide(own["number"]) else "linear"
        across = {
            "anchor": f"y{end}",
            "type": kind,
            "title": {"text": _stacked(name), "standoff": 6, "font": {"size": 12}},
            "zeroline": False,
        }
        if number and kind == "linear" and (own["number"] % 1 == 0).all() and np.ptp(own["number"]) <= _WHOLE:
            across |= {"dtick": 1}
        across |= {"domain": [column * width + 0.03, (column + 1) * width - 0.03]}
        up = {"anchor": f"x{end}", "zeroline": False, "matches": "y" if place else None}
        up |= {"domain": [1 - (row + 1) * height + 0.26 * height, 1 - row * height - 0.02]}
        up |= {"title": {"text": _stacked(metric) if column == 0 else "", "font": {"size": 12}}, "showticklabels": column == 0}
        drawn.update_layout({f"xaxis{end}": across | {"automargin": False}, f"yaxis{end}": up | {"automargin": False}})
    drawn.update_layout(margin={"l": 100, "b": 110})
    return drawn


def contour(table: pd.DataFrame, x: str, y: str, metric: str) -> go.Figure:
    """The cells of ``analyses.slices.contour`` as a map, in colours that keep their order in grey."""
    import plotly.graph_objects as go

    drawn = figure("Two parameters together", text(x), text(y), height=440)
    cells = table.pivot(index="y", columns="x", values="score")
    axes = {}
    for name, values in (("x", cells.columns), ("y", cells.index)):
        number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        surface = number and len(values) > LEVELS
        axes[name] = list(values) if surface else [text(_value(value)) for value in values]
        kind = "category" if not surface else "log" if is_wide(pd.Series(values, dtype="float64")) else "linear"
        (drawn.update_xaxes if name == "x" else drawn.update_yaxes)(type=kind)
    scale = {"colorscale": SEQUENTIAL, "colorbar": {"title": {"text": text(with_unit(metric)), "side": "right"}}}
    hover = f"{text(x)} %{{x}}, {text(y)} %{{y}}: %{{z:.4g}}<extra></extra>"
    drawn.add_trace(go.Heatmap(x=axes["x"], y=axes["y"], z=cells.to_numpy(dtype="float64"), hovertemplate=hover, **scale))
    if cells.size <= LEVELS * LEVELS:
        drawn.update_traces(texttemplate="%{z:.4g}")
    drawn.update_layout(margin={"l": 110})
    return drawn


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
