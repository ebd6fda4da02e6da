"""Figures of the posterior: what the code carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from dashboards.figures.style import COLORS, MUTED, STATES, figure, text

if TYPE_CHECKING:
    import plotly.graph_objects as go


def rate_distortion(points: pd.DataFrame, lines: list[float]) -> go.Figure:
    """The plane of ``analyses.rate_distortion``, its frontier, and lines of equal -ELBO."""
    import plotly.graph_objects as go

    drawn = figure("Rate and distortion (validation, selected epoch)", "rate: KL, nats an example", "distortion, nats an example")
    if points.empty:
        return drawn
    left, right = reach(points["rate"])
    low, high = float(points["distortion"].min()), float(points["distortion"].max())
    room = 0.08 * (high - low or 1.0)
    named: list[tuple[float, float]] = []
    for place, value in enumerate(lines):
        dotted = {"color": MUTED, "dash": "dot", "width": 1}
        ends = {"x": [left, right], "y": [value - left, value - right]}
        drawn.add_trace(go.Scatter(**ends, mode="lines", line=dotted, hoverinfo="skip", name="−ELBO", showlegend=place == 0))
        at, top = entry(value, left, high + room)
        if at < right and far_enough((at, top), named, 0.05 * (right - left), 0.3 * room):
            named.append((at, top))
            note = {"showarrow": False, "xanchor": "left", "yanchor": "bottom", "font": {"size": 10, "color": MUTED}}
            drawn.add_annotation(x=at, y=top, text=f"{value:g}", bgcolor="white", **note)
    for state, own in points.groupby("state"):
        color, symbol = STATES.get(str(state), (MUTED, "circle"))
        drawn.add_trace(
            go.Scatter(
                x=own["rate"],
                y=own["distortion"],
                mode="markers",
                name=str(state).lower(),
                marker={"color": color, "symbol": symbol, "size": 9},
                customdata=own[["trial", "neg_elbo"]],
                hovertemplate="trial %{customdata[0]}: rate %{x:.3g}, distortion %{y:.4g}, −ELBO %{customdata[1]:.4g}"
                "<extra></extra>",
            )
        )
    frontier = points[points["pareto"]].sort_values("rate")
    stairs = {"shape": "hv", "color": COLORS[2], "width": 1.5}
    drawn.add_trace(go.Scatter(x=frontier["rate"], y=frontier["distortion"], mode="lines", name="frontier", line=stairs))
    drawn.update_yaxes(range=[low - room, high + room])
    drawn.update_xaxes(range=[left, right])
    return drawn


def entry(neg_elbo: float, left: float, top: float) -> tuple[float, float]:
    """Rate and distortion where the line of equal -ELBO comes into sight."""
    height = min(neg_elbo - left, top)
    return neg_elbo - height, height


def far_enough(at: tuple[float, float], named: list[tuple[float, float]], across: float, up: float) -> bool:
    """Whether a number there would hide none of those that are written already."""
    return all(abs(at[0] - x) >= across or abs(at[1] - y) >= up for x, y in named)


def reach(rates: pd.Series[float]) -> tuple[float, float]:
    """The rates that the plane shows: from nothing on, unless all of them are far from it."""
    low, high = float(rates.min()), max(float(rates.max()), 1e-3)
    left = low - 0.3 * (high - low) if low > 0.5 * high and high > low else -0.03 * high
    return left, high + 0.05 * (high - left)


def by_schedule(table: pd.DataFrame) -> go.Figure:
    """Rate and active units of ``analyses.annealing``."""
    import plotly.graph_objects as go

    drawn = figure("Annealing schedules", "", "median rate, nats an example", height=380)
    names = [f"{text(name)}<br>{collapsed:.0%} of {trials} collapsed" for name, trials, collapsed in _heads(table)]
    drawn.add_trace(go.Bar(x=names, y=table["rate"], name="rate", marker={"color": COLORS[0]}, width=0.35))
    marks = {"color": COLORS[1], "symbol": "diamond", "size": 11}
    drawn.add_trace(go.Scatter(x=names, y=table["active_units"], mode="markers", name="active units", marker=marks, yaxis="y2"))
    drawn.update_layout(yaxis2={"title": "median active units", "overlaying": "y", "side": "right"})
    drawn.update_xaxes(tickangle=0)  # names that turn as there is room would change the room, and so on
    drawn.update_layout(margin={"r": 70}, yaxis2_rangemode="tozero", yaxis2_showgrid=False, yaxis2_tickmode="auto")
    return drawn


def _heads(table: pd.DataFrame) -> list[tuple[str, int, float]]:
    return list(zip(table["schedule"], table["trials"], table["collapsed"], strict=True))


def kl_by_dimension(table: pd.DataFrame) -> go.Figure:
    """Bars of ``analyses.collapse``: the parts of each trial's code by what they carry, side by side."""
    import plotly.graph_objects as go

    drawn = figure("Rate by dimension (test)", "dimension, by what it carries", "KL, nats an example", height=340)
    for place, (trial, own) in enumerate(table.groupby("trial", sort=False)):
        collapsed = bool((own["state"] == "COLLAPSED").any())
        drawn.add_trace(
            go.Bar(
                x=own["place"],
                y=own["kl"],
                name=f"trial {trial}{', collapsed' if collapsed else ''}: {int(own['used'].sum())} of {len(own)} in use",
                marker={"color": COLORS[place % len(COLORS)], "pattern": {"shape": "/" if collapsed else ""}},
                customdata=own[["part", "share"]],
                hovertemplate="dimension %{customdata[0]}: %{y:.3g} nats, %{customdata[1]:.0%} of the rate<extra></extra>",
            )
        )
    drawn.update_layout(barmode="group", showlegend=True)
    if len(table) and table["place"].max() <= 20:
        drawn.update_xaxes(dtick=1)
    return drawn
