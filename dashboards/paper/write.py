"""Writes a sweep's figures for print into a folder, each as PDF and as SVG."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.errors import NotFound
from dashboards.page.shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg")


class NoMatplotlib(NotFound):
    """The optional part of the installation that draws for print is not there."""

    def __str__(self) -> str:
        return "figures for print need matplotlib: pip install 'vae-sweeps[paper]'"


def require_matplotlib() -> None:
    """Makes sure that figures can be drawn.

    Raises:
        NoMatplotlib: they cannot.
    """
    try:
        import matplotlib.figure  # noqa: F401 - asked for whether it is there
    except ImportError:
        raise NoMatplotlib from None


def drawn_by() -> Mapping[str, Callable[..., Figure]]:
    """By the kind of ``Shown``; who worked when, and a line for every trial, are for the screen."""
    from dashboards.paper import search, training

    return {
        "importance": search.importance,
        "seeds": search.seeds,
        "rate_distortion": training.rate_distortion,
        "learning_curves": training.learning_curves,
        "kl_by_dimension": training.kl_by_dimension,
        "slices": search.slices,
        "contour": search.contour,
        "progress": search.progress,
        "speed_against_exactness": training.speed_against_exactness,
        "by_schedule": training.by_schedule,
        "effect": search.effect,
        "sweeps": search.sweeps,
    }


def write_figures(figures: Iterable[Shown], directory: Path) -> list[Path]:
    """The files, by the figures' kinds, such as ``rate_distortion.pdf``.

    Raises:
        NoMatplotlib: it is not installed.
        OSError: they cannot be written.
    """
    require_matplotlib()
    from dashboards.paper.style import printed

    functions = drawn_by()
    written = []
    directory.mkdir(exist_ok=True)
    for one in figures:
        if one.kind not in functions:
            continue
        part = re.sub(r"[^A-Za-z0-9_]+", "_", one.part)
        for format in FORMATS:
            file = directory / f"{one.kind}{f'_{part}' if part else ''}.{format}"
            with printed():
                date = {"CreationDate": None} if format == "pdf" else {"Date": None}
                functions[one.kind](*one.arguments).savefig(file, metadata=date)
            written.append(file)
    return written
