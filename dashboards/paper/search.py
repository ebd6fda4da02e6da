"""Figures of the search and of what is compared, for print: a thin function an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from dashboards.analyses.slices import LEVELS
from dashboards.figures.style import COLORS, FAINT, MUTED, with_unit
from dashboards.paper.style import LINES, WIDTH, axis_label, legend_below, panel, scale, shortened

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure


def importance(table: pd.DataFrame, metric: str) -> Figure:
    """Bars of ``analyses.importance``."""
    drawn, axes = panel("importance, PED-ANOVA", "", height=0.6 + 0.22 * len(table))
    rows = table.iloc[::-1]
    places = range(len(rows))  # two names that are cut to the same are two bars
    axes.barh(places, rows["importance"], color=COLORS[0], height=0.65)
    axes.set_yticks(places, shortened(rows["parameter"]))
    return drawn


def progress(table: pd.DataFrame, metric: str) -> Figure:
    """``analyses.progress``."""
    drawn, axes = panel("trial", axis_label(metric))
    axes.plot(table["trial"], table["score"], "o", color=FAINT, markersize=3, label="a trial")
    axes.step(table["trial"], table["best"], where="post", color=COLORS[0], label="best so far")
    if table["random"].notna().any():
        axes.plot(table["trial"], table["random"], "--", color=COLORS[1], label="expected of random draws")
    legend_below(drawn, 3)
    return drawn


def slices(table: pd.DataFrame, metric: str) -> Figure:
    """Panels of ``analyses.slices``."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(table["parameter"]))
    columns = min(3, max(1, len(names)))
    rows = -(-len(names) // columns)
    drawn = Figure(figsize=(WIDTH * columns / 1.5, 1.9 * rows))
    panels = drawn.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(panels.flat):
        if place >= len(names):
            axes.set_visible(False)
            continue
        own = table[table["parameter"] == names[place]]
        number = own["number"].notna().all()
        levels = list(dict.fromkeys(own["level"]))
        places = own["number"] if number else own["level"].map(levels.index)
        axes.plot(places, own["score"], "o", color=COLORS[0], alpha=0.6)
        if number:
            scale(axes.xaxis, own["number"])
            if (own["number"] % 1 == 0).all() and axes.get_xscale() == "linear":
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            axes.set_xticks(range(len(levels)), shortened(levels, 14))
        axes.tick_params(axis="x", rotation=30)
        axes.set_xlabel(shortened([names[place]], 30)[0])
        if place % columns == 0:
            axes.set_ylabel(axis_label(metric))
    return drawn


def contour(table: pd.DataFrame, x: str, y: str, metric: str) -> Figure:
    """The cells of ``analyses.slices.contour``."""
    drawn, axes = panel(x, y, height=2.9)
    cells = table.pivot(index="y", columns="x", values="score").astype("float64")
    surface = len(cells.columns) > LEVELS
    if surface:
        across, up = pd.Series(cells.columns, dtype="float64"), pd.Series(cells.index, dtype="float64")
        mapped: ScalarMappable = axes.contourf(across, up, cells.to_numpy(), levels=12, cmap="cividis")
        scale(axes.xaxis, across)
        scale(axes.yaxis, up)
    else:
        mapped = axes.imshow(cells.to_numpy(), cmap="cividis", origin="lower", aspect="auto")
        axes.set_xticks(range(len(cells.columns)), shortened(cells.columns, 14))
        axes.set_yticks(range(len(cells.index)), shortened(cells.index, 14))
    drawn.colorbar(mapped, label=with_unit(metric))
    return drawn


def effect(table: pd.DataFrame, parameter: str, metric: str) -> Figure:
    """Means with intervals of ``analyses.effects``."""
    drawn, axes = panel(parameter, axis_label(metric))
    places = range(len(table))
    errors = [(table["mean"] - table["low"]).fillna(0.0), (table["high"] - table["mean"]).fillna(0.0)]
    axes.errorbar(places, table["mean"], yerr=errors, fmt="o", capsize=3, color=COLORS[0], label="mean, 95 % interval")
    axes.plot(places, table["best"], "D", color=COLORS[1], fillstyle="none", label="best")
    axes.set_xticks(places, shortened(table["level"], 14))
    legend_below(drawn)
    return drawn


def seeds(table: pd.DataFrame, metric: str) -> Figure:
    """Differences of ``analyses.seeds.paired`` from the best."""
    label = f"{with_unit(metric)}:\nown minus the best's"
    drawn, axes = panel(label, "", width=1.5 * WIDTH, height=1.0 + 0.24 * len(table))
    places = {number: place for place, number in enumerate(table["configuration"])}
    others = table[table["pairs"] > 0]
    for apart, color, fill, name in ((False, MUTED, "none", "not told apart"), (True, COLORS[1], "full", "told apart")):
        own = others[others["apart"] == apart]
        if len(own):
            errors = [own["difference"] - own["low"], own["high"] - own["difference"]]
            at = [places[number] for number in own["configuration"]]
            axes.errorbar(own["difference"], at, xerr=errors, fmt="o", fillstyle=fill, capsize=3, color=color, label=name)
    axes.plot([0.0], [0], "*", color=COLORS[0], markersize=8, label="the best")
    axes.axvline(0.0, color=MUTED, linestyle=":", linewidth=0.8)
    axes.set_yticks(range(len(table)), shortened(table["words"], 60))
    axes.invert_yaxis()
    legend_below(drawn, 3)
    return drawn


def sweeps(curves: pd.DataFrame, metrics: Mapping[str, str]) -> Figure:
    """``analyses.comparison.best_by_hours``."""
    drawn, axes = panel("hours in trials", "\n".join(map(axis_label, dict.fromkeys(metrics.values()))))
    for place, (name, own) in enumerate(curves.groupby("sweep", sort=False)):
        color = COLORS[place % len(COLORS)]
        axes.plot(own["hours"], own["score"], "o", color=color, alpha=0.35, markersize=2.5)
        line = {"color": color, "linestyle": LINES[place % len(LINES)]}
        axes.step(own["hours"], own["best"], where="post", label=shortened([name])[0], **line)
    legend_below(drawn)
    return drawn
