"""How figures look in print: a column wide, small type that stays text, no title, which is the caption's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.analyses.scores import is_number, is_wide
from dashboards.figures.style import COLORS, MUTED, with_unit
from dashboards.figures.style import STATES as ON_SCREEN
from dashboards.reports import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 3.4
"""Inches: a column of most journals."""
HEIGHT = 2.5
MARKERS = {
    "COMPLETE": "o",
    "RUNNING": "o",
    "PRUNED": "x",
    "COLLAPSED": "v",
    "STOPPED": "s",
    "FAILED": "P",
}
LINES = ("-", "--", "-.", ":", (0, (5, 1)))
"""Beside the colours: a figure is printed in grey too."""
_SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # type that stays text: journals refuse the other
    "svg.fonttype": "none",
    "svg.hashsalt": "vae-sweeps",
    "text.usetex": False,
    "text.parse_math": False,  # a name may hold anything
    "figure.constrained_layout.use": True,
}


@contextmanager
def printed() -> Iterator[None]:
    """The settings, for as long as a figure is made and saved."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context(_SETTINGS):
        mpl.rcParams["axes.prop_cycle"] = cycler(color=COLORS)
        yield


def panel(x: str, y: str, *, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure of one panel, its axes named with their units; belongs to no window."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height))
    axes = drawn.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return drawn, axes


def state_of(state: object) -> tuple[str, str]:
    """Colour and marker."""
    color, _ = ON_SCREEN.get(str(state), (MUTED, ""))
    return color, MARKERS.get(str(state), ".")


def legend_below(drawn: Figure, columns: int = 2) -> None:
    """Outside, where it hides nothing; none where nothing has a name."""
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    if handles:
        drawn.legend(handles, labels, loc="outside lower center", ncols=columns)


def scale(axis: Axis, values: pd.Series[Any]) -> None:
    """Makes an axis of these numbers logarithmic where they are spread so far."""
    if is_number(values) and is_wide(values):
        log(axis)


def log(axis: Axis) -> None:
    """Makes an axis logarithmic, with plain numbers: matplotlib's own are in TeX, which no name here may be read as."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes = axis.axes
    set_scale = axes.set_xscale if axis is axes.xaxis else axes.set_yscale
    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def axis_label(metric: str) -> str:
    """A metric with its unit, in as many lines as a short axis has room for."""
    return with_unit(metric).replace(", ", "\n")


def shortened(words: Iterable[object], most: int = 34) -> list[str]:
    """Names that leave room for the figure, without what no file of a figure can hold."""
    texts = [clean(word) for word in words]
    return [text if len(text) <= most else text[: most - 1] + "…" for text in texts]
