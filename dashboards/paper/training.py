"""Figures of training and of the code, for print: a thin function an analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.figures.posterior import entry, far_enough, reach
from dashboards.figures.style import COLORS, FAINT, MUTED, bulk, gapped
from dashboards.paper.style import LINES, axis_label, legend_below, log, panel, shortened, state_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rate_distortion(points: pd.DataFrame, lines: list[float]) -> Figure:
    """The plane of ``analyses.rate_distortion``, its frontier, and lines of equal -ELBO."""
    drawn, axes = panel("rate: KL, nats an example", "distortion, nats an example", height=2.8)
    left, right = reach(points["rate"])
    low, high = float(points["distortion"].min()), float(points["distortion"].max())
    room = 0.08 * (high - low or 1.0)
    named: list[tuple[float, float]] = []
    for place, value in enumerate(lines):
        label = "−ELBO" if place == 0 else None
        axes.plot([left, right], [value - left, value - right], ":", color=MUTED, linewidth=0.6, label=label)
        at, top = entry(value, left, high + room)
        if at < right and far_enough((at, top), named, 0.09 * (right - left), 0.4 * room):
            named.append((at, top))
            axes.annotate(f"{value:g}", (at, top), fontsize=5.5, color=MUTED, va="bottom")
    for state, own in points.groupby("state"):
        color, marker = state_of(state)
        axes.plot(own["rate"], own["distortion"], marker, color=color, label=str(state).lower())
    frontier = points[points["pareto"]].sort_values("rate")
    axes.step(frontier["rate"], frontier["distortion"], where="post", color=COLORS[2], linewidth=0.9, label="frontier")
    axes.set_xlim(left, right)
    axes.set_ylim(low - room, high + room)
    legend_below(drawn, 3)
    return drawn


def learning_curves(table: pd.DataFrame, ends: pd.Series[Any], best: list[int], metric: str, goal: str) -> Figure:
    """``analyses.learning_curves``: the best in colour, a tick where their annealing ends; others thin, pruned ones dotted."""
    drawn, axes = panel("epoch", axis_label(metric))
    if (limits := bulk(table["mean"], table.loc[table["configuration"].isin(best), "mean"], goal)) is not None:
        axes.set_ylim(*limits)
    rest = table[~table["configuration"].isin(best)]
    for complete, style in ((True, "-"), (False, ":")):
        own = gapped(rest[rest["complete"] == complete], "configuration")
        axes.plot(own["epoch"], own["mean"], style, color=FAINT, linewidth=0.6)
    for place, configuration in enumerate(best):
        own = table[table["configuration"] == configuration]
        color = COLORS[place % len(COLORS)]
        axes.fill_between(own["epoch"], own["low"], own["high"], color=color, alpha=0.15, linewidth=0)
        axes.plot(own["epoch"], own["mean"], label=f"trial {configuration}", color=color, linestyle=LINES[place % len(LINES)])
        end = ends.get(configuration)
        at = own[own["epoch"] == end] if end is not None and pd.notna(end) and end > 1 else own.iloc[:0]
        axes.plot(at["epoch"], at["mean"], "|", color=color, markersize=9, markeredgewidth=1.5)
    legend_below(drawn, 3)
    return drawn


def kl_by_dimension(table: pd.DataFrame) -> Figure:
    """Bars of ``analyses.collapse``."""
    drawn, axes = panel("dimension, by what it carries", "KL, nats an example")
    trials = list(dict.fromkeys(table["trial"]))
    width = 0.8 / max(1, len(trials))
    for place, trial in enumerate(trials):
        own = table[table["trial"] == trial]
        collapsed = bool((own["state"] == "COLLAPSED").any())
        name = f"trial {trial}{', collapsed' * collapsed}: {int(own['used'].sum())} of {len(own)} in use"
        color, hatch = COLORS[place % len(COLORS)], "///" if collapsed else None
        axes.bar(own["place"] - 0.4 + (place + 0.5) * width, own["kl"], width, color=color, hatch=hatch, label=name)
    legend_below(drawn)
    return drawn


def speed_against_exactness(table: pd.DataFrame) -> Figure:
    """Points of ``analyses.softmax``, each with its name."""
    drawn, axes = panel("training speed, tokens/s", "exact validation perplexity")
    axes.plot(table["tokens_per_s"], table["perplexity"], "o", color=COLORS[0])
    log(axes.xaxis)
    for name, speed, perplexity in zip(table["softmax"], table["tokens_per_s"], table["perplexity"], strict=True):
        axes.annotate(
            shortened([name], 24)[0], (speed, perplexity), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=7
        )
    axes.margins(0.2)
    return drawn


def by_schedule(table: pd.DataFrame) -> Figure:
    """Rate and active units of ``analyses.annealing``."""
    drawn, axes = panel("", "median rate, nats an example")
    heads = zip(table["schedule"], table["collapsed"], table["trials"], strict=True)
    names = [f"{shortened([name], 12)[0]}\n{collapsed:.0%} of {count}\ncollapsed" for name, collapsed, count in heads]
    places = range(len(names))  # two names that are cut to the same are two bars
    axes.bar(places, table["rate"], 0.4, color=COLORS[0], label="rate")
    axes.set_xticks(places, names)
    other = axes.twinx()
    other.plot(places, table["active_units"], "D", color=COLORS[1], label="active units")
    other.set_ylabel("median active units")
    other.set_ylim(bottom=0)
    other.spines["right"].set_visible(True)
    axes.plot([], [], "D", color=COLORS[1], label="active units")
    legend_below(drawn)
    return drawn
