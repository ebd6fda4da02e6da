"""How figures look: colours that colour-blind people can tell apart, and a shape for each state besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito (2008)."""
MUTED = "#8A8A8A"
"""Of marks and lines that still have to be seen: 3 to 1 against white (WCAG 1.4.11)."""
FAINT = "#BBBBBB"
"""Of what stands behind: grids, and curves that are many."""
STATES = {
    "COMPLETE": (COLORS[0], "circle"),
    "RUNNING": (COLORS[5], "circle-open"),
    "PRUNED": (MUTED, "x-thin-open"),
    "COLLAPSED": (COLORS[1], "triangle-down"),
    "STOPPED": (COLORS[4], "square-open"),
    "FAILED": (COLORS[6], "cross"),
}
"""Colour and shape."""
HEIGHT = 420
"""Pixels."""
SEQUENTIAL = "Cividis"


def figure(title: str, x: str, y: str, *, height: int = HEIGHT, log_x: bool = False, log_y: bool = False) -> go.Figure:
    """An empty figure; axes named with their units."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    drawn.update_layout(
        template="plotly_white",
        title={"text": title, "font": {"size": 16}},
        colorway=COLORS,
        font={"family": "system-ui, sans-serif", "size": 13},
        height=height,
        margin={"l": 70, "r": 20, "t": 50, "b": 85},
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom"},
        hoverlabel={"namelength": -1},
    )
    drawn.update_xaxes(title=x, type="log" if log_x else None, showline=True, linecolor="#888888", zeroline=False)
    drawn.update_yaxes(title=y, type="log" if log_y else None, showline=True, linecolor="#888888", zeroline=False)
    return drawn


_UNITS = {
    "neg_elbo": "nats an example",
    "distortion": "nats an example",
    "rate": "nats an example",
    "iw_nll": "nats an example",
    "loss": "nats an example",
    "mutual_information": "nats",
    "marginal_kl": "nats",
    "softmax_gap": "nats an example",
    "perplexity": "a token",
    "iw_perplexity": "a token",
}
"""By the last part of a metric's name; speeds have theirs in the name, counts have none."""


def with_unit(metric: str) -> str:
    """A metric as an axis names it: ``val/neg_elbo, nats an example``."""
    unit = _UNITS.get(metric.rpartition("/")[2])
    return metric if unit is None else f"{metric}, {unit}"


def text(value: object) -> str:
    """A name as Plotly shows it: it reads some HTML and, between dollars, TeX, and a name may hold anything."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def shade(color: str, opacity: float) -> str:
    """A colour of hex digits, see-through."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def bulk(values: pd.Series[float], kept: pd.Series[float], goal: str) -> tuple[float, float] | None:
    """Limits that leave out a few values far on the worse side, which would flatten all others; None where none are far.

    Args:
        kept: those of them that are always within, as the best curves'.
    """
    sign = 1.0 if goal == "minimize" else -1.0
    worse, kept = sign * values, sign * kept
    low, high = float(worse.quantile(0.02)), float(worse.quantile(0.95))
    room = 0.5 * (high - low)
    first, last = float(worse.min()), high + 2 * room
    if kept.notna().any():
        last = max(last, float(kept.max()))
    if not room > 0 or worse.max() <= last:
        return None
    near, far = sign * (first - 0.1 * room), sign * (last + 0.1 * room)
    return min(near, far), max(near, far)


def gapped(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The rows with an empty one behind each group, where a line breaks off; ``by`` keeps its value there."""
    ends = pd.DataFrame({by: table[by].drop_duplicates()})
    order = pd.concat([table, ends.reindex(columns=table.columns)], ignore_index=True)
    return order.sort_values(by, kind="stable", ignore_index=True)
