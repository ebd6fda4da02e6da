"""Figures of training: curves, speed, and who worked when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.figures.style import COLORS, FAINT, MUTED, STATES, bulk, figure, gapped, shade, text, with_unit

if TYPE_CHECKING:
    import plotly.graph_objects as go

_FEW = len(COLORS) - 1


def learning_curves(table: pd.DataFrame, ends: pd.Series[Any], best: list[int], metric: str, goal: str) -> go.Figure:
    """Curves of ``analyses.learning_curves``: the best configurations in colour with the end of their annealing, others thin."""
    import plotly.graph_objects as go

    drawn = figure("Learning curves", "epoch", text(with_unit(metric)))
    shown = best[:_FEW]
    if (limits := bulk(table["mean"], table.loc[table["configuration"].isin(shown), "mean"], goal)) is not None:
        drawn.update_yaxes(range=limits)
    if len(table) and table["epoch"].max() <= 20:
        drawn.update_xaxes(dtick=1)
    rest = table[~table["configuration"].isin(shown)]
    for complete, dash, name in ((True, "solid", "others"), (False, "dot", "others, not ranked: pruned, collapsed, stopped")):
        own = gapped(rest[rest["complete"] == complete], "configuration")
        if len(own):  # one trace for all of them: thousands would stall a browser
            hover = "trial %{customdata}: %{y:.4g}<extra></extra>"
            line = {"color": FAINT, "width": 1, "dash": dash}
            lines = go.Scatter(x=own["epoch"], y=own["mean"], customdata=own["configuration"], mode="lines", line=line, name=name)
            drawn.add_trace(lines.update(hovertemplate=hover))
    for color, configuration in zip(COLORS, shown, strict=False):
        own = table[table["configuration"] == configuration]
        band = own[own["low"].notna()]
        if len(band):
            outline = {"x": [*band["epoch"], *band["epoch"][::-1]], "y": [*band["high"], *band["low"][::-1]]}
            fill = {"fill": "toself", "fillcolor": shade(color, 0.15), "line": {"width": 0}}
            drawn.add_trace(go.Scatter(**outline, **fill, mode="lines", hoverinfo="skip", showlegend=False))
        line = {"color": color, "width": 2}
        drawn.add_trace(go.Scatter(x=own["epoch"], y=own["mean"], mode="lines", line=line, name=f"trial {configuration}"))
        end = ends.get(configuration)
        at = own[own["epoch"] == end]
        if end is not None and pd.notna(end) and end > 1 and len(at):
            mark = {"color": color, "symbol": "line-ns-open", "size": 14, "line": {"width": 2}}
            hover = "the KL has its full weight from here<extra></extra>"
            drawn.add_trace(
                go.Scatter(x=at["epoch"], y=at["mean"], mode="markers", marker=mark, showlegend=False, hovertemplate=hover)
            )
    return drawn


def speed_against_exactness(table: pd.DataFrame) -> go.Figure:
    """Points of ``analyses.softmax``, each with its name."""
    import plotly.graph_objects as go

    title = "Softmax: speed and the exact perplexity"
    drawn = figure(title, "training speed, tokens/s (log)", "exact validation perplexity, best", log_x=True)
    drawn.add_trace(
        go.Scatter(
            x=table["tokens_per_s"],
            y=table["perplexity"],
            mode="markers+text",
            text=[text(name) for name in table["softmax"]],
            textposition="top center",
            marker={"size": 11, "color": COLORS[0]},
            customdata=table[["gap", "trials"]],
            hovertemplate="%{text}: %{x:.0f} tokens/s, perplexity %{y:.1f}, gap %{customdata[0]:.3g} nats<extra></extra>",
            showlegend=False,
        )
    )
    return drawn


def timeline(table: pd.DataFrame) -> go.Figure:
    """Bars of ``analyses.cost.timeline``."""
    import plotly.graph_objects as go

    last = float(table[["start_s", "end_s"]].max().max()) if len(table) else 0.0
    unit, seconds = ("h", 3600.0) if last > 7200 else ("min", 60.0) if last > 300 else ("s", 1.0)
    lanes = table.drop_duplicates("lane").sort_values("lane")
    named = bool((lanes["worker"] != "").any())
    height = 160 + 26 * min(max(len(lanes), 1), 20)
    drawn = figure("Who worked when", f"time, {unit}", "worker" if named else "lane", height=height)
    for state, own in table.groupby("state"):
        color, _ = STATES.get(str(state), (MUTED, ""))
        length = (own["end_s"].fillna(last) - own["start_s"]) / seconds
        drawn.add_trace(
            go.Bar(
                x=length,
                base=own["start_s"] / seconds,
                y=own["lane"] + 1,
                orientation="h",
                name=str(state).lower(),
                marker={"color": color, "line": {"color": "white", "width": 0.5}},
                customdata=own["trial"],
                hovertemplate=f"trial %{{customdata}}: %{{x:.3g}} {unit}<extra></extra>",
            )
        )
    drawn.update_layout(barmode="overlay", showlegend=True)
    drawn.update_yaxes(dtick=1, autorange="reversed")
    if named:
        drawn.update_yaxes(tickvals=lanes["lane"] + 1, ticktext=lanes["worker"].replace("", "not known"), dtick=None)
    return drawn


def hours(table: pd.DataFrame) -> go.Figure:
    """Bars of ``analyses.cost.hours_by_state``."""
    import plotly.graph_objects as go

    drawn = figure("Where the time went", "hours in trials", "", height=150 + 30 * len(table))
    drawn.add_trace(
        go.Bar(
            x=table["hours"],
            y=[str(state).lower() for state in table["state"]],
            orientation="h",
            marker={"color": [STATES.get(str(state), (MUTED, ""))[0] for state in table["state"]]},
            text=[
                f"{share:.0%} in {trials} trial{'s' if trials != 1 else ''}"
                for share, trials in zip(table["share"], table["trials"], strict=True)
            ],
            textposition="auto",
            hovertemplate="%{y}: %{x:.3g} h<extra></extra>",
        )
    )
    drawn.update_yaxes(autorange="reversed")
    drawn.update_layout(margin={"l": 110})
    return drawn
