"""Spec, search, Ray Tune, records and the command line; ``load_sweep`` and ``run_sweep`` are its two functions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestration.launch import resume_sweep, run_sweep
    from orchestration.spec import load_sweep

_LAZY = {"load_sweep": "orchestration.spec", "run_sweep": "orchestration.launch", "resume_sweep": "orchestration.launch"}

__all__ = ["load_sweep", "resume_sweep", "run_sweep"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
