"""Numbers, counts and lists as sentences have them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

BEWARE = "NOT equal, so beware"
"""Begins each warning that a comparison is none."""


def number(value: float) -> str:
    """A difference or score for a sentence: four significant digits."""
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def plain(value: Any) -> str:
    """A parameter's value for people: a float to three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def trials_listed(numbers: pd.Series[Any]) -> str:
    """``trial 3``, ``trials 1, 2 and 4``; of many the first."""
    every = [str(trial) for trial in sorted(numbers)]
    few = every if len(every) <= 8 else [*every[:7], f"{len(every) - 7} more"]
    return f"trial {few[0]}" if len(every) == 1 else f"trials {listed(few)}"


def begin(sentence: str) -> str:
    """The sentence with a capital at its beginning."""
    return sentence[:1].upper() + sentence[1:]


def count_of(count: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(items: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = list(items) or [""]
    return f"{', '.join(most)} and {last}" if most else last
