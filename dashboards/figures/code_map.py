"""Figures of one trial's code: the examples in the plane, and what each part of the code carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dashboards.figures.style import COLORS, SEQUENTIAL, figure, text

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = npt.NDArray[Any]
_SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up")
"""Beside the colours: of the labels that share one, each has its own."""
_MOST = len(COLORS) * len(_SYMBOLS)


def plane(
    points: Array,
    index: Array,
    labels: list[str] | None,
    rate: Array,
    axes: tuple[str, str],
    chosen: int | None = None,
) -> go.Figure:
    """Examples in the plane, (N, 2), by label, or where there is none (or too many) by rate.

    Args:
        index: each one's place in its split, (N,), by which it is called; ``customdata`` begins with its place among the points.
    """
    import plotly.graph_objects as go

    drawn = figure("Codes of validation examples", text(axes[0]), text(axes[1]), height=520)
    places = np.arange(len(points))
    names = sorted(set(labels), key=_in_order) if labels else []
    if labels and len(names) <= _MOST:
        for number, name in enumerate(names):
            own = places[np.array([label == name for label in labels])]
            look = {"color": COLORS[number % len(COLORS)], "symbol": _SYMBOLS[number // len(COLORS)], "size": 7, "opacity": 0.8}
            drawn.add_trace(_points(points, own, index, rate, look, text(name)))
    else:
        bar = {"title": "rate, nats"}
        shaded = {"color": rate, "colorscale": SEQUENTIAL, "showscale": True, "colorbar": bar, "size": 7, "opacity": 0.8}
        drawn.add_trace(_points(points, places, index, rate, shaded, ""))
        drawn.update_layout(showlegend=False)
    if chosen is not None and chosen < len(points):
        ring = {"symbol": "circle-open", "size": 17, "color": "#000000", "line": {"width": 3}}
        at = {"x": [points[chosen, 0]], "y": [points[chosen, 1]]}
        drawn.add_trace(go.Scatter(**at, mode="markers", marker=ring, hoverinfo="skip", showlegend=False, name="chosen"))
    return drawn


def _points(
    points: Array,
    own: Array,
    index: Array,
    rate: Array,
    look: dict[str, Any],
    name: str,
) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        x=points[own, 0],
        y=points[own, 1],
        mode="markers",
        marker=look,
        name=name,
        customdata=np.column_stack([own, rate[own], index[own]]).tolist(),  # a click tells of an array as of a mapping
        hovertemplate=f"{f'{name}: ' if name else ''}example %{{customdata[2]}}, rate %{{customdata[1]:.3g}} nats<extra></extra>",
    )


def _in_order(name: str) -> tuple[int, float, str]:
    """Numbers by their value, before words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
