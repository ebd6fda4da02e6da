"""Slices and contours: the scores by one parameter's values, or by two's; what else was searched varies freely beneath."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from dashboards.analyses.scores import active, compared, is_number, is_wide, metric_of

LEVELS = 10
"""A parameter of more values than this is no longer a table's row."""
CELLS = 40
"""Of an interpolated surface, along either axis."""
FEWEST = 8
"""Trials, of which fewer make no surface."""
_SLICE = {"parameter": "str", "trial": "int64", "level": "str", "number": "float64", "score": "float64"}
_CONTOUR = {"x": "object", "y": "object", "score": "float64"}


def slices(trials: pd.DataFrame, sweep: pd.Series[Any], metric: str | None = None) -> pd.DataFrame:
    """Each comparable trial by each searched parameter that it has, parameter by parameter, by trial.

    Columns: ``parameter, trial, level`` (the value in words), ``number`` (the value; NaN where it is none), ``score``.
    """
    column = metric_of(sweep, metric)
    among = compared(trials, column).sort_values("trial")
    parts = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _SLICE.items()})]
    for parameter in active(among, sweep):
        own = among[among[parameter].notna()]
        numbers = own[parameter].astype("float64") if is_number(own[parameter]) else pd.Series(np.nan, own.index)
        words = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in own[parameter]]
        values = {"parameter": parameter, "trial": own["trial"], "level": words, "number": numbers, "score": own[column]}
        parts.append(pd.DataFrame(values))
    return pd.concat(parts, ignore_index=True).astype(_SLICE)


def contour(trials: pd.DataFrame, sweep: pd.Series[Any], x: str, y: str, metric: str | None = None) -> pd.DataFrame:
    """The scores over two parameters, where trials have both: a row a cell, by ``x`` and then ``y``.

    Columns: ``x, y, score``. Where both take few values, cells are pairs of them and the score is the mean of their trials. Of
    two numbers with more, a surface of ``CELLS`` x ``CELLS`` is laid through the trials, linear between three neighbours each
    (Delaunay's), on a logarithmic scale where a range is wide; beyond the trials it is NaN. Else, or with fewer than ``FEWEST``
    trials, no row.
    """
    column = metric_of(sweep, metric)
    among = compared(trials, column)
    if {x, y} <= set(among.columns):
        among = among[among[x].notna() & among[y].notna()]
        if len(among) >= FEWEST and (among[x].nunique() > 1 and among[y].nunique() > 1):
            if among[x].nunique() <= LEVELS and among[y].nunique() <= LEVELS:
                means = among.groupby([x, y])[column].mean().reset_index()
                return means.set_axis(list(_CONTOUR), axis=1).astype(_CONTOUR)
            if is_number(among[x]) and is_number(among[y]):
                return _surface(among[x], among[y], among[column])
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _CONTOUR.items()})


def _surface(x: pd.Series[Any], y: pd.Series[Any], scores: pd.Series[Any]) -> pd.DataFrame:
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    places, axes = [], []
    for values in (x.astype("float64"), y.astype("float64")):
        log = is_wide(values)
        scaled = np.log10(values) if log else values
        low, high = float(scaled.min()), float(scaled.max())
        places.append((scaled - low) / (high - low))  # both of one size, or the neighbours would be those along the smaller
        steps = np.linspace(low, high, CELLS)
        axes.append(10**steps if log else steps)
    try:
        surface = LinearNDInterpolator(np.column_stack(places), scores.astype("float64"))
    except QhullError:  # all on one line
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _CONTOUR.items()})
    unit = np.linspace(0.0, 1.0, CELLS)
    across, up = np.meshgrid(unit, unit, indexing="ij")
    columns = {"x": np.repeat(axes[0], CELLS), "y": np.tile(axes[1], CELLS), "score": surface(across, up).ravel()}
    return pd.DataFrame(columns).astype(_CONTOUR)


def pair(trials: pd.DataFrame, sweep: pd.Series[Any], ordered: list[str], metric: str | None = None) -> tuple[str, str] | None:
    """The first two of the parameters, most important first, that have a ``contour`` together; None where no two have."""
    for first, second in combinations(ordered, 2):
        if len(contour(trials, sweep, first, second, metric)):
            return first, second
    return None
