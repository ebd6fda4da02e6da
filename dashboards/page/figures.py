"""The figures of a sweep's report, drawn by Plotly: each where there is something to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.figures import comparison, posterior, search, training
from dashboards.page.shown import shown

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWN: Mapping[str, Callable[..., go.Figure]] = {
    "importance": search.importance,
    "seeds": comparison.seeds,
    "rate_distortion": posterior.rate_distortion,
    "learning_curves": training.learning_curves,
    "kl_by_dimension": posterior.kl_by_dimension,
    "parallel": search.parallel,
    "slices": search.slices,
    "contour": search.contour,
    "progress": search.progress,
    "speed_against_exactness": training.speed_against_exactness,
    "by_schedule": posterior.by_schedule,
    "effect": search.effect,
    "hours": training.hours,
    "timeline": training.timeline,
}


def figures(
    trials: pd.DataFrame, sweep: pd.Series[Any], curves: pd.DataFrame, kl: pd.DataFrame | None = None
) -> Iterator[tuple[str, go.Figure]]:
    """Each figure of ``shown`` and a sentence on how to read it."""
    for one in shown(trials, sweep, curves, kl):
        yield one.told, DRAWN[one.kind](*one.arguments)
