"""What sweeps left behind, as pandas frames and reports; reads, never writes.

Imports nothing heavy: ``load_trials`` and its sisters are fetched at first use, so that a command's ``--help`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dashboards.errors import NoHome, NotFound, StoreError, UnknownColumn, UnknownRun, UnknownSweep
from dashboards.home import Home, HomeError, resolve_home

if TYPE_CHECKING:
    from dashboards.records import load_curves, load_sweeps, load_trials
    from dashboards.reports import render_report
    from dashboards.samples import load_samples

_LAZY = {
    "load_curves": "dashboards.records",
    "load_samples": "dashboards.samples",
    "load_sweeps": "dashboards.records",
    "load_trials": "dashboards.records",
    "render_report": "dashboards.reports",
}

__all__ = [
    "Home",
    "HomeError",
    "NoHome",
    "NotFound",
    "StoreError",
    "UnknownColumn",
    "UnknownRun",
    "UnknownSweep",
    "load_curves",
    "load_samples",
    "load_sweeps",
    "load_trials",
    "render_report",
    "resolve_home",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
